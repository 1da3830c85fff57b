import pytest

from payments.channels.transfer import Bank, bank
from tests.sandbox_fixtures import Sandbox


@pytest.fixture
def ours(sandbox: Sandbox) -> Bank:
    return bank("sandbox")
