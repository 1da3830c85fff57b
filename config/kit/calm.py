"""Python's collector of cycles, kept quiet while a batch makes millions of tuples.

It looks through all of them again and again, and finds nothing: a third of the time of a batch.
What the batch leaves behind is freed by its reference counts; cycles wait until the end.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def calm() -> Iterator[None]:
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
