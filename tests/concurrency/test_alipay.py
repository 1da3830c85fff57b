"""Alipay's word from several sides at once; each race beside a control without its guard."""

import time

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.alipay import offers, services
from payments.alipay.method import BeingPaid
from payments.alipay.models import AlipayNotice, AlipayTrade
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.rules import Arrival
from payments.channels.alipay import alipay
from payments.ledger import queries as books
from tests.concurrency.together import together
from tests.payments.alipay.conftest import sandbox, sandbox_process, scene  # noqa: F401
from tests.payments.alipay.scene import CLEARING, link_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_notice_at_six_doors_is_money_once(scene):  # noqa: F811
    payment = scene.opened(9900)
    scene.pay(payment)
    [letter] = scene.letters()

    assert together(6, lambda i: scene.hand_over(letter)[1].decode()) == {"success": 6}

    assert (Receipt.objects.count(), AlipayNotice.objects.count()) == (1, 1)
    assert books.balance(CLEARING) == 9900


def test_notices_and_queries_at_once_are_money_once(scene):  # noqa: F811
    payment = scene.opened(9900)
    scene.pay(payment)
    [letter] = scene.letters()
    trade = AlipayTrade.objects.select_related("payment").get()

    def told(i):
        if i % 2:
            return scene.hand_over(letter)[1].decode()
        services.ask(trade=trade, at=now())
        return "asked"

    assert together(6, told) == {"success": 3, "asked": 3}
    assert (Receipt.objects.count(), books.balance(CLEARING)) == (1, 9900)


def test_without_the_compare_and_set_each_word_would_be_an_arrival(scene):  # noqa: F811
    """If this ever fails, the tests above prove nothing."""
    payment = scene.opened(9900)

    def careless(i):
        with transaction.atomic():
            if AlipayTrade.objects.get(payment=payment).status != "OPEN":
                return "known"
            time.sleep(0.05)
            arrival = Arrival(payment.pk, f"T{i}", 9900, CLEARING)
            share = cashier.confirm(arrivals=[arrival], at=now())[f"T{i}"]
            transaction.set_rollback(True)  # the control's books are nobody's
            return "booked" if share.kept_fen or share.owed_fen else "known"

    assert together(4, careless) == {"booked": 4}


def test_paid_and_given_up_at_once_the_money_is_kept_or_was_never_taken(scene):  # noqa: F811
    """A buyer's tap against a cancellation: what is given up is not paid for afterwards."""
    for _ in range(6):
        payment = scene.opened(9900)
        scene.scan(payment)

        def act(i, payment=payment):
            if i == 0:
                try:
                    scene.pay(payment)
                except AssertionError:
                    return "too late to pay"
                theirs = alipay().query(payment.number)
                assert services.take(theirs=theirs, at=now()) == ""
                return "paid"
            try:
                cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
            except BeingPaid:
                return "kept open"
            cashier.close(purpose="ORDER", references=[payment.reference], at=now())
            return "given up"

        endings = together(2, act)

        kept = Payment.objects.get(pk=payment.pk).status
        assert (kept, set(endings)) in [
            ("CONFIRMED", {"paid", "kept open"}),
            ("CLOSED", {"too late to pay", "given up"}),
        ]
    assert not Refund.objects.exists()


def test_left_for_alipay_and_given_up_at_once_only_one_has_its_way(scene):  # noqa: F811
    """Whoever is given an address can pay by it; whoever gives up knows that nobody was."""
    both = set()
    for _ in range(12):
        payment = scene.opened(9900, method="ALIPAY_LINK")

        def act(i, payment=payment):
            if i == 0:
                offers.leave_for_alipay(payment=payment, return_url=link_of(payment), at=now())
                return "left"
            cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
            return "shut"

        endings = together(2, act)

        trade = AlipayTrade.objects.get(payment=payment)
        assert not ("left" in endings and "shut" in endings), endings
        assert trade.status == ("CLOSED" if "shut" in endings else "OPEN")
        both |= set(endings)
    assert both & {"left", "shut"}


def test_without_the_compare_and_set_both_would_have_their_way(scene):  # noqa: F811
    """If this ever fails, the test above proves nothing."""
    payment = scene.opened(9900, method="ALIPAY_LINK")

    def careless(i):
        trade = AlipayTrade.objects.get(payment=payment)
        time.sleep(0.1)
        mine = AlipayTrade.objects.filter(pk=trade.pk)
        if i == 0 and trade.status == "OPEN":
            mine.update(offered_until=now())
            return "left"
        if trade.offered_until is None:
            mine.update(status="CLOSED", closed_at=now())
            return "shut"
        return "kept"

    assert together(2, careless) == {"left": 1, "shut": 1}


def test_asked_for_from_many_doors_there_is_one_code_and_one_number(scene):  # noqa: F811
    payment = scene.unprepared()

    def prepare(i):
        cashier.prepare(payment=payment, at=now())

    assert together(4, prepare) == {"ok": 4}
    assert AlipayTrade.objects.get().out_trade_no == payment.number
    scene.pay(payment)
    scene.hand_over(scene.letters()[0])
    assert Payment.objects.get().status == "CONFIRMED"
