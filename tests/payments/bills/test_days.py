"""A day of WeChat Pay's against ours, over HTTP with the sandbox: even, healed, different."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.bills import services
from payments.bills.models import ChannelDay, ChannelDifference
from payments.cashier.models import Payment, Receipt
from payments.channels import wechat
from payments.channels.answers import ChannelSilent
from payments.channels.wechat import Trade
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.wechat_pay import services as wechat_pay
from payments.wechat_pay.models import WeChatRefund, WeChatTrade
from tests.payments import payable
from tests.payments.bills.past import ACCOUNT, OPENING, close_all, fee, found

pytestmark = pytest.mark.django_db
CLEARING = "clearing:wechat"


def test_a_day_of_payments_and_refunds_is_even_and_in_the_books(past):
    whole, part = past.paid(9900), past.paid(12_345)
    past.paid(1)  # too little for a fee
    past.refunded(whole, 9900)
    past.refunded(part, 2_345)
    past.refunded(part, 5_000)

    day = past.taken_in()

    assert (day.status, day.account) == ("EVEN", ACCOUNT)
    assert (day.trades, day.trades_fen) == (3, 22_246)
    assert (day.refunds, day.refunds_fen) == (3, 17_245)
    kept = fee(5_000)  # what is left of the second
    assert day.fee_fen == kept
    assert (day.opening_fen, day.closing_fen) == (OPENING, OPENING + 5_001 - kept)
    assert books.balance(ACCOUNT) == day.closing_fen
    assert books.balance(CLEARING) == 0
    assert books.balance("channel_fee:wechat") == kept
    assert books.balance("opening:wechat") == OPENING
    assert not WeChatTrade.objects.exclude(billed_on=past.day).exists()
    assert not WeChatRefund.objects.exclude(billed_on=past.day).exists()


def test_a_day_on_which_nothing_happened_has_no_bill_and_is_even(past):
    day = past.taken_in()

    assert (day.status, day.trades, day.opening_fen, day.closing_fen) == ("EVEN", 0, None, None)
    assert not Posting.objects.exists()


def test_a_payment_whose_notice_was_lost_is_healed_and_then_even(past):
    payment = past.paid(9900, told=False)
    assert payment.status == "WAITING"

    day = past.taken_in()

    payment.refresh_from_db()
    assert (payment.status, day.status) == ("CONFIRMED", "EVEN")
    assert Receipt.objects.count() == 1
    assert books.balance(CLEARING) == 0


def test_a_refund_whose_answer_was_lost_is_healed_and_then_even(past):
    payment = past.paid(9900)
    past.scene.switch("error_after", on="/v3/refund/*")
    past.scene.switch("held_refund")
    refund = past.refunded(payment, 4_000, ends=False)
    assert (refund.status, WeChatRefund.objects.count()) == ("SENDING", 0)
    past.scene.sandbox.control("wechat-pay/refund", out_refund_no=refund.number, state="SUCCESS")

    day = past.taken_in()

    refund.refresh_from_db()
    assert (refund.status, day.status) == ("DONE", "EVEN")
    assert books.balance(CLEARING) == 0


def test_a_refund_of_which_nothing_can_be_heard_just_now_makes_the_day_wait(past):
    payment = past.paid(9900)
    past.scene.switch("error_after", on="/v3/refund/*")
    refund = past.refunded(payment, 4_000, ends=False)
    past.wait_for(refund.number)
    past.scene.switch("error_before", on="/v3/refund/*")

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


def test_a_trade_of_theirs_that_we_never_had_is_missing_here(past):
    payment = past.paid(9900)
    others = past.scene.unprepared(5_000)
    wechat.wechat_pay().prepay(
        out_trade_no="SOMEBODY-ELSE-1",
        description="别的系统",
        fen=5_000,
        openid=WeChatTrade.objects.get(payment=others).openid,
        pay_before=now() + timedelta(days=1),
    )
    past.scene.sandbox.control("wechat-pay/pay", out_trade_no="SOMEBODY-ELSE-1")

    day = past.taken_in()

    assert day.status == "DIFFERS"
    assert found() == [("TRADE", "MISSING_HERE", 0, 5_000)]
    [one] = ChannelDifference.objects.all()
    assert one.our_number == "SOMEBODY-ELSE-1"
    assert one.their_number == past.scene.trades()["SOMEBODY-ELSE-1"]["transaction_id"]
    # Theirs is in the account, and waits in clearing for whose it is.
    assert books.balance(ACCOUNT) == day.closing_fen
    assert books.balance(CLEARING) == -5_000
    assert payment.status == "CONFIRMED"
    assert [finding for finding in ledger.audit() if "1 处差异" in finding]
    close_all()


def test_a_trade_of_ours_that_they_never_had_is_missing_there(past):
    past.paid(9900)
    forged = past.scene.unprepared(8_000)
    past.scene.trades()
    trade, pay = WeChatTrade.objects.get(payment=forged), wechat.wechat_pay()
    at = WeChatTrade.objects.get(status="PAID").success_at
    word = Trade(
        trade.out_trade_no, "SUCCESS", pay.mchid, pay.appid, "T-FORGED", 8_000, success_at=at
    )
    assert wechat_pay.take(theirs=word, at=now()) == ""

    day = past.taken_in()

    assert day.status == "DIFFERS"
    assert found() == [("TRADE", "MISSING_THERE", 8_000, 0)]
    assert books.balance(CLEARING) == 8_000  # never came
    close_all()


def test_another_amount_than_we_asked_for_is_a_difference_and_pays_nothing(past):
    payment = past.scene.opened(9900)
    past.scene.pay(payment, amount_fen=9_800)
    assert past.scene.deliver() == [204]

    day = past.taken_in()

    payment.refresh_from_db()
    assert (day.status, payment.status) == ("DIFFERS", "WAITING")
    assert found() == [("TRADE", "AMOUNT", 9_900, 9_800)]
    close_all()


def test_a_fee_that_is_not_the_rate_is_a_difference(past, settings):
    settings.CHANNEL_FEE_PERCENT = {"wechat": 1}
    past.paid(10_000)

    past.taken_in()

    assert found() == [("TRADE", "FEE", 100, 60)]
    close_all()


def test_an_abnormal_refund_is_a_difference_until_it_has_left(past, settings):
    refund = past.paid(9900)
    past.scene.switch("abnormal_refund")
    sent = past.refunded(refund, 9900)
    assert sent.status == "SENDING"

    day = past.taken_in()
    assert found() == [("REFUND", "STATE", 9_900, 9_900)]
    states = ChannelDifference.objects.values_list("our_state", "their_state")
    assert states.get() == ("SENDING", "CHANGE")

    past.scene.sandbox.control("wechat-pay/refund", out_refund_no=sent.number, state="SUCCESS")
    past.send(sent)
    services.compare_again(day=day)
    day = past.taken_in()

    assert (sent.status, day.status, found()) == ("DONE", "EVEN", [])
    assert ChannelDifference.objects.get().reason == services.MET


def test_a_refund_that_they_closed_comes_back_into_the_account(past):
    payment = past.paid(9900)
    past.scene.switch("closed_refund")
    refund = past.refunded(payment, 9900)
    assert refund.status == "FAILED"

    day = past.taken_in()

    assert (day.status, day.refunds_fen) == ("EVEN", 9_900)
    assert books.balance(CLEARING) == 0
    assert books.balance(ACCOUNT) == OPENING + 9_900 - fee(9_900)


def test_a_refund_on_its_way_at_midnight_is_no_difference(past):
    payment = past.paid(9900)
    past.scene.switch("held_refund")
    refund = past.refunded(payment, 9900, ends=False)

    day = past.taken_in()

    assert (day.status, refund.status) == ("EVEN", "SENDING")
    assert books.balance(CLEARING) == 9_900  # theirs has left, ours has not been told so
    past.scene.sandbox.control("wechat-pay/refund", out_refund_no=refund.number, state="SUCCESS")
    past.send(refund)
    assert books.balance(CLEARING) == 0


# --- days ---------------------------------------------------------------------------------------


def test_a_second_before_midnight_is_that_day_and_midnight_the_next(past):
    before = past.go(days=3, hour=23, minute=59, second=55)
    late = past.paid(1_000)
    after = past.go(days=2, hour=0)
    early = past.paid(2_000)

    first, second = past.taken_in(before), past.taken_in(after)

    assert (first.status, first.trades_fen) == ("EVEN", 1_000)
    assert (second.status, second.trades_fen) == ("EVEN", 2_000)
    billed = WeChatTrade.objects.values_list("payment", "billed_on")
    assert set(billed) == {(late.pk, before), (early.pk, after)}


def test_a_trade_that_they_list_a_day_later_is_known_by_its_number(past):
    before = past.go(days=3)
    past.paid(1_000)
    after = past.go(days=2)
    past.paid(2_000)
    # As if our clock, or the word that we had, said another side of midnight.
    WeChatTrade.objects.filter(amount_fen=2_000).update(
        success_at=WeChatTrade.objects.get(amount_fen=1_000).success_at
    )

    first = past.taken_in(before)
    assert found() == [("TRADE", "MISSING_THERE", 2_000, 0)]
    second = past.taken_in(after)

    first.refresh_from_db()
    assert (first.status, second.status, found()) == ("SETTLED", "EVEN", [])
    [met] = ChannelDifference.objects.all()
    assert (met.reason, met.closed_by) == (services.MET, "")


def test_days_may_come_in_any_order_and_the_opening_is_the_earliest(past):
    first = past.go(days=4)
    past.paid(1_000)
    second = past.go(days=3)
    past.paid(2_000)

    past.taken_in(second)
    assert books.balance("opening:wechat") == OPENING + 1_000 - fee(1_000)
    past.taken_in(first)

    assert books.balance("opening:wechat") == OPENING
    assert books.balance(ACCOUNT) == OPENING + 3_000 - fee(1_000) - fee(2_000)
    references = Posting.objects.filter(kind="OPENING").order_by("pk")
    assert list(references.values_list("reference", flat=True)) == [ACCOUNT, f"{ACCOUNT}:2"]


def test_a_gap_in_days_is_told(past):
    first = past.go(days=5)
    past.paid(1_000)
    missing = past.go(days=4)
    past.paid(2_000)
    last = past.go(days=3)
    past.paid(3_000)
    past.taken_in(first)
    past.taken_in(last)

    told = [finding for finding in ledger.audit() if finding.startswith(ACCOUNT)]

    assert len(told) == 3  # the day, the balances on both sides of it, the account
    assert f"{missing}" in told[0]
    past.taken_in(missing)
    assert ledger.audit() == []


def test_fetched_twice_nothing_is_twice(past, settings):
    settings.CHANNEL_FEE_PERCENT = {"wechat": 1}
    past.paid(10_000)
    day = past.taken_in()
    before = (found(), books.balance(ACCOUNT), Posting.objects.count())

    again = past.taken_in()  # it is in
    services.compare_again(day=day)
    anew = past.taken_in()  # it is fetched anew

    assert (again.status, anew.status) == ("DIFFERS", "DIFFERS")
    assert (found(), books.balance(ACCOUNT), Posting.objects.count()) == before
    close_all()
    services.compare_again(day=day)
    assert past.taken_in().status == "SETTLED"  # what a person has closed stays closed
    assert ChannelDay.objects.count() == 1
    assert Payment.objects.get().status == "CONFIRMED"
