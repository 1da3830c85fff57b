from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import connection, transaction

P = ParamSpec("P")
T = TypeVar("T")


def joined(service: Callable[P, T]) -> Callable[P, T]:
    """`transaction.atomic` for a step of something larger: it joins its caller's transaction.

    No savepoint, so two statements less on busy roads; whoever catches its refusal must give the
    whole transaction up, which Django enforces.  Called alone, it is a transaction of its own.
    """

    @wraps(service)
    def step(*args: P.args, **kwargs: P.kwargs) -> T:
        with transaction.atomic(savepoint=is_outermost()):
            return service(*args, **kwargs)

    return step


def is_outermost() -> bool:
    """Whether no transaction is open, but for the one a test case may wrap around each test."""
    return all(getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)
