"""Late money for one order twice, and against somebody who buys the last piece."""

import time
from datetime import timedelta

import pytest

from config.kit.errors import StaleState
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.rules import Arrival
from payments.ledger import services as ledger
from shop.inventory.models import Stock
from shop.orders import services as orders
from shop.orders.models import Order
from tests.concurrency.together import together
from tests.factories import NOON, make_sku, make_user, open_payment, place

pytestmark = pytest.mark.django_db(transaction=True)
EXPIRED = NOON + timedelta(days=10)


def expired(sku):
    order = place(make_user(), sku)
    payment = open_payment(order)
    orders.expire(order_numbers=[order.number], at=EXPIRED)
    return order, payment


def late(payment, txn):
    arrival = Arrival(payment.pk, txn, payment.amount_fen, "suspense:755900000110")
    share = cashier.confirm(arrivals=[arrival], at=EXPIRED, reopens={payment.merchant: 7})[txn]
    return "owed" if share.owed_fen else "kept"


def even():
    return [finding for finding in ledger.audit() if "suspense" not in finding
            and not finding.startswith("到账 L")] == []  # fmt: skip


def test_of_late_arrivals_for_one_payment_one_is_kept():
    order, payment = expired(make_sku())

    assert together(6, lambda i: late(payment, f"L{i}")) == {"kept": 1, "owed": 5}

    order.refresh_from_db()
    assert order.status == "PAID"
    assert Stock.objects.get().promised == 1
    assert Refund.objects.filter(status="OWED").count() == 5
    assert even()


def test_the_last_piece_goes_to_late_money_or_to_a_new_buyer():
    sku = make_sku(on_hand=1)
    _, payment = expired(sku)
    buyers = [make_user() for _ in range(4)]

    endings = together(
        5, lambda i: place(buyers[i], sku) and "new" if i < 4 else late(payment, "L")
    )

    assert endings["new"] + endings["kept"] == 1
    assert Stock.objects.get().promised == 1
    assert Order.objects.exclude(status="CLOSED").count() == 1
    assert even()


def test_without_the_lock_the_last_piece_would_be_sold_twice():
    """If this ever fails, the test above proves nothing."""
    sku = make_sku(on_hand=1)

    def careless(i):
        stock = Stock.objects.get(sku=sku)
        if stock.promised < stock.on_hand:
            time.sleep(0.05)
            Stock.objects.filter(sku=sku).update(promised=stock.promised + 1)
            return "kept"
        return "owed"

    assert together(5, careless)["kept"] > 1


def test_a_reversal_and_a_refund_that_is_being_sent_never_both_take_the_money():
    order = place(make_user(), make_sku())
    payment = open_payment(order)
    late(payment, "L")
    orders.cancel(order=Order.objects.get(), actor="U1", at=NOON)

    refund = Refund.objects.get()

    def act(i):
        if i:
            try:
                return "sent" if refunds._begin(refund, NOON) else "void"
            except StaleState:
                return "void"
        cashier.reverse(channel_txns=["L"], method="BANK_TRANSFER", actor="", at=NOON)
        return "reversed"

    endings = together(2, act)

    lost = Payment.objects.get().covered_fen
    assert endings["reversed"] == 1
    assert (lost > 0) is (endings["sent"] == 1)
    assert even()
