"""`kill -9` on the way to WeChat Pay and back: after a restart all is as if nothing had been.

Which of these tests is which cell of the whole: see killing.py.
"""

import pytest
from django.db import transaction
from django.utils.timezone import now

from members.accounts.models import WeChatIdentity
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.wechat_pay import tasks
from payments.wechat_pay.models import WeChatTrade
from shop.orders import services as orders
from shop.orders.models import Order
from tests.chaos.killing import (
    HELD_BACK,
    deaf,
    kill_the_web,
    killed,
    killed_before_the_commit,
    posted_and_killed,
    somebody_waits,
)
from tests.factories import client_of, make_merchant, make_sku, make_user, place
from tests.livestream.processes import await_true, free_port, web_process
from tests.payments.postbox import postbox
from tests.payments.wechat_pay.scene import HOOK, Scene
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)

PREPARE = """
from payments.cashier import services
from payments.cashier.models import Payment
services.prepare(payment=Payment.objects.get(pk=sys.argv[1]), at=now())
"""
SEND = """
from payments.cashier.tasks import send_refund
send_refund(refund_id=int(sys.argv[1]))
"""
ASK = """
from payments.wechat_pay.tasks import ask_open
ask_open()
"""


@pytest.fixture
def scene(sandbox, settings):  # noqa: F811
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
    }
    with postbox(HOOK) as box:
        found = Scene(sandbox, box)
        settings.WECHAT_PAY = found.told()
        yield found
    assert ledger.audit() == []


def told(scene, base_url=""):
    """The same installation for a process of its own."""
    held = keys.ensure(scene.sandbox.home)
    return {
        "WECHAT_APPID": APPID,
        "WECHAT_PAY_MCHID": keys.MCHID,
        "WECHAT_PAY_URL": base_url or scene.sandbox.base_url,
        "WECHAT_PAY_CERTIFICATE": str(held.merchant_cert),
        "WECHAT_PAY_PRIVATE_KEY": str(held.merchant_private),
        "WECHAT_PAY_API_KEY": str(held.apiv3_key_file),
        "WECHAT_PAY_PUBLIC_KEY_ID": held.public_key_id,
        "WECHAT_PAY_PUBLIC_KEY": str(held.public_key),
        "WECHAT_PAY_PLATFORM_CERTIFICATES": str(held.platform_cert),
        # The same address as the test's own: another one would be another request to WeChat.
        "PUBLIC_URL": scene.box.url.removesuffix(HOOK),
    }


def buyer_and_order():
    buyer = make_user()
    WeChatIdentity.objects.create(
        user=buyer, appid=APPID, openid=f"o{buyer.pk:027d}", created_at=now()
    )
    return buyer, place(buyer, make_sku(make_merchant()), at=now())


def opened():
    """An order, and a payment by WeChat Pay for it that nobody has been asked about."""
    buyer, order = buyer_and_order()
    return cashier.open_payment(
        payer_id=buyer.pk, purpose="ORDER", reference=order.number, method="WECHAT", at=now()
    )


def paid(scene):
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    scene.pay(payment)
    assert scene.deliver() == [204]
    return payment


def cancelled(payment):
    orders.cancel(order=Order.objects.get(number=payment.reference), actor="", at=now())
    return Refund.objects.get(payment=payment)


def killed_before_the_call(scene, script, row):
    with deaf() as (url, callers):
        killed(script, row.pk, told(scene, url), when=lambda: callers)


def killed_before_the_answer(scene, script, row, *, when):
    scene.switch("slow", seconds=HELD_BACK)
    killed(script, row.pk, told(scene), when=when)


def test_killed_before_the_prepay_arrived(scene):
    payment = opened()
    killed_before_the_call(scene, PREPARE, payment)
    assert scene.trades() == {}

    cashier.prepare(payment=payment, at=now())

    assert is_paid_once(scene, payment)


def test_killed_when_wechat_had_the_prepay(scene):
    payment = opened()
    killed_before_the_answer(scene, PREPARE, payment, when=scene.trades)
    assert WeChatTrade.objects.get().prepay_id == ""

    cashier.prepare(payment=payment, at=now())

    assert is_paid_once(scene, payment)
    assert len(scene.trades()) == 1


