"""Time-outs: Alipay has done it, and its answer came too late."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Receipt, Refund
from payments.channels import alipay
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from tests.payments.alipay.scene import CLEARING, TAKEN, give_up, sent, status, swept, trade_of
from tests.payments.alipay.test_refunds import cancelled
from tests.payments.hurry import ANSWERS_AFTER, hurried

pytestmark = pytest.mark.django_db


def slow(scene):
    scene.sandbox.faults("/alipay/gateway.do", "slow", seconds=ANSWERS_AFTER)


def test_a_code_that_timed_out_and_was_made_is_of_the_same_trade(scene):
    payment = scene.unprepared(9900)
    slow(scene)

    with hurried(alipay), pytest.raises(ChannelSilent):
        cashier.prepare(payment=payment, at=now())
    assert scene.instructions(payment) == {}

    cashier.prepare(payment=payment, at=now())
    scene.pay(payment)
    assert scene.deliver() == [TAKEN]
    assert list(scene.trades()) == [payment.number]
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)


def test_a_refund_that_timed_out_and_was_made_is_made_once(scene):
    payment = scene.paid(9900)
    refund = cancelled(payment)
    slow(scene)

    with hurried(alipay):
        cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert refund.status == "SENDING"
    assert [one["request_no"] for one in scene.trades()[payment.number]["refunds"]] == [
        refund.number
    ]

    assert sent(refund) == "DONE"
    assert len(scene.trades()[payment.number]["refunds"]) == 1
    assert (Refund.objects.count(), books.balance(CLEARING)) == (1, 0)


def test_a_close_that_timed_out_and_was_done_is_found_closed(scene):
    payment = scene.opened()
    scene.scan(payment)
    slow(scene)

    with hurried(alipay), pytest.raises(ChannelSilent):
        give_up(payment)
    assert trade_of(payment).status == "OPEN"

    give_up(payment)
    assert (trade_of(payment).status, Receipt.objects.count()) == ("CLOSED", 0)


def test_a_question_that_timed_out_is_asked_again(scene, time_machine):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)
    slow(scene)

    with hurried(alipay):
        swept(time_machine, after=timedelta(seconds=15))
    assert (status(payment), Receipt.objects.count()) == ("WAITING", 0)

    swept(time_machine, after=timedelta(seconds=45))
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)
