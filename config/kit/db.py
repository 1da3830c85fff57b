from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

from django.db import connection, models, transaction

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


def insert_once(row: models.Model) -> bool:
    """Write a new row, unless another one stands in its way; whether it was written.

    What `bulk_create(ignore_conflicts=True)` does without saying whose row is there now, and
    without putting the SQL together anew for each row.
    """
    statement, fields = _insert_of(type(row))
    values = [field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        found = cursor.fetchone()
    if found is None:
        return False
    (row.pk,) = found
    row._state.adding, row._state.db = False, connection.alias
    return True


@cache
def _insert_of(model: type[models.Model]) -> "tuple[str, list[models.Field[Any, Any]]]":
    options = model._meta
    fields = [field for field in options.concrete_fields if not field.primary_key]
    columns = ", ".join(f'"{field.column}"' for field in fields)
    values = ", ".join(["%s"] * len(fields))
    assert options.pk is not None
    into = f'"{options.db_table}" ({columns}) VALUES ({values})'
    return f'INSERT INTO {into} ON CONFLICT DO NOTHING RETURNING "{options.pk.column}"', fields
