"""A day of Alipay's against ours, over HTTP with the sandbox: even, healed, different, booked."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.alipay import services as alipay_services
from payments.alipay.models import AlipayTrade
from payments.bills import services, tasks
from payments.bills.models import ChannelDay, ChannelDifference
from payments.cashier import refunds
from payments.cashier.models import Payment, Receipt, Refund, RefundPart
from payments.cashier.rules import Owed
from payments.channels.alipay import Trade, alipay
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from tests.payments import payable
from tests.payments.bills.past import ALIPAY_ACCOUNT as ACCOUNT
from tests.payments.bills.past import ALIPAY_OPENING as OPENING
from tests.payments.bills.past import close_all, fee, found
from tests.sandbox.alipay.wire import APP_ID, SELLER_ID

pytestmark = pytest.mark.django_db
CLEARING = "clearing:alipay"
REFUND, LOOK = "alipay.trade.refund", "alipay.trade.fastpay.refund.query"


@pytest.fixture
def past(alipay_past):
    return alipay_past


def strange(number, fen):
    """A trade of our app that we never wrote down."""
    alipay().precreate(
        out_trade_no=number, subject="别的系统", fen=fen, until=now() + timedelta(days=1)
    )


def owed(payment, fen):
    """A refund that nobody has sent yet."""
    [row] = Payment.objects.filter(pk=payment.pk).locked()
    [pk] = refunds.owe_back(owed=[Owed(row, fen)], reason="CANCELLED", status="APPROVED", at=now())
    return Refund.objects.get(pk=pk)


def test_a_day_of_payments_and_refunds_is_even_and_in_the_books(past):
    whole, part = past.paid(9900), past.paid(12_345)
    past.paid(1)  # too little for a fee
    linked = past.scene.opened(5_000, method="ALIPAY_LINK")
    past.scene.follow(linked)
    past.scene.pay(linked)
    past.hear(linked)
    past.refunded(whole, 9900)
    past.refunded(part, 2_345)
    past.refunded(part, 5_000)

    day = past.taken_in()

    kept = fee(9_900) + fee(12_345) + fee(5_000)  # refunds give none of it back
    assert (day.status, day.account) == ("EVEN", ACCOUNT)
    assert (day.trades, day.trades_fen) == (4, 27_246)
    assert (day.refunds, day.refunds_fen) == (3, 17_245)
    assert day.fee_fen == kept
    assert (day.opening_fen, day.closing_fen) == (OPENING, OPENING + 10_001 - kept)
    assert books.balance(ACCOUNT) == day.closing_fen
    assert books.balance(CLEARING) == 0
    assert books.balance("channel_fee:alipay") == kept
    assert books.balance("opening:alipay") == OPENING
    assert not AlipayTrade.objects.exclude(billed_on=past.day).exists()
    assert not RefundPart.objects.exclude(billed_on=past.day).exists()


def test_a_day_on_which_nothing_happened_has_no_bill_and_is_even(past):
    day = past.taken_in()

    assert (day.status, day.trades, day.opening_fen, day.closing_fen) == ("EVEN", 0, None, None)
    assert not Posting.objects.exists()


def test_that_there_is_no_bill_is_not_believed_of_a_day_of_which_we_know_better(past):
    """Alipay says the same of a bill that is not made yet."""
    past.paid(9900)
    empty = past.day - timedelta(days=1)
    AlipayTrade.objects.update(success_at=now() - timedelta(days=3))

    with pytest.raises(ChannelSilent, match="可能还没有生成"):
        past.taken_in(empty)

    assert not ChannelDay.objects.exists()


def test_the_round_keeps_why_a_day_waits(past):
    past.paid(9900)
    AlipayTrade.objects.update(success_at=now() - timedelta(days=3))
    past.back()
    empty = past.day - timedelta(days=1)
    for day in (empty, past.day):
        ChannelDay.objects.create(channel="ALIPAY", day=day, tried_at=now())

    tasks.fetch_bills()

    waiting = ChannelDay.objects.get(day=empty)
    assert (waiting.status, "可能还没有生成" in waiting.problem) == ("WAITING", True)
    assert ChannelDay.objects.get(day=past.day).status == "EVEN"  # the others are not kept waiting


def test_a_payment_whose_notice_was_lost_is_healed_and_then_even(past):
    payment = past.paid(9900, told=False)
    assert payment.status == "WAITING"

    day = past.taken_in()

    payment.refresh_from_db()
    assert (payment.status, day.status) == ("CONFIRMED", "EVEN")
    assert Receipt.objects.count() == 1
    assert f"{AlipayTrade.objects.get().success_at.astimezone():%F}" == f"{past.day}"
    assert books.balance(CLEARING) == 0


def lost(past, fen=4_000):
    """A refund that Alipay has made, and of which we have heard nothing."""
    payment = past.paid(9900)
    past.scene.switch("error_after", method=REFUND)
    refund = past.refunded(payment, fen, ends=False)
    assert refund.status == "SENDING"
    return refund


def test_a_refund_whose_answer_was_lost_is_healed_and_then_even(past):
    refund = lost(past)

    day = past.taken_in()

    refund.refresh_from_db()
    assert (refund.status, day.status) == ("DONE", "EVEN")
    assert books.balance(CLEARING) == 0


@pytest.mark.parametrize("kind", ["error_before", "unknown_before", "answer_other_key"])
def test_a_refund_of_which_nothing_can_be_heard_just_now_makes_the_day_wait(past, kind):
    lost(past)
    past.scene.switch(kind, method=LOOK)

    with pytest.raises(ChannelSilent):
        past.taken_in()
    assert not Posting.objects.filter(kind="CHANNEL_DAY").exists()

    assert past.taken_in().status == "EVEN"


def test_one_payment_that_cannot_be_taken_is_a_difference_and_stops_no_other(past):
    poisoned = past.paid(9900, told=False)
    healed = past.paid(8800, told=False)
    payable.told.poisonous.add(poisoned.reference)

    day = past.taken_in()

    healed.refresh_from_db()
    assert (day.status, healed.status) == ("DIFFERS", "CONFIRMED")
    assert found() == [("TRADE", "STATE", 9_900, 9_900)]
    payable.told.poisonous.clear()
    services.compare_again(day=day)
    assert past.taken_in().status == "EVEN"


# --- differences --------------------------------------------------------------------------------


def test_a_trade_of_theirs_that_we_never_had_is_missing_here(past):
    payment = past.paid(9900)
    strange("SOMEBODY_ELSE_1", 5_000)
    past.scene.sandbox.control("alipay/pay", out_trade_no="SOMEBODY_ELSE_1")

    day = past.taken_in()

    assert (payment.status, day.status) == ("CONFIRMED", "DIFFERS")
    assert found() == [("TRADE", "MISSING_HERE", 0, 5_000)]
    [one] = ChannelDifference.objects.all()
    theirs = past.scene.trades()["SOMEBODY_ELSE_1"]["trade_no"]
    assert (one.our_number, one.their_number) == ("SOMEBODY_ELSE_1", theirs)
    assert books.balance(ACCOUNT) == day.closing_fen
    assert books.balance(CLEARING) == -5_000  # waits for whose it is
    assert [finding for finding in ledger.audit() if "1 处差异" in finding]
    close_all()


def test_a_trade_of_ours_that_they_never_had_is_missing_there(past):
    past.paid(9900)
    forged = past.scene.unprepared(8_000)
    at = AlipayTrade.objects.get(status="PAID").success_at
    word = Trade(
        forged.number, "TRADE_SUCCESS", APP_ID, SELLER_ID, 8_000, "T-FORGED", True, paid_at=at
    )
    assert alipay_services.take(theirs=word, at=now()) == ""

    day = past.taken_in()

    assert day.status == "DIFFERS"
    assert found() == [("TRADE", "MISSING_THERE", 8_000, 0)]
    assert books.balance(CLEARING) == 8_000  # never came
    close_all()


def test_another_amount_than_we_asked_for_is_a_difference_and_pays_nothing(past):
    payment = past.scene.opened(9900)
    past.scene.pay(payment, amount_fen=9_800)
    past.scene.deliver()

    day = past.taken_in()

    payment.refresh_from_db()
    assert (day.status, payment.status) == ("DIFFERS", "WAITING")
    assert found() == [("TRADE", "AMOUNT", 9_900, 9_800)]
    close_all()


def test_a_fee_that_is_not_the_rate_is_a_difference(past, settings):
    settings.CHANNEL_FEE_PERCENT = {"alipay": 1}
    past.paid(10_000)

    past.taken_in()

    assert found() == [("TRADE", "FEE", 100, 60)]
    close_all()


def test_a_refund_that_somebody_made_by_hand_is_missing_here(past):
    past.paid(9900)
    trade_no = AlipayTrade.objects.get().trade_no
    alipay().refund(trade_no=trade_no, out_request_no="HAND", fen=1_000, reason="客服")

    day = past.taken_in()

    assert found() == [("REFUND", "MISSING_HERE", 0, 1_000)]
    difference = ChannelDifference.objects.get()
    assert (difference.our_number, difference.their_number) == ("HAND", f"{trade_no}#HAND")
    assert (books.balance(ACCOUNT), books.balance(CLEARING)) == (day.closing_fen, 1_000)
    close_all()


def test_our_refund_number_with_another_amount_is_a_difference_and_not_waited_for(past):
    payment = past.paid(9900)
    refund = owed(payment, 4_000)
    trade_no = AlipayTrade.objects.get().trade_no
    alipay().refund(trade_no=trade_no, out_request_no=refund.number, fen=1_000, reason="客服")
    past.send(refund)
    assert refund.status == "SENDING"

    past.taken_in()

    assert found() == [("REFUND", "AMOUNT", 4_000, 1_000)]
    close_all()


def test_a_refund_of_ours_that_another_day_has_is_missing_until_that_day_is_in(past):
    before = past.go(days=3)
    payment = past.paid(9900)
    after = past.go(days=2)
    past.refunded(payment, 4_000)
    RefundPart.objects.update(done_at=AlipayTrade.objects.get().success_at)

    first = past.taken_in(before)
    assert found() == [("REFUND", "MISSING_THERE", 4_000, 0)]
    second = past.taken_in(after)

    first.refresh_from_db()
    assert (first.status, second.status, found()) == ("SETTLED", "EVEN", [])
    [met] = ChannelDifference.objects.all()
    assert (met.reason, met.closed_by) == (services.MET, "")
    assert books.balance(CLEARING) == 0


# --- the account --------------------------------------------------------------------------------


def test_what_leaves_the_account_and_is_no_refund_is_elsewhere(past):
    past.paid(9900)
    alipay()._ask.server_api(
        "alipay.fund.trans.uni.transfer",
        {
            "out_biz_no": "P1",
            "trans_amount": "12.30",
            "product_code": "TRANS_ACCOUNT_NO_PWD",
            "biz_scene": "DIRECT_TRANSFER",
            "order_title": "提现",
            "payee_info": {"identity": "2088123412341234", "identity_type": "ALIPAY_USER_ID"},
        },
    )

    day = past.taken_in()

    assert day.status == "EVEN"
    assert books.balance("elsewhere:alipay") == -1_230
    assert books.balance(ACCOUNT) == OPENING + 9_900 - fee(9_900) - 1_230 == day.closing_fen


def test_days_may_come_in_any_order_and_the_opening_is_the_earliest(past):
    first = past.go(days=4)
    past.paid(1_000)
    second = past.go(days=3)
    past.paid(2_000)

    past.taken_in(second)
    assert books.balance("opening:alipay") == OPENING + 1_000 - fee(1_000)
    past.taken_in(first)

    assert books.balance("opening:alipay") == OPENING
    assert books.balance(ACCOUNT) == OPENING + 3_000 - fee(1_000) - fee(2_000)


def test_the_audit_holds_the_account_against_the_last_balance(past):
    """Invariant 11: alipay = 账户余额."""
    first = past.go(days=4)
    past.paid(1_000)
    missing = past.go(days=3)
    past.paid(2_000)
    last = past.go(days=2)
    past.paid(3_000)
    past.taken_in(first)
    past.taken_in(last)

    told = [finding for finding in ledger.audit() if finding.startswith(ACCOUNT)]

    assert len(told) == 3  # the day, the balances on both sides of it, the account
    assert f"{missing}" in told[0]
    past.taken_in(missing)
    assert ledger.audit() == []


def test_fetched_twice_nothing_is_twice(past, settings):
    settings.CHANNEL_FEE_PERCENT = {"alipay": 1}
    past.paid(10_000)
    day = past.taken_in()
    before = (found(), books.balance(ACCOUNT), Posting.objects.count())

    services.compare_again(day=day)
    anew = past.taken_in()

    assert anew.status == "DIFFERS"
    assert (found(), books.balance(ACCOUNT), Posting.objects.count()) == before
    close_all()
    services.compare_again(day=day)
    assert past.taken_in().status == "SETTLED"
    assert ChannelDay.objects.count() == 1


def test_a_channel_that_is_off_is_not_asked(past, settings):
    settings.ALIPAY = {}

    tasks.fetch_bills()

    assert not ChannelDay.objects.exists()
