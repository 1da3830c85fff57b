from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments import payable
from tests.payments.transfers import bank
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401


@pytest.fixture(autouse=True)
def _no_shop(settings):
    """Money is tested without a shop; tests/journeys has both."""
    settings.PAYABLES = {"ORDER": "tests.payments.payable"}
    settings.AUDITS = [path for path in settings.AUDITS if path.startswith("payments.")]
    payable.told = payable.Told()


@pytest.fixture
def account(db) -> Iterator[object]:
    """The receiving account; when the test is over, the books must be in order."""
    yield bank.account()
    assert ledger.audit() == []
