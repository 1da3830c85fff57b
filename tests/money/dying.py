"""A process that dies between any two of its steps: before a statement, or around a call."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import requests
from django.db import connection

# What Django says to the database while a transaction ends is no step of ours.
TRANSACTION = ("SAVEPOINT", "RELEASE", "ROLLBACK")
# People and time out there, who do not die with the shop.
NOT_OURS = ("/__sandbox__/", "/bank/transfers", "/alipay/gateway.do?")


class Killed(BaseException):
    """Nothing of ours catches it, as nothing catches a SIGKILL."""


class Death(NamedTuple):
    """`where`: before the n-th "statement", or the n-th call "unsent" or "unheard"; from 0."""

    where: str
    n: int


@contextmanager
def dying(death: Death | None) -> Iterator[None]:
    """What was committed stays, what was not is gone; says nothing where it lived to the end."""
    if death is None:
        yield
        return
    fuse = Fuse(death)
    send = requests.Session.send
    requests.Session.send = fuse.around(send)  # type: ignore[method-assign]
    try:
        with connection.execute_wrapper(fuse.statement):
            yield
    except Killed:
        pass
    finally:
        requests.Session.send = send  # type: ignore[method-assign]


class Fuse:
    def __init__(self, death: Death) -> None:
        self._death = death
        self._left = death.n

    def _burns(self, *places: str) -> bool:
        """True once, at the n-th place of that kind."""
        if self._death.where not in places:
            return False
        self._left -= 1
        return self._left == -1

    def statement(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if not str(sql).startswith(TRANSACTION) and self._burns("statement"):
            raise Killed
        return execute(sql, *rest)

    def around(self, send: Callable[..., Any]) -> Callable[..., Any]:
        def sending(session: requests.Session, asked: Any, **more: Any) -> Any:
            if asked.path_url.startswith(NOT_OURS) or not self._burns("unsent", "unheard"):
                return send(session, asked, **more)
            if self._death.where == "unheard":
                send(session, asked, **more)
            raise Killed

        return sending
