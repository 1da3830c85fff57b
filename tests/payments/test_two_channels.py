"""One order, paid at WeChat Pay and at Alipay: both are recorded, the second goes back by itself.

With the real shop, and both channels in the sandbox.
"""

import pytest
from django.utils.timezone import now

from members.accounts.models import WeChatIdentity
from payments.alipay.models import AlipayNotice
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.wechat_pay.models import WeChatNotice
from shop.orders.models import Order
from tests.factories import make_merchant, make_sku, make_user, place
from tests.livestream.processes import await_true
from tests.payments.alipay import scene as alipay
from tests.payments.offered import offer
from tests.payments.postbox import postbox
from tests.payments.wechat_pay import scene as wechat
from tests.sandbox.wechat import APPID
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db
TAKEN = {"WECHAT": [204], "ALIPAY_QR": [(200, b"success")]}
POTS = {"WECHAT": "clearing:wechat", "ALIPAY_QR": "clearing:alipay"}


@pytest.fixture
def channels(sandbox, settings):  # noqa: F811
    """Both, by the way to pay."""
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
        "ALIPAY_QR": "payments.alipay.qr",
    }
    offer("ALIPAY_QR")
    with postbox(wechat.HOOK) as one, postbox(alipay.HOOK, says=b"success") as other:
        found = {
            "WECHAT": wechat.Scene(sandbox, one),
            "ALIPAY_QR": alipay.Scene(sandbox, other),
        }
        settings.WECHAT_PAY = found["WECHAT"].told()
        settings.ALIPAY = found["ALIPAY_QR"].told()
        yield found
    assert ledger.audit() == []


def opened():
    """An order, and a payment of each kind for it, ready to be paid."""
    buyer = make_user()
    WeChatIdentity.objects.create(
        user=buyer, appid=APPID, openid=f"o{buyer.pk:027d}", created_at=now()
    )
    order = place(buyer, make_sku(make_merchant()), at=now())
    payments = {}
    for method in TAKEN:
        payments[method] = cashier.open_payment(
            payer_id=buyer.pk, purpose="ORDER", reference=order.number, method=method, at=now()
        )
        cashier.prepare(payment=payments[method], at=now())
    return order, payments


@pytest.mark.parametrize("first", TAKEN)
@pytest.mark.parametrize("when", ["both before any word", "one after the other"])
def test_the_second_success_is_recorded_and_given_back(channels, first, when):
    [second] = TAKEN.keys() - {first}
    order, payments = opened()
    if when == "both before any word":
        channels[first].pay(payments[first])
        channels[second].pay(payments[second])
        assert channels[first].deliver() == TAKEN[first]
    else:
        channels[first].pay(payments[first])
        assert channels[first].deliver() == TAKEN[first]
        channels[second].pay(payments[second])
    assert channels[second].deliver() == TAKEN[second]

    assert Order.objects.get(pk=order.pk).status == "PAID"
    assert Receipt.objects.count() == 2
    refund = Refund.objects.get()
    assert (refund.payment_id, refund.reason) == (payments[second].pk, "TWICE")

    def is_back():
        cashier_tasks.send_refund(refund_id=refund.pk)
        return Refund.objects.get().status == "DONE"

    await_true(is_back)
    kept = Payment.objects.get(pk=payments[first].pk)
    assert (kept.status, kept.refunded_fen) == ("CONFIRMED", 0)
    assert books.balance(POTS[first]) == order.total_fen
    assert books.balance(POTS[second]) == 0
    for notices in (WeChatNotice, AlipayNotice):
        assert not notices.objects.exclude(problem="").exists()
