from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments.wallet.conftest import no_shop  # noqa: F401
from tests.sandbox_fixtures import Sandbox


@pytest.fixture
def carrier(sandbox: Sandbox, settings, db, no_shop) -> Iterator[Sandbox]:  # noqa: F811
    """A licensed carrier in the sandbox; at the end of the test the books are in order."""
    settings.CARRIER = "payments.carrier.signed.carrier"
    settings.CARRIER_SANDBOX = sandbox.carrier()
    yield sandbox
    assert ledger.audit() == []
