from tests.payments.transfers.conftest import _no_shop  # noqa: F401
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401
