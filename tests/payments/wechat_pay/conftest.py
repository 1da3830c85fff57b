from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments import payable
from tests.payments.postbox import postbox
from tests.payments.wechat_pay.scene import HOOK, Scene
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401


@pytest.fixture
def scene(sandbox, settings, db) -> Iterator[Scene]:  # noqa: F811
    """WeChat Pay, and a shop that takes it; when the test is over, the books must be in order."""
    settings.PAYABLES = {"ORDER": "tests.payments.payable"}
    settings.AUDITS = [path for path in settings.AUDITS if path.startswith("payments.")]
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
    }
    settings.PAYER_OPENID = "tests.payments.wechat_pay.payers.openid_of"
    payable.told = payable.Told()
    with postbox(HOOK) as box:
        scene = Scene(sandbox, box)
        settings.WECHAT_PAY = scene.told()
        yield scene
    assert ledger.audit() == []
