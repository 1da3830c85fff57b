"""A payment by WeChat Pay from the first tap to the refund, with every misfortune on the way."""

import time
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from payments.wechat_pay import giving_back, tasks
from payments.wechat_pay.method import BeingPaid, NoWechatLogin
from payments.wechat_pay.models import WeChatNotice, WeChatRefund, WeChatTrade
from tests.factories import make_user
from tests.payments import payable
from tests.payments.wechat_pay import payers

pytestmark = pytest.mark.django_db
CLEARING = "clearing:wechat"


def status(payment):
    return Payment.objects.get(pk=payment.pk).status


def swept(time_machine, *, after):
    """The sweep, so much later."""
    time_machine.move_to(now() + after, tick=True)
    tasks.ask_open()


def trade_of(payment):
    return WeChatTrade.objects.get(payment=payment)


# --- paid ---------------------------------------------------------------------------------------


def test_a_notice_turns_a_payment(scene):
    payment = scene.opened(9900)

    scene.pay(payment)
    assert status(payment) == "WAITING"

    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"
    assert payable.told.paid == [payment.reference]
    assert books.balance(CLEARING) == 9900
    assert Receipt.objects.get().channel_txn == trade_of(payment).transaction_id


def test_asked_twice_there_is_one_trade_and_one_session(scene):
    payer = make_user()
    first = scene.opened(reference="W0", payer=payer)
    session = trade_of(first).prepay_id

    again = scene.opened(reference="W0", payer=payer)

    assert again.pk == first.pk
    assert trade_of(first).prepay_id == session
    assert len(scene.trades()) == 1


def test_a_session_that_is_old_is_made_new_under_the_same_number(scene, time_machine):
    payment = scene.opened()
    before = trade_of(payment)
    scene.sandbox.move_clock(2 * 3600)
    WeChatTrade.objects.update(prepaid_at=now() - timedelta(hours=2))

    cashier.prepare(payment=payment, at=now())

    after = trade_of(payment)
    assert after.out_trade_no == before.out_trade_no
    assert after.prepay_id != before.prepay_id
    scene.pay(payment)
    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


def test_who_never_logged_in_with_wechat_is_told_so(scene):
    stranger = make_user()
    payers.unknown.add(stranger.pk)

    with pytest.raises(NoWechatLogin):
        scene.unprepared(payer=stranger)


@pytest.mark.parametrize("fault", ["error_before", "error_after", "reset", "garbage"])
def test_a_prepay_without_a_good_answer_is_asked_for_again(scene, fault):
    payment = scene.unprepared()
    scene.switch(fault)

    with pytest.raises(ChannelSilent):
        cashier.prepare(payment=payment, at=now())
    assert trade_of(payment).prepay_id == ""

    cashier.prepare(payment=payment, at=now())
    assert len(scene.trades()) == 1
    scene.pay(payment)
    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


@pytest.mark.parametrize("flaw", ["bad_signature", "signtest", "old_timestamp", "other_key"])
def test_nothing_is_concluded_from_an_unproven_answer(scene, flaw):
    payment = scene.unprepared()
    scene.switch(f"answer_{flaw}")

    with pytest.raises(ChannelSilent):
        cashier.prepare(payment=payment, at=now())
    assert trade_of(payment).prepaid_at is None


@pytest.mark.parametrize("regime", ["certificate", "public_key", "public_key_only"])
def test_either_regime_is_understood(scene, regime):
    scene.sandbox.control("wechat-pay/regime", regime=regime)
    payment = scene.opened()

    scene.pay(payment)

    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


def test_certificates_alone_will_do(scene, settings):
    settings.WECHAT_PAY = scene.told(public_key=False)
    payment = scene.opened()

    scene.pay(payment)

    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


# --- notices that say something else -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["double", "double_at_once", "double_new_id"])
def test_told_twice_is_paid_once(scene, kind):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)

    assert scene.deliver(2) == [204, 204]
    assert Receipt.objects.count() == 1
    assert books.balance(CLEARING) == 9900
    assert not WeChatNotice.objects.exclude(problem="").exists()


@pytest.mark.parametrize("kind", ["bad_signature", "old_timestamp", "other_key"])
def test_a_forged_or_old_notice_is_refused_and_made_up_for_by_asking(scene, time_machine, kind):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)
    assert scene.deliver() == [401]
    assert (status(payment), WeChatNotice.objects.count()) == ("WAITING", 0)

    swept(time_machine, after=timedelta(seconds=15))
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)


def test_a_probe_is_refused_and_changes_nothing(scene):
    payment = scene.opened()
    scene.switch("signtest")

    scene.pay(payment)

    assert scene.deliver(2) == [401, 204]
    assert status(payment) == "CONFIRMED"


