"""Nobody can pay any more: before what is paid for is given to somebody else; and another try."""

from datetime import datetime, timedelta

import pytest
from django.utils.timezone import now

from payments.alipay import tasks
from payments.alipay.method import BeingPaid
from payments.alipay.models import AlipayTrade
from payments.alipay.services import StillPayable
from payments.cashier import queries
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Receipt, Refund
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from tests.payments import payable
from tests.payments.alipay.scene import (
    CLEARING,
    TAKEN,
    UNPROVEN,
    WAYS,
    give_up,
    sent,
    status,
    trade_of,
)

pytestmark = pytest.mark.django_db
ways = pytest.mark.parametrize("way", WAYS)


# --- closed -------------------------------------------------------------------------------------


@ways
def test_what_was_handed_out_and_never_used_is_not_given_up_before_it_is_dead(scene, way):
    """Alipay knows nothing of it, and would begin a trade a moment after saying so."""
    payment = scene.opened(method=way)
    address = scene.leave(payment) if way == "ALIPAY_LINK" else scene.qr(payment)

    with pytest.raises(StillPayable) as no:
        give_up(payment)
    assert trade_of(payment).status == "OPEN"
    until = datetime.fromisoformat(no.value.details["until"])
    assert until == trade_of(payment).offered_until

    scene.grow_old(timedelta(minutes=15, seconds=11))
    give_up(payment)
    assert trade_of(payment).status == "CLOSED"
    scene.sandbox.move_clock(15 * 60 + 11)
    scene.sandbox.http.get(address, timeout=10)
    with pytest.raises(AssertionError, match="ACQ"):
        scene.pay(payment)
    assert not any(trade["paid_at"] for trade in scene.trades().values())


def test_up_to_then_it_could_indeed_be_paid(scene):
    """If this ever fails, the test above proves nothing."""
    payment = scene.opened()
    address = scene.qr(payment)

    assert "支付 ¥99.00" in scene.sandbox.http.get(address, timeout=10).text
    scene.pay(payment)
    assert scene.deliver() == [TAKEN]


def test_a_link_that_nobody_has_followed_is_given_up_at_once_and_leads_nowhere(scene):
    payment = scene.opened(method="ALIPAY_LINK")

    give_up(payment)

    assert trade_of(payment).status == "CLOSED"
    answer = scene.page(payment, "/alipay")
    assert (answer.status_code, "现在不能付款" in answer.content.decode()) == (409, True)


@ways
def test_a_trade_that_has_begun_is_closed_for_ever(scene, way):
    payment = scene.opened(method=way)
    scene.follow(payment) if way == "ALIPAY_LINK" else scene.scan(payment)

    give_up(payment)

    assert trade_of(payment).status == "CLOSED"
    assert scene.trades()[payment.number]["status"] == "TRADE_CLOSED"


def test_paid_during_the_close_is_paid(scene):
    payment = scene.opened(9900)
    scene.scan(payment)
    scene.switch("paid_during_close")

    with pytest.raises(BeingPaid):
        give_up(payment)

    assert status(payment) == "CONFIRMED"
    assert scene.deliver() == [TAKEN]
    assert Receipt.objects.count() == 1


def test_who_is_at_the_password_is_waited_for(scene):
    payment = scene.opened()
    scene.scan(payment)
    scene.switch("not_closable")

    with pytest.raises(BeingPaid):
        give_up(payment)
    assert trade_of(payment).status == "OPEN"

    give_up(payment)
    assert trade_of(payment).status == "CLOSED"


@pytest.mark.parametrize("fault", UNPROVEN)
def test_a_close_without_a_good_answer_closes_nothing_here(scene, fault):
    payment = scene.opened()
    scene.scan(payment)
    scene.switch(fault, method="alipay.trade.close")

    with pytest.raises(ChannelSilent):
        give_up(payment)
    assert trade_of(payment).status == "OPEN"

    give_up(payment)
    assert trade_of(payment).status == "CLOSED"


