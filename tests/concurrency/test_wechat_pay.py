"""WeChat's word from several sides at once; each race beside a control without its guard."""

import time

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.rules import Arrival
from payments.channels.answers import ChannelRefused
from payments.channels.wechat import Trade
from payments.ledger import queries as books
from payments.wechat_pay import services
from payments.wechat_pay.method import BeingPaid
from payments.wechat_pay.models import WeChatNotice, WeChatTrade
from tests.concurrency.together import together
from tests.payments.wechat_pay.conftest import sandbox, sandbox_process, scene  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)


def test_one_notice_at_six_doors_is_money_once(scene):  # noqa: F811
    payment = scene.opened(9900)
    scene.pay(payment)
    [letter] = scene.box.wait()

    assert together(6, lambda i: str(scene.hand_over(*letter))) == {"204": 6}

    assert (Receipt.objects.count(), WeChatNotice.objects.count()) == (1, 1)
    assert books.balance("clearing:wechat") == 9900


def test_notices_and_queries_at_once_are_money_once(scene):  # noqa: F811
    payment = scene.opened(9900)
    scene.pay(payment)
    [letter], trade = scene.box.wait(), WeChatTrade.objects.select_related("payment").get()

    def told(i):
        if i % 2:
            return str(scene.hand_over(*letter))
        services.ask(trade=trade, at=now())
        return "asked"

    assert together(6, told) == {"204": 3, "asked": 3}
    assert Receipt.objects.count() == 1
    assert books.balance("clearing:wechat") == 9900


def test_without_the_compare_and_set_each_word_would_be_an_arrival(scene):  # noqa: F811
    """If this ever fails, the tests above prove nothing."""
    payment = scene.opened(9900)

    def careless(i):
        with transaction.atomic():
            if WeChatTrade.objects.get(payment=payment).status != "OPEN":
                return "known"
            time.sleep(0.05)
            arrival = Arrival(payment.pk, f"T{i}", 9900, "clearing:wechat")
            share = cashier.confirm(arrivals=[arrival], at=now())[f"T{i}"]
            transaction.set_rollback(True)  # the control's books are nobody's
            return "booked" if share.kept_fen or share.owed_fen else "known"

    assert together(4, careless) == {"booked": 4}


def test_two_taps_at_once_share_one_new_number(scene):  # noqa: F811
    """What was asked for is not what is missing any more: one trade follows, whoever asks."""
    payment = scene.opened(9900)
    WeChatTrade.objects.update(amount_fen=10_000)

    assert together(4, lambda i: cashier.prepare(payment=payment, at=now())) == {"ok": 4}

    [trade] = WeChatTrade.objects.filter(status="OPEN")
    assert (trade.out_trade_no, trade.amount_fen) == (f"{payment.number}-2", 9900)
    assert set(scene.trades()) == {payment.number, trade.out_trade_no}


def test_without_the_lock_each_tap_would_make_a_number(scene):  # noqa: F811
    """If this ever fails, the test above proves nothing."""
    payment = scene.opened(9900)
    cashier.shut(purpose="ORDER", reference=payment.reference, at=now())

    def careless(i):
        if not WeChatTrade.objects.filter(payment=payment, status="OPEN").exists():
            time.sleep(0.05)
            services._another(payment, WeChatTrade.objects.first(), now())

    assert together(4, careless)["IntegrityError"] > 0


def test_paid_and_given_up_at_once_the_money_is_kept_or_goes_back(scene):  # noqa: F811
    """A buyer's tap against a cancellation: whoever is first, nothing is lost and nothing kept."""
    for _ in range(8):
        payment = scene.opened(9900)

        def act(i, payment=payment):
            if i == 0:
                try:
                    scene.pay(payment)
                except AssertionError:
                    return "too late to pay"
                services.take(theirs=known(scene, payment), at=now())
                return "paid"
            try:
                cashier.shut(purpose="ORDER", reference=payment.reference, at=now())
            except (BeingPaid, ChannelRefused):
                return "kept open"
            cashier.close(purpose="ORDER", references=[payment.reference], at=now())
            return "given up"

        endings = together(2, act)

        kept = Payment.objects.get(pk=payment.pk).status
        if endings["paid"]:
            assert kept == "CONFIRMED" or Refund.objects.get(payment=payment).status == "APPROVED"
        else:
            assert (kept, endings["given up"]) == ("CLOSED", 1)


def known(scene, payment):  # noqa: F811
    """What WeChat would answer now, without asking it over the network again."""
    told = scene.trades()[WeChatTrade.objects.get(payment=payment).out_trade_no]
    return Trade.of(told)