def test_a_notice_under_the_other_good_key_is_heard(scene):
    payment = scene.opened()
    scene.switch("other_regime")

    scene.pay(payment)

    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("wrong_amount", "金额 9901 分，应为 9900 分"),
        ("wrong_mchid", "商户号 1900009999 不是本店的 1900000001"),
        ("wrong_appid", "小程序 wx0000000000000000 不是本店的"),
        ("wrong_currency", "币种为 USD"),
        ("unknown_order", "不是本店的"),
    ],
)
def test_what_a_retry_cannot_mend_is_kept_for_a_person(scene, kind, problem):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)

    assert scene.deliver() == [204]
    assert problem in WeChatNotice.objects.get().problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


def test_the_same_letter_again_is_known(scene):
    payment = scene.opened()
    scene.pay(payment)
    [letter] = scene.box.wait()

    assert [scene.hand_over(*letter) for _ in range(3)] == [204, 204, 204]
    assert (Receipt.objects.count(), WeChatNotice.objects.count()) == (1, 1)


def test_a_lost_notice_is_made_up_for_by_asking(scene, time_machine):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)

    swept(time_machine, after=timedelta(seconds=15))

    assert status(payment) == "CONFIRMED"
    assert books.balance(CLEARING) == 9900


def test_the_late_notice_of_what_was_asked_about_is_no_second_payment(scene, time_machine):
    payment = scene.opened(9900)
    scene.pay(payment)
    swept(time_machine, after=timedelta(seconds=15))
    time_machine.move_to(now() - timedelta(seconds=15), tick=True)

    assert scene.deliver() == [204]
    assert Receipt.objects.count() == 1


# --- closed -------------------------------------------------------------------------------------


def test_a_payment_is_given_up_only_after_wechat_has_closed_it(scene):
    payment = scene.opened()

    cashier.shut(purpose="ORDER", reference=payment.reference, at=now())

    assert trade_of(payment).status == "CLOSED"
    assert scene.trades()[trade_of(payment).out_trade_no]["trade_state"] == "CLOSED"


def test_paid_during_the_close_is_paid(scene):
    payment = scene.opened(9900)
    scene.switch("paid_during_close")

    with pytest.raises(BeingPaid):
        cashier.shut(purpose="ORDER", reference=payment.reference, at=now())

    assert status(payment) == "CONFIRMED"
    assert scene.deliver() == [204]
    assert Receipt.objects.count() == 1


def test_who_is_at_the_password_is_waited_for(scene, time_machine):
    payment = scene.opened()
    scene.switch("userpaying")

    with pytest.raises(BeingPaid):
        cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "OPEN"

    cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "CLOSED"


@pytest.mark.parametrize("fault", ["error_before", "error_after", "reset", "answer_bad_signature"])
def test_a_close_without_a_good_answer_closes_nothing_here(scene, fault):
    payment = scene.opened()
    scene.switch(fault)

    with pytest.raises(ChannelSilent):
        cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "OPEN"

    cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
    assert trade_of(payment).status == "CLOSED"


def test_who_thought_better_of_cancelling_can_pay_a_minute_later(scene):
    """Shut, and then the cancellation did not come: by a new number, once that is sure."""
    payment, at = scene.opened(9900), now()
    cashier.shut(purpose="ORDER", reference=payment.reference, at=at)

    cashier.prepare(payment=payment, at=at + timedelta(seconds=59))
    assert WeChatTrade.objects.filter(status="OPEN").count() == 0
    cashier.prepare(payment=payment, at=at + timedelta(seconds=61))

    assert set(scene.trades()) == {payment.number, f"{payment.number}-2"}
    scene.pay(payment)
    assert scene.deliver() == [204]
    assert status(payment) == "CONFIRMED"


def test_what_is_given_up_is_never_collected_again(scene):
    payment, at = scene.opened(), now()
    cashier.shut(purpose="ORDER", reference=payment.reference, at=at)
    cashier.close(purpose="ORDER", references=[payment.reference], at=at)

    cashier.prepare(payment=payment, at=at + timedelta(hours=1))

    assert set(scene.trades()) == {payment.number}
    assert not WeChatTrade.objects.filter(status="OPEN").exists()


def test_when_the_time_is_over_the_sweep_closes(scene, time_machine):
    payment = scene.opened()
    Payment.objects.update(pay_before=now() + timedelta(minutes=1))

    swept(time_machine, after=timedelta(minutes=2))

    assert trade_of(payment).status == "CLOSED"


