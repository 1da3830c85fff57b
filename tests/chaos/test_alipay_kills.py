"""`kill -9` on the way to Alipay and back: after a restart all is as if nothing had been.

Which of these tests is which cell of the whole: see killing.py.
"""

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.alipay import tasks
from payments.alipay.models import AlipayTrade
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
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
from tests.payments.alipay.scene import CLEARING, HOOK, Scene
from tests.payments.offered import offer
from tests.payments.postbox import postbox
from tests.sandbox.alipay import signing
from tests.sandbox.alipay.wire import APP_ID, SELLER_ID
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
GATEWAY = "/alipay/gateway.do"

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
from payments.alipay.tasks import ask_open
ask_open()
"""


@pytest.fixture
def scene(sandbox, settings):  # noqa: F811
    settings.PAYMENT_METHODS = {**settings.PAYMENT_METHODS, "ALIPAY_QR": "payments.alipay.qr"}
    offer("ALIPAY_QR")
    with postbox(HOOK, says=b"success") as box:
        found = Scene(sandbox, box)
        settings.ALIPAY = found.told()
        yield found
    assert ledger.audit() == []


def told(scene, base_url=""):
    """The same installation for a process of its own."""
    held = signing.ensure(scene.sandbox.home)
    return {
        "ALIPAY_APP_ID": APP_ID,
        "ALIPAY_SELLER_ID": SELLER_ID,
        "ALIPAY_URL": f"{base_url or scene.sandbox.base_url}{GATEWAY}",
        "ALIPAY_PRIVATE_KEY": str(held.app_private),
        "ALIPAY_PUBLIC_KEY": str(held.alipay_public),
        "PUBLIC_URL": scene.box.url.removesuffix(HOOK),
    }


def buyer_and_order():
    buyer = make_user()
    return buyer, place(buyer, make_sku(make_merchant()), at=now())


def opened():
    """An order, and a payment by a code of Alipay's that nobody has been asked for."""
    buyer, order = buyer_and_order()
    return cashier.open_payment(
        payer_id=buyer.pk, purpose="ORDER", reference=order.number, method="ALIPAY_QR", at=now()
    )


def paid(scene):
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    scene.pay(payment)
    assert scene.deliver() == [(200, b"success")]
    return payment


def cancelled(payment):
    orders.cancel(order=Order.objects.get(number=payment.reference), actor="", at=now())
    return Refund.objects.get(payment=payment)


def calls(scene):
    return scene.sandbox.journal(GATEWAY)


def killed_before_the_call(scene, script, row):
    with deaf() as (url, callers):
        killed(script, row.pk, told(scene, url), when=lambda: callers)


def killed_before_the_answer(scene, script, row, *, when):
    scene.sandbox.faults(GATEWAY, "slow", seconds=HELD_BACK)
    killed(script, row.pk, told(scene), when=when)


# --- pay ------------------------------------------------------------------------------------------


def test_killed_before_the_code_was_asked_for(scene):
    payment = opened()
    killed_before_the_call(scene, PREPARE, payment)
    assert calls(scene) == []

    cashier.prepare(payment=payment, at=now())

    assert is_paid_once(scene, payment)


def test_killed_when_alipay_had_the_code(scene):
    payment = opened()
    killed_before_the_answer(scene, PREPARE, payment, when=lambda: calls(scene))
    trade = AlipayTrade.objects.get()
    assert (trade.qr_code, trade.offered_until is None) == ("", False)

    cashier.prepare(payment=payment, at=now())

    assert is_paid_once(scene, payment)


def test_the_web_is_killed_while_it_asks_and_the_same_request_pays_once(scene):
    buyer, order = buyer_and_order()
    body = {"order": order.number, "method": "ALIPAY_QR"}
    with deaf() as (url, callers):
        answer = posted_and_killed(
            free_port(), "/api/v1/payments", client_of(buyer), body,
            env=told(scene), deaf_env=told(scene, url), callers=callers,
        )  # fmt: skip

    payment = Payment.objects.get()
    assert (answer.status_code, answer.json()["number"]) == (201, payment.number)
    assert answer.json()["instructions"]["qr_content"]
    assert is_paid_once(scene, payment)


def is_paid_once(scene, payment):
    scene.pay(payment)
    assert scene.deliver() == [(200, b"success")]
    assert list(scene.trades()) == [payment.number]
    fen = Payment.objects.get(pk=payment.pk).received_fen
    return (Receipt.objects.count(), books.balance(CLEARING)) == (1, fen)


def test_killed_when_it_had_heard_of_the_payment(scene):
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    scene.switch("drop")
    scene.pay(payment)
    AlipayTrade.objects.update(ask_at=now())
    killed_before_the_commit(ASK, "", told(scene))
    assert (Payment.objects.get().status, Receipt.objects.count()) == ("WAITING", 0)

    AlipayTrade.objects.update(ask_at=now())
    tasks.ask_open()

    assert Payment.objects.get().status == "CONFIRMED"
    assert (Receipt.objects.count(), books.balance(CLEARING)) == (1, payment.amount_fen)


def test_a_web_process_killed_inside_a_notice_hears_it_again(scene, settings):
    """Alipay has no answer, and says it once more to the next process, minutes later."""
    port = free_port()
    ours = told(scene) | {"PUBLIC_URL": f"http://127.0.0.1:{port}"}
    settings.ALIPAY = scene.told() | {"notify_url": f"http://127.0.0.1:{port}{HOOK}"}
    payment = opened()
    cashier.prepare(payment=payment, at=now())
    with transaction.atomic():
        Payment.objects.select_for_update().get(pk=payment.pk)
        with web_process(port=port, **ours):
            scene.pay(payment)
            await_true(somebody_waits)
            kill_the_web(port)
    assert Payment.objects.get(pk=payment.pk).status == "WAITING"

    with web_process(port=port, **ours):
        scene.sandbox.move_clock(300)
        await_true(lambda: Payment.objects.get(pk=payment.pk).status == "CONFIRMED", seconds=30)

    assert Receipt.objects.count() == 1


# --- refund ---------------------------------------------------------------------------------------


def test_killed_before_the_refund_arrived(scene):
    payment = paid(scene)
    refund = cancelled(payment)
    killed_before_the_call(scene, SEND, refund)
    refund.refresh_from_db()
    assert (refund.status, scene.trades()[payment.number]["refunds"]) == ("SENDING", [])

    assert is_given_back_once(scene, refund)


def test_killed_when_alipay_had_the_refund(scene):
    payment = paid(scene)
    refund = cancelled(payment)
    killed_before_the_answer(
        scene, SEND, refund, when=lambda: scene.trades()[payment.number]["refunds"]
    )
    refund.refresh_from_db()
    assert (refund.status, books.balance(CLEARING)) == ("SENDING", refund.amount_fen)

    assert is_given_back_once(scene, refund)


def test_killed_when_it_had_heard_of_the_refund(scene):
    refund = cancelled(paid(scene))
    killed_before_the_commit(SEND, refund.pk, told(scene))
    refund.refresh_from_db()
    assert (refund.status, books.balance(CLEARING)) == ("SENDING", refund.amount_fen)

    assert is_given_back_once(scene, refund)


def is_given_back_once(scene, refund):
    cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert refund.status == "DONE"
    [trade] = scene.trades().values()
    there = [(one["request_no"], one["amount_fen"]) for one in trade["refunds"]]
    return (there, books.balance(CLEARING)) == ([(refund.number, refund.amount_fen)], 0)
