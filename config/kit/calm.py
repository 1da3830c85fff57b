"""Python's collector of cycles, kept from looking through what it will never free.

It goes through everything again and again: the millions of tuples of a batch, a third of its time;
and the modules of a process, 75 ms in which nobody is answered.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


def settled() -> None:
    """To be called when a process is ready: what is loaded stays, and is never looked at again."""
    gc.collect()
    gc.freeze()


@contextmanager
def calm() -> Iterator[None]:
    """What a batch leaves behind is freed by its reference counts; cycles wait until the end."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