def test_money_for_a_closed_payment_goes_back_by_itself(scene):
    payment = scene.opened(9900)
    scene.pay(payment)
    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    assert scene.deliver() == [204]

    refund = Refund.objects.get()
    assert (refund.reason, refund.status) == ("LATE", "APPROVED")
    assert sent(refund) == "DONE"
    assert books.balance(CLEARING) == 0


def test_the_second_channel_that_pays_one_thing_is_given_back_by_itself(scene):
    payment = scene.opened(9900)
    payable.told.paid.append(payment.reference)  # by another payment
    scene.pay(payment)

    assert scene.deliver() == [204]

    refund = Refund.objects.get()
    assert (refund.reason, refund.status) == ("TWICE", "APPROVED")
    assert sent(refund) == "DONE"
    assert books.balance(CLEARING) == 0


# --- back ---------------------------------------------------------------------------------------


def paid(scene, fen=9900):
    payment = scene.opened(fen)
    scene.pay(payment)
    assert scene.deliver() == [204]
    return payment


def cancelled(payment):
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    return Refund.objects.get(payment=payment)


def sent(refund, seconds=10):
    """The sweep, until WeChat has an answer: it takes a moment to settle."""
    deadline = time.monotonic() + seconds
    while True:
        cashier_tasks.send_refund(refund_id=refund.pk)
        refund.refresh_from_db()
        if refund.status != "SENDING" or time.monotonic() > deadline:
            return refund.status
        time.sleep(0.05)


def abnormal(refund):
    """The sweep, until WeChat says that the card is gone."""
    deadline = time.monotonic() + 10
    while not WeChatRefund.objects.filter(status="ABNORMAL").exists():
        assert time.monotonic() < deadline
        cashier_tasks.send_refund(refund_id=refund.pk)
        time.sleep(0.05)
    return WeChatRefund.objects.get()


def test_money_goes_back_the_way_it_came(scene):
    refund = cancelled(paid(scene, 9900))

    assert sent(refund) == "DONE"

    [theirs] = scene.refunds()
    assert (theirs["out_refund_no"], theirs["amount"]["refund"]) == (refund.number, 9900)
    assert refund.channel_txn == theirs["refund_id"]
    assert books.balance(CLEARING) == 0


@pytest.mark.parametrize(
    "fault", ["error_before", "error_after", "reset", "garbage", "answer_other_key"]
)
def test_a_refund_without_a_good_answer_is_asked_for_again_under_its_number(scene, fault):
    refund = cancelled(paid(scene))
    scene.switch(fault, on="/v3/refund/*")

    cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    assert refund.status == "SENDING"

    assert sent(refund) == "DONE"
    assert len(scene.refunds()) == 1
    assert books.balance(CLEARING) == 0


def test_a_refund_that_wechat_closed_has_not_left(scene):
    refund = cancelled(paid(scene, 9900))
    scene.switch("closed_refund")

    assert sent(refund) == "FAILED"
    assert books.balance(CLEARING) == 9900


def test_an_abnormal_refund_waits_for_another_card_of_the_buyers(scene, client):
    refund = cancelled(paid(scene, 9900))
    scene.switch("abnormal_refund")
    held = abnormal(refund)
    assert books.balance(CLEARING) == 9900
    client.force_login(make_user(is_superuser=True, is_staff=True))
    page = reverse("admin:payments_wechatrefund_to_card", args=[held.pk])
    card = {"bank_type": "ICBC_DEBIT", "card_no": "6222020200112233", "name": "王小明"}

    assert client.post(page, card).status_code == 302

    assert sent(refund) == "DONE"
    assert books.balance(CLEARING) == 0
    held.refresh_from_db()
    assert held.status == "SUCCESS"
    with pytest.raises(StaleState):
        giving_back.to_card(refund=held, at=now(), **card)


def test_news_of_a_refund_is_asked_about_not_believed(scene, django_capture_on_commit_callbacks):
    refund = cancelled(paid(scene, 9900))
    scene.switch("held_refund")
    assert sent(refund, seconds=0.5) == "SENDING"
    scene.sandbox.control("wechat-pay/refund", out_refund_no=refund.number, state="SUCCESS")

    with django_capture_on_commit_callbacks() as nudges:
        assert scene.deliver() == [204]

    assert len(nudges) == 1
    assert sent(refund) == "DONE"


def test_news_of_somebody_elses_refund_is_kept_for_a_person(scene):
    refund = cancelled(paid(scene))
    scene.switch("unknown_order", on="REFUND.SUCCESS")

    assert sent(refund) == "DONE"

    assert scene.deliver() == [204]
    assert "不是本店的" in WeChatNotice.objects.latest("pk").problem
