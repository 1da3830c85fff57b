"""Time-outs, questions without a good answer, and what others do at WeChat Pay's own console."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Receipt
from payments.channels import wechat
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from payments.wechat_pay.models import WeChatNotice
from tests.payments.hurry import ANSWERS_AFTER, hurried
from tests.payments.wechat_pay.test_round import (
    CLEARING,
    cancelled,
    paid,
    sent,
    status,
    swept,
    trade_of,
)

pytestmark = pytest.mark.django_db
QUERY = "/v3/pay/transactions/out-trade-no/*"


def slow(scene, on):
    scene.switch("slow", on=on, seconds=ANSWERS_AFTER)


def test_a_prepay_that_timed_out_and_was_made_is_the_same_trade(scene):
    payment = scene.unprepared(9900)
    slow(scene, "/v3/pay/transactions/jsapi")

    with hurried(wechat), pytest.raises(ChannelSilent):
        cashier.prepare(payment=payment, at=now())
    assert len(scene.trades()) == 1

    cashier.prepare(payment=payment, at=now())
    assert len(scene.trades()) == 1
    scene.pay(payment)
    assert scene.deliver() == [204]
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)


def test_a_refund_that_timed_out_and_was_made_is_made_once(scene):
    refund = cancelled(paid(scene, 9900))
    slow(scene, "/v3/refund/*")

    with hurried(wechat):
        cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert (refund.status, len(scene.refunds())) == ("SENDING", 1)
    assert books.balance(CLEARING) == 9900

    assert sent(refund) == "DONE"
    assert len(scene.refunds()) == 1
    assert books.balance(CLEARING) == 0


def test_a_close_that_timed_out_and_was_done_is_found_closed(scene):
    payment = scene.opened()
    slow(scene, "/v3/pay/transactions/out-trade-no/*")

    with hurried(wechat), pytest.raises(ChannelSilent):
        cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "OPEN"

    cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "CLOSED"


@pytest.mark.parametrize(
    "fault",
    [
        *("error_before", "error_after", "reset", "garbage", "slow"),
        *("answer_bad_signature", "answer_signtest", "answer_old_timestamp", "answer_other_key"),
    ],
)
def test_nothing_is_concluded_from_a_question_without_a_good_answer(scene, time_machine, fault):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)
    scene.switch(fault, on=QUERY, seconds=ANSWERS_AFTER)

    with hurried(wechat):
        swept(time_machine, after=timedelta(seconds=15))
    assert (status(payment), Receipt.objects.count()) == ("WAITING", 0)

    swept(time_machine, after=timedelta(seconds=45))
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)


def test_another_amount_found_by_asking_is_kept_for_a_person_once(scene, time_machine):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment, amount_fen=1)

    swept(time_machine, after=timedelta(seconds=15))
    swept(time_machine, after=timedelta(seconds=60))

    assert "金额 1 分，应为 9900 分" in WeChatNotice.objects.get().problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


def test_what_was_paid_and_given_back_before_we_heard_of_it_is_for_a_person(scene, time_machine):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)
    # By somebody at WeChat's own console; the trade's state is REFUND, and not SUCCESS any more.
    theirs = scene.trades()[payment.number]
    wechat.wechat_pay().refund(
        transaction_id=theirs["transaction_id"],
        out_refund_no="CONSOLE",
        fen=4_000,
        total_fen=9_900,
        reason="手工",
    )

    swept(time_machine, after=timedelta(seconds=15))
    swept(time_machine, after=timedelta(seconds=60))

    [kept] = WeChatNotice.objects.exclude(problem="")
    assert "已支付又退款" in kept.problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


def test_the_letter_that_comes_when_all_was_given_back_is_no_second_payment(scene, time_machine):
    """As TRADE_CLOSED after a refund is at Alipay."""
    payment = scene.opened(9900)
    scene.pay(payment)
    [letter] = scene.box.wait()
    swept(time_machine, after=timedelta(seconds=15))
    time_machine.move_to(now() - timedelta(seconds=15), tick=True)
    assert sent(cancelled(payment)) == "DONE"
    assert scene.trades()[payment.number]["trade_state"] == "REFUND"

    assert scene.hand_over(*letter) == 204

    assert (Receipt.objects.count(), books.balance(CLEARING)) == (1, 0)
    assert not WeChatNotice.objects.exclude(problem="").exists()
