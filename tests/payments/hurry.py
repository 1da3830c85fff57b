"""For one call we wait a second only, and the sandbox is told to take longer."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest

ANSWERS_AFTER = 2.5  # seconds; by then it is long done


@contextmanager
def hurried(client: ModuleType) -> Iterator[None]:
    """`client`: the module of payments.channels that asks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "TIMEOUT", (3, 1.0))
        yield