def test_the_web_is_killed_while_it_asks_and_the_same_request_pays_once(scene):
    buyer, order = buyer_and_order()
    body = {"order": order.number, "method": "WECHAT"}
    with deaf() as (url, callers):
        answer = posted_and_killed(
            free_port(), "/api/v1/payments", client_of(buyer), body,
            env=told(scene), deaf_env=told(scene, url), callers=callers,
        )  # fmt: skip

    payment = Payment.objects.get()
    assert (answer.status_code, answer.json()["number"]) == (201, payment.number)
    assert list(scene.trades()) == [payment.number]
    assert is_paid_once(scene, payment)


def test_killed_when_it_had_heard_of_the_payment(scene):
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    scene.switch("drop", on="TRANSACTION.SUCCESS")
    scene.pay(payment)
    WeChatTrade.objects.update(ask_at=now())
    killed_before_the_commit(ASK, "", told(scene))
    assert (Payment.objects.get().status, Receipt.objects.count()) == ("WAITING", 0)

    WeChatTrade.objects.update(ask_at=now())
    tasks.ask_open()

    assert Payment.objects.get().status == "CONFIRMED"
    assert (Receipt.objects.count(), books.balance("clearing:wechat")) == (1, payment.amount_fen)


def is_paid_once(scene, payment):
    scene.pay(payment)
    assert scene.deliver() == [204]
    fen = Payment.objects.get(pk=payment.pk).received_fen
    return (Receipt.objects.count(), books.balance("clearing:wechat")) == (1, fen)


def test_killed_before_the_refund_arrived(scene):
    refund = cancelled(paid(scene))
    killed_before_the_call(scene, SEND, refund)
    refund.refresh_from_db()
    assert (refund.status, scene.refunds()) == ("SENDING", [])

    assert is_given_back_once(scene, refund)


def test_killed_when_wechat_had_the_refund(scene):
    refund = cancelled(paid(scene))
    killed_before_the_answer(scene, SEND, refund, when=scene.refunds)
    refund.refresh_from_db()
    assert (refund.status, books.balance("clearing:wechat")) == ("SENDING", refund.amount_fen)

    assert is_given_back_once(scene, refund)


def test_killed_when_it_had_heard_of_the_refund(scene):
    refund = cancelled(paid(scene))
    cashier_tasks.send_refund(refund_id=refund.pk)
    await_true(lambda: scene.refunds()[0]["status"] == "SUCCESS")
    killed_before_the_commit(SEND, refund.pk, told(scene))
    refund.refresh_from_db()
    assert (refund.status, books.balance("clearing:wechat")) == ("SENDING", refund.amount_fen)

    assert is_given_back_once(scene, refund)


def is_given_back_once(scene, refund):
    def is_done():
        cashier_tasks.send_refund(refund_id=refund.pk)
        refund.refresh_from_db()
        return refund.status == "DONE"

    await_true(is_done)
    return (len(scene.refunds()), books.balance("clearing:wechat")) == (1, 0)


def test_a_web_process_killed_inside_a_notice_hears_it_again(scene, settings):
    """WeChat has no answer, and says it once more to the next process."""
    port = free_port()
    settings.WECHAT_PAY = scene.told() | {"notify_url": f"http://127.0.0.1:{port}{HOOK}"}
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    ours = {"PUBLIC_URL": f"http://127.0.0.1:{port}"}
    with transaction.atomic():
        Payment.objects.select_for_update().get(pk=payment.pk)
        with web_process(port=port, **(told(scene) | ours)):
            scene.pay(payment)
            await_true(somebody_waits)
            kill_the_web(port)
    assert Payment.objects.get(pk=payment.pk).status == "WAITING"

    with web_process(port=port, **(told(scene) | ours)):
        await_true(lambda: Payment.objects.get(pk=payment.pk).status == "CONFIRMED", seconds=30)

    assert Receipt.objects.count() == 1
