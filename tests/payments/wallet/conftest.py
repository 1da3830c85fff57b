from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments import payable
from tests.payments.postbox import postbox
from tests.payments.transfers.bank import ACCOUNT, account
from tests.payments.wechat_pay.scene import HOOK, Scene
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401


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


@pytest.fixture
def wechat(sandbox, settings) -> Iterator[Scene]:  # noqa: F811
    """WeChat Pay in the sandbox, and a shop that takes it."""
    settings.PAYMENT_METHODS = {**settings.PAYMENT_METHODS, "WECHAT": "payments.wechat_pay.method"}
    settings.PAYER_OPENID = "tests.payments.wechat_pay.payers.openid_of"
    with postbox(HOOK) as box:
        scene = Scene(sandbox, box)
        settings.WECHAT_PAY = scene.told() | {
            "transfers": {
                "scene": "1000",
                "reports": [{"info_type": "活动名称", "info_content": "余额提现"}],
            }
        }
        yield scene


@pytest.fixture
def bank(sandbox, settings):  # noqa: F811
    """A bank from which wallets are paid out."""
    settings.WALLET_PAYOUT_BANK, settings.WALLET_PAYOUT_ACCOUNT = "sandbox", ACCOUNT
    sandbox.open_account(ACCOUNT, 10_000_000)
    account()
    return sandbox