@pytest.mark.parametrize("begun", [True, False])
def test_when_the_time_is_over_the_sweep_closes(scene, begun):
    payment = scene.unprepared()
    Payment.objects.update(pay_before=now() + timedelta(minutes=2))
    payment.refresh_from_db()
    cashier.prepare(payment=payment, at=now())
    if begun:
        scene.scan(payment)

    scene.grow_old(timedelta(minutes=2, seconds=11))
    Payment.objects.update(pay_before=now() - timedelta(seconds=11))
    tasks.ask_open()

    assert trade_of(payment).status == "CLOSED"
    assert status(payment) == "WAITING"  # whoever sells it closes it


def test_an_order_waits_until_alipay_has_closed_its_trade(scene):
    payment, at = scene.opened(), now()
    asked = {"purpose": "ORDER", "references": [payment.reference], "at": at}

    assert queries.unheard(**asked) == {payment.reference: at + timedelta(seconds=15)}
    scene.scan(payment)
    give_up(payment)
    assert queries.unheard(**asked) == {}


def test_money_for_a_closed_payment_goes_back_by_itself(scene):
    payment = scene.opened(9900)
    scene.pay(payment)
    cashier.close(purpose="ORDER", references=[payment.reference], at=now())

    assert scene.deliver() == [TAKEN]

    refund = Refund.objects.get()
    assert (refund.reason, refund.status) == ("LATE", "APPROVED")
    assert sent(refund) == "DONE"
    assert books.balance(CLEARING) == 0
    assert scene.trades()[payment.number]["status"] == "TRADE_CLOSED"


def test_the_second_channel_that_pays_one_thing_is_given_back_by_itself(scene):
    payment = scene.opened(9900)
    payable.told.paid.append(payment.reference)  # by another payment
    scene.pay(payment)

    assert scene.deliver() == [TAKEN]

    refund = Refund.objects.get()
    assert (refund.reason, refund.status) == ("TWICE", "APPROVED")
    assert sent(refund) == "DONE"
    assert books.balance(CLEARING) == 0


# --- another try ----------------------------------------------------------------------------------


def test_a_code_that_is_old_is_made_new_under_the_same_number(scene):
    payment = scene.opened()
    scene.grow_old(timedelta(minutes=14))
    before = trade_of(payment)

    cashier.prepare(payment=payment, at=now())

    after = trade_of(payment)
    assert after.out_trade_no == before.out_trade_no
    assert after.qr_code != before.qr_code
    assert after.offered_until > before.offered_until
    scene.pay(payment)
    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"


def test_a_trade_is_not_closed_under_the_thumb_of_who_is_paying_it(scene):
    payment = scene.opened()
    scene.scan(payment)

    scene.grow_old(timedelta(minutes=14))
    cashier.prepare(payment=payment, at=now())

    scene.pay(payment)
    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"


@ways
def test_a_trade_that_alipay_closed_for_its_time_is_followed_by_another(scene, way):
    payment = scene.opened(method=way)
    scene.follow(payment) if way == "ALIPAY_LINK" else scene.scan(payment)

    scene.grow_old(timedelta(minutes=16))
    if way == "ALIPAY_LINK":
        assert "¥99.00" in scene.follow(payment)
    cashier.prepare(payment=payment, at=now())

    numbers = list(AlipayTrade.objects.order_by("pk").values_list("out_trade_no", "status"))
    assert numbers == [(payment.number, "CLOSED"), (f"{payment.number}_2", "OPEN")]
    scene.pay(payment)
    # Of a link Alipay tells the end of the first one, too.
    scene.deliver(2 if way == "ALIPAY_LINK" else 1)
    assert status(payment) == "CONFIRMED"


def test_who_thought_better_of_cancelling_can_pay_a_minute_later(scene):
    payment = scene.opened()
    scene.scan(payment)
    give_up(payment)

    cashier.prepare(payment=payment, at=now())
    assert scene.instructions(payment) == {}

    scene.grow_old(timedelta(seconds=61))
    cashier.prepare(payment=payment, at=now())
    scene.pay(payment)
    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"
