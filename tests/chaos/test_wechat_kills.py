"""`kill -9` on the way to WeChat Pay and back: after a restart all is as if nothing had been.

A process dies before its call has arrived (a port that never answers stands for WeChat), or when
WeChat has done what was asked and the answer is still on its way (the sandbox holds it back), or
inside the transaction of a notice (a lock holds it there).
"""

import os
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.utils.timezone import now

from members.accounts.models import WeChatIdentity
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.wechat_pay.models import WeChatTrade
from shop.orders import services as orders
from shop.orders.models import Order
from tests.factories import make_merchant, make_sku, make_user, place
from tests.livestream.processes import await_true, environment, free_port, running, web_process
from tests.payments.postbox import postbox
from tests.payments.wechat_pay.scene import HOOK, Scene
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
HELD_BACK = 3.0  # seconds that the sandbox keeps an answer: longer than a process has to live

PREPARE = """
import sys, django; django.setup()
from django.utils.timezone import now
from payments.cashier import services
from payments.cashier.models import Payment
services.prepare(payment=Payment.objects.get(pk=sys.argv[1]), at=now())
"""
SEND = """
import sys, django; django.setup()
from payments.cashier.tasks import send_refund
send_refund(refund_id=int(sys.argv[1]))
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


def opened():
    """An order, and a payment by WeChat Pay for it that nobody has been asked about."""
    buyer = make_user()
    WeChatIdentity.objects.create(
        user=buyer, appid=APPID, openid=f"o{buyer.pk:027d}", created_at=now()
    )
    order = place(buyer, make_sku(make_merchant()), at=now())
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


@contextmanager
def deaf():
    """A port where calls arrive, and nobody answers; how many have."""
    callers = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take():
            while True:
                try:
                    callers.append(server.accept()[0])
                except OSError:
                    return

        threading.Thread(target=take, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", callers
    for caller in callers:
        caller.close()


def killed(script, row, env, *, when):
    """Run it in a process that is killed as soon as `when()` is so."""
    with running(["-c", script, str(row.pk)], environment(**env)) as process:
        await_true(lambda: when() or process.poll() is not None)
        assert process.poll() is None, "it ended before it could be killed"
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def killed_before_the_call(scene, script, row):
    with deaf() as (url, callers):
        killed(script, row, told(scene, url), when=lambda: callers)


def killed_before_the_answer(scene, script, row, *, when):
    scene.switch("slow", seconds=HELD_BACK)
    killed(script, row, told(scene), when=when)


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


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else it is that of the first look
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


def kill_the_web(port):
    """All processes that listen there, at one blow."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"granian" in command and str(port).encode() in command:
            os.kill(int(entry.name), signal.SIGKILL)
