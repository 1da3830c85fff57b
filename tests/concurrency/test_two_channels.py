"""The words of WeChat Pay and of Alipay that one order is paid, at the same moment."""

import time

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from shop.orders.models import Order
from tests.concurrency.together import together
from tests.livestream.processes import await_true
from tests.payments.test_two_channels import POTS, channels, opened  # noqa: F401
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_is_kept_and_the_other_given_back(channels):  # noqa: F811
    order, payments = opened()
    letters = {}
    for method, scene in channels.items():
        scene.pay(payments[method])
        [letters[method]] = scene.box.wait()

    def hear(i):
        if i % 2:
            channels["ALIPAY_QR"].hand_over(letters["ALIPAY_QR"].body)
        else:
            channels["WECHAT"].hand_over(*letters["WECHAT"])

    assert together(4, hear) == {"ok": 4}

    assert Order.objects.get().status == "PAID"
    assert Receipt.objects.count() == 2
    refund = Refund.objects.get()
    assert (refund.reason, refund.amount_fen) == ("TWICE", order.total_fen)

    def is_back():
        cashier_tasks.send_refund(refund_id=refund.pk)
        return Refund.objects.get().status == "DONE"

    await_true(is_back)
    assert sum(books.balance(pot) for pot in POTS.values()) == order.total_fen
    assert Payment.objects.filter(status="CONFIRMED", refunded_fen=0).count() == 1


def test_without_the_lock_both_would_be_kept(channels):  # noqa: F811
    """If this ever fails, the test above proves nothing."""
    order, _ = opened()

    def careless(i):
        with transaction.atomic():
            if Order.objects.get(pk=order.pk).status == "PAID":
                return "given back"
            time.sleep(0.1)
            Order.objects.filter(pk=order.pk).update(status="PAID", paid_at=now())
            transaction.set_rollback(True)  # the control's order is nobody's
            return "kept"

    assert together(2, careless) == {"kept": 2}
