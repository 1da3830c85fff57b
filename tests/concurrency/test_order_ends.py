"""Shipping, cancelling, expiring and paying one order at the same moment."""

import time
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import transaction

from payments.cashier.models import Payment, Refund
from payments.ledger import services as ledger
from payments.transfers.models import StatementLine
from shop.checkout.rules import Item
from shop.fulfilment import services as fulfilment
from shop.fulfilment.models import Shipment
from shop.inventory.models import Stock
from shop.offers import services as offers
from shop.offers.models import Offer
from shop.orders import services
from shop.orders.models import Order, OrderLine
from shop.orders.rules import Wish
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.factories import (
    HOME,
    NOON,
    make_account,
    make_merchant,
    make_sku,
    make_user,
    open_payment,
    pay,
    place,
)
from tests.payments.transfers.bank import transfer_in

pytestmark = pytest.mark.django_db(transaction=True)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def books_are_even():
    yield
    assert ledger.audit() == []


def paid_order(*skus, buyer=None):
    items = [Item(sku.number, 1) for sku in skus]
    wish = Wish(buyer_id=(buyer or make_user()).pk, items=items, consignee=HOME)
    (order,) = services.place_one(wish=wish, at=NOON)
    pay(order)
    return order


def send(order, line):
    fulfilment.ship(
        order=Order.objects.get(pk=order.pk),
        lines=[line],
        carrier="",
        tracking_no="",
        no_logistics=True,
        evidence="",
        actor="",
        at=NOON + HOUR,
    )


def cancel(order):
    services.cancel(order=Order.objects.get(pk=order.pk), actor="", at=NOON + HOUR)


def test_the_last_two_lines_sent_at_once_leave_a_shipped_order():
    merchant = make_merchant()
    order = paid_order(make_sku(merchant), make_sku(merchant))

    endings = stalled(Stock.objects.all(), 2, lambda i: send(order, i + 1))

    order.refresh_from_db()
    assert endings == {"ok": 2}
    assert order.status == "SHIPPED"
    assert Shipment.objects.count() == 2


def test_without_the_lock_each_sees_the_others_line_unsent():
    """If this ever fails, the test above proves nothing."""
    merchant = make_merchant()
    order = paid_order(make_sku(merchant), make_sku(merchant))
    together_now = Barrier(2)

    def careless(i):
        with transaction.atomic():
            OrderLine.objects.filter(order=order, line=i + 1).update(is_shipped=True)
            together_now.wait()
            seen = "rest" if order.lines.filter(is_shipped=False).exists() else "last"
            together_now.wait()
            return seen

    endings = together(2, careless)
    OrderLine.objects.update(is_shipped=False)

    assert endings == {"rest": 2}


def test_a_line_sent_while_the_buyer_cancels_ends_one_way():
    merchant = make_merchant()
    sku = make_sku(merchant)
    order = paid_order(sku, make_sku(merchant))
    place(make_user(), sku, quantity=5)  # promised pieces of another that a wrong count could take

    def act(i):
        if i:
            time.sleep(0.15)  # the sender is in its transaction by now
            cancel(order)
        else:
            send(order, 1)

    endings = stalled(Stock.objects.filter(sku=sku), 2, act)

    order.refresh_from_db()
    assert endings == {"ok": 1, "ALREADY_SHIPPED": 1}
    assert order.status == "PAID"
    assert not Refund.objects.exists()


def test_an_order_cancelled_while_its_payment_opens_leaves_nothing_to_pay():
    make_account()
    for _ in range(8):
        order = place(make_user(), make_sku())

        def act(i, order=order):
            if i:
                cancel(order)
            else:
                open_payment(order)

        together(2, act)

        order.refresh_from_db()
        assert order.status == "CLOSED"
        assert not Payment.objects.filter(reference=order.number, status="WAITING").exists()


def test_an_order_is_not_closed_under_a_payment_that_opens():
    """The buyer's look at the order and the payment that he opens are one step."""
    make_account()
    order = place(make_user(), make_sku())

    def act(i):
        if i:
            time.sleep(0.1)
            open_payment(order)
        else:
            cancel(order)

    endings = stalled(Stock.objects.all(), 2, act)

    assert endings == {"ok": 1, "STALE_STATE": 1}
    assert not Payment.objects.filter(status="WAITING").exists()


def test_a_buyer_asks_again_while_his_transfer_is_confirmed():
    """Whoever holds the order must not wait for its payment: payments are locked before orders."""
    order = place(make_user(), make_sku())
    payment = open_payment(order)

    def act(i):
        if i:
            time.sleep(0.15)  # the buyer is first in line for the order
            transfer_in(payment, fen=payment.amount_fen)
        else:
            open_payment(order)

    assert stalled(Order.objects.all(), 2, act) == {"ok": 2}
    assert StatementLine.objects.get().verdict == "MATCHED"
    order.refresh_from_db()
    assert order.status == "PAID"


def test_a_lot_closes_while_an_unpaid_order_of_it_expires():
    """Stock before offer, whoever comes: one waits, nobody deadlocks."""
    sku = make_sku(on_hand=100)
    offer = make_offer(sku)
    plain, lot = place(make_user(), sku), claim_all([offer])[0]

    def act(i):
        if i:
            time.sleep(0.15)  # the other waits for the stock by now
            offers.close_offer(offer=Offer.objects.get(pk=offer.pk))
        else:
            services.expire(order_numbers=[plain.number, lot.number], at=NOON + 100 * HOUR)

    assert stalled(Stock.objects.all(), 2, act) == {"ok": 2}


def make_offer(sku):
    return offers.open_offer(
        sku_id=sku.pk,
        price_fen=10_00,
        quota=5,
        starts_at=NOON,
        ends_at=NOON + 10 * HOUR,
        source="LIVE",
        reference=f"T{Offer.objects.count()}",
    )


def claim_all(wanted):
    items = [Item(offer.sku.number, 1, offer.number) for offer in wanted]
    wish = Wish(buyer_id=make_user().pk, items=items, consignee=HOME, via="LIVE")
    return services.place_one(wish=wish, at=NOON)


def test_orders_of_the_same_two_offers_do_not_deadlock():
    merchant = make_merchant()
    pair = [make_offer(make_sku(merchant, on_hand=100)) for _ in range(2)]
    for offer in pair:
        Stock.objects.filter(sku=offer.sku).update(promised=80)
    Offer.objects.update(quota=80)
    pair = list(Offer.objects.select_related("sku"))
    buyers = [make_user() for _ in range(4)]

    def order(i):
        items = [Item(offer.sku.number, 1, offer.number) for offer in (pair, pair[::-1])[i % 2]]
        for _ in range(5):
            wish = Wish(buyer_id=buyers[i].pk, items=items, consignee=HOME, via="LIVE")
            services.place_one(wish=wish, at=NOON)

    assert together(4, order) == {"ok": 4}
    assert set(Offer.objects.values_list("taken", flat=True)) == {20}
