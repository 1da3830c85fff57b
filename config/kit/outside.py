"""Whose turn it is in a web process, and the world outside: no lock and no request waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

from config.kit.db import is_outermost

_turn = Lock()
_aside = Lock()
_this_thread = local()


def assert_no_transaction() -> None:
    """Every call to WeChat or a bank starts here: no lock of ours waits for a network."""
    assert is_outermost(), "network call inside a database transaction"


@contextmanager
def turn() -> Iterator[None]:
    """Run as the one thread of this process that does: several at once only hinder each other."""
    with _turn:
        _this_thread.has_turn = True
        try:
            yield
        finally:
            _this_thread.has_turn = False


@contextmanager
def aside() -> Iterator[None]:
    """Run beside whose turn it is, one at a time: what takes seconds, mostly of the disk's."""
    with _aside:
        yield


@contextmanager
def waiting() -> Iterator[None]:
    """Around a call that may take seconds: meanwhile it is another thread's turn."""
    if not getattr(_this_thread, "has_turn", False):
        yield
        return
    _this_thread.has_turn = False
    _turn.release()
    try:
        yield
    finally:
        _turn.acquire()
        _this_thread.has_turn = True
