from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments import payable


@pytest.fixture
def no_shop(settings) -> None:
    settings.PAYABLES = {**settings.PAYABLES, "ORDER": "tests.payments.payable"}
    settings.AUDITS = [path for path in settings.AUDITS if path.startswith("payments.")]
    payable.told = payable.Told()


@pytest.fixture(autouse=True)
def _books(request, no_shop, db) -> Iterator[None]:
    """When the test is over, the books must be in order."""
    yield
    assert ledger.audit() == []
