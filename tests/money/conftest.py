from collections.abc import Iterator

import pytest

from tests.money.machine import MoneyWorld
from tests.money.outside import Outside, outside
from tests.payments.alipay.scene import Scene as Alipay
from tests.payments.transfers.bank import ACCOUNT
from tests.payments.wechat_pay.scene import Scene as WeChat

TRANSFERS = {
    "scene": "1000",
    "reports": [{"info_type": "活动名称", "info_content": "余额提现"}],
}
ROAMING = {"least_fen": 100, "most_fen": 200_000, "day_fen": 500_000, "day_times": 99}


@pytest.fixture
def world(sandbox, settings, db) -> Iterator[Outside]:
    """A shop that takes and gives money by every channel there is."""
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
        "ALIPAY_LINK": "payments.alipay.link",
        "ALIPAY_QR": "payments.alipay.qr",
    }
    settings.PAYER_OPENID = "tests.payments.wechat_pay.payers.openid_of"
    settings.WALLET_PAYOUT_BANK, settings.WALLET_PAYOUT_ACCOUNT = "sandbox", ACCOUNT
    settings.WALLET_WITHDRAWALS = {**settings.WALLET_WITHDRAWALS, **ROAMING}
    settings.PAYOUT_CHECK_ABOVE_FEN, settings.PAYOUT_BATCH_ABOVE_FEN = 100_00, 50_00
    settings.REDIS_TIMEOUT = 5
    with outside(sandbox) as out:
        settings.WECHAT_PAY = WeChat(sandbox, out.box).told() | {"transfers": TRANSFERS}
        settings.ALIPAY = Alipay(sandbox, out.of_alipay).told()
        MoneyWorld.out = out
        yield out
