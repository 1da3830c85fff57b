from collections.abc import Iterator

import pytest

from payments.ledger import services as ledger
from tests.payments import payable
from tests.payments.alipay.scene import HOOK, Scene
from tests.payments.offered import offer
from tests.payments.postbox import postbox
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401


@pytest.fixture
def scene(sandbox, settings, db) -> Iterator[Scene]:  # noqa: F811
    """Alipay, and a shop that takes it; when the test is over, the books must be in order."""
    settings.PAYABLES = {"ORDER": "tests.payments.payable"}
    settings.AUDITS = [path for path in settings.AUDITS if path.startswith("payments.")]
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "ALIPAY_LINK": "payments.alipay.link",
        "ALIPAY_QR": "payments.alipay.qr",
    }
    settings.MERCHANT_NAME = "tests.payments.alipay.scene.name_of"
    offer("ALIPAY_LINK")
    offer("ALIPAY_QR")
    payable.told = payable.Told()
    with postbox(HOOK, says=b"success") as box:
        scene = Scene(sandbox, box)
        settings.ALIPAY = scene.told()
        yield scene
    assert ledger.audit() == []
