from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments.postbox import postbox
from tests.payments.wechat_pay.scene import HOOK
from tests.payments.wechat_pay.scene import Scene as Paying
from tests.sandbox.wechat_mail import KEY, TOKEN
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401
from tests.shop.wechat_shipping.scene import Scene


@pytest.fixture
def scene(sandbox, settings, db) -> Iterator[Scene]:  # noqa: F811
    """A shop that takes WeChat Pay; when the test is over, the books must be in order."""
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
    }
    settings.PAYER_OPENID = "tests.payments.wechat_pay.payers.openid_of"
    settings.WECHAT_PUSH_TOKEN, settings.WECHAT_PUSH_KEY = TOKEN, KEY
    with postbox(HOOK) as box:
        settings.WECHAT_PAY = Paying(sandbox, box).told()
        yield Scene(sandbox)
    assert ledger.audit() == []
