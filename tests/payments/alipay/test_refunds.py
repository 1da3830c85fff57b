"""Money that goes back by Alipay, and what Alipay says of a trade after it was paid."""

from datetime import timedelta
from urllib.parse import parse_qs

import pytest
from django.utils.timezone import now

from payments.alipay.models import AlipayNotice
from payments.cashier import refunds
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.rules import Owed, Reason, RefundStatus
from payments.channels.alipay import alipay
from payments.ledger import queries as books
from tests.payments import payable
from tests.payments.alipay.scene import (
    CLEARING,
    TAKEN,
    UNPROVEN,
    WAYS,
    sent,
    status,
    swept,
    trade_of,
)

pytestmark = pytest.mark.django_db
ways = pytest.mark.parametrize("way", WAYS)


def cancelled(payment):
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    return Refund.objects.get(payment=payment)


def part_back(payment, fen):
    """A part goes back, as an after-sale will do it."""
    [row] = Payment.objects.filter(pk=payment.pk).locked()
    [pk] = refunds.owe_back(
        owed=[Owed(row, fen)],
        reason=Reason.CANCELLED,
        status=RefundStatus.APPROVED,
        at=now(),
    )
    return Refund.objects.get(pk=pk)


@ways
def test_a_cancelled_order_s_money_goes_back(scene, way):
    payment = scene.paid(9900, method=way)

    refund = cancelled(payment)

    assert sent(refund) == "DONE"
    assert payable.told.refunded == [payment.reference]
    assert scene.trades()[payment.number]["refunded_fen"] == 9900
    assert books.balance(CLEARING) == 0


@pytest.mark.parametrize("fault", UNPROVEN)
def test_a_refund_without_a_good_answer_is_repeated_under_its_number(scene, fault):
    refund = cancelled(scene.paid(9900))
    scene.switch(fault, method="alipay.trade.refund")

    cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert refund.status == "SENDING"

    assert sent(refund) == "DONE"
    [trade] = scene.trades().values()
    assert [one["request_no"] for one in trade["refunds"]] == [refund.number]
    assert books.balance(CLEARING) == 0


def test_a_refund_whose_answer_moves_no_money_is_asked_about(scene):
    refund = cancelled(scene.paid(9900))
    scene.switch("no_fund_change")

    assert sent(refund, tries=1) == "DONE"
    assert books.balance(CLEARING) == 0


def test_a_refund_waits_until_the_seller_has_the_money(scene):
    refund = cancelled(scene.paid(9900))
    scene.switch("no_balance", times=2)

    assert sent(refund, tries=2) == "SENDING"
    assert books.balance(CLEARING) == 9900
    assert sent(refund) == "DONE"


def test_a_refund_that_alipay_refuses_is_for_a_person(scene):
    payment = scene.paid(9900)
    scene.control("finish", payment)

    refund = cancelled(payment)

    assert sent(refund) == "FAILED"
    assert "TRADE_HAS_FINISHED" in refund.failure
    assert books.balance(CLEARING) == 9900


def test_success_again_after_a_partial_refund_pays_nothing_again(scene):
    payment = scene.paid(9900, method="ALIPAY_LINK")

    refund = part_back(payment, 900)
    assert sent(refund) == "DONE"

    [letter] = scene.letters()
    assert parse_qs(letter.decode())["trade_status"] == ["TRADE_SUCCESS"]
    assert scene.hand_over(letter) == TAKEN
    assert (Receipt.objects.count(), books.balance(CLEARING)) == (1, 9000)
    assert not AlipayNotice.objects.exclude(problem="").exists()


def test_closed_after_a_full_refund_is_not_a_trade_that_nobody_paid(scene):
    payment = scene.paid(9900, method="ALIPAY_LINK")
    assert sent(cancelled(payment)) == "DONE"

    [letter] = scene.letters()
    assert parse_qs(letter.decode())["trade_status"] == ["TRADE_CLOSED"]
    assert scene.hand_over(letter) == TAKEN
    assert trade_of(payment).status == "PAID"
    assert not AlipayNotice.objects.exclude(problem="").exists()


def test_closed_for_its_time_pays_and_returns_nothing(scene):
    payment = scene.opened(method="ALIPAY_LINK")
    scene.follow(payment)
    scene.grow_old(timedelta(minutes=16))

    [letter] = scene.letters()
    assert parse_qs(letter.decode())["trade_status"] == ["TRADE_CLOSED"]
    assert scene.hand_over(letter) == TAKEN
    assert (status(payment), Receipt.objects.count()) == ("WAITING", 0)
    assert not AlipayNotice.objects.exclude(problem="").exists()


def test_finished_after_it_was_paid_is_no_new_payment(scene):
    payment = scene.paid(9900, method="ALIPAY_LINK")
    scene.control("finish", payment)

    [letter] = scene.letters()
    assert parse_qs(letter.decode())["trade_status"] == ["TRADE_FINISHED"]
    assert scene.hand_over(letter) == TAKEN
    assert (Receipt.objects.count(), books.balance(CLEARING)) == (1, 9900)


def test_what_was_paid_and_given_back_before_we_heard_of_it_is_for_a_person(scene, time_machine):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)
    # By somebody at Alipay's own console.
    number = scene.trades()[payment.number]["trade_no"]
    assert alipay().refund(trade_no=number, out_request_no="CONSOLE", fen=9900, reason="手工")

    swept(time_machine, after=timedelta(seconds=15))

    assert "全额退款" in AlipayNotice.objects.get().problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


def test_a_refund_that_is_not_ours_is_for_a_person(scene):
    payment = scene.paid(9900, method="ALIPAY_LINK")
    number = trade_of(payment).trade_no
    assert alipay().refund(trade_no=number, out_request_no="CONSOLE", fen=100, reason="手工")

    assert scene.deliver() == [TAKEN]
    problem = AlipayNotice.objects.exclude(problem="").get().problem
    assert problem == "退款请求号 CONSOLE 不是本店的"


def test_notices_out_of_order_end_the_same(scene):
    payment = scene.opened(9900, method="ALIPAY_LINK")
    scene.follow(payment)
    scene.switch("out_of_order")
    scene.pay(payment)
    scene.control("finish", payment)

    letters = scene.letters(2)
    states = [parse_qs(letter.decode())["trade_status"][0] for letter in letters]
    assert states == ["TRADE_FINISHED", "TRADE_SUCCESS"]
    assert [scene.hand_over(letter) for letter in letters] == [TAKEN, TAKEN]
    assert (status(payment), Receipt.objects.count()) == ("CONFIRMED", 1)
