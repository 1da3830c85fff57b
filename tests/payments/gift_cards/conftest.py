from tests.payments.wallet.conftest import _books, no_shop, wechat  # noqa: F401
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401
