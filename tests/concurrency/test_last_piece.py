import time

import pytest

from payments.ledger import services as ledger
from shop.inventory.models import Stock
from shop.orders.models import Order
from tests.concurrency.together import together
from tests.factories import make_merchant, make_sku, make_user, place

pytestmark = pytest.mark.django_db(transaction=True)


def test_eight_buyers_one_piece():
    sku = make_sku(on_hand=1)
    buyers = [make_user() for _ in range(8)]

    endings = together(8, lambda i: place(buyers[i], sku))

    assert endings == {"ok": 1, "SOLD_OUT": 7}
    assert Stock.objects.get().promised == Order.objects.count() == 1
    assert ledger.audit() == []


def test_without_the_guard_the_race_is_real():
    """If this ever fails, the test above proves nothing."""
    sku = make_sku(on_hand=1)

    def careless(i):
        stock = Stock.objects.get(sku=sku)
        if stock.promised < stock.on_hand:
            time.sleep(0.05)
            Stock.objects.filter(sku=sku).update(promised=stock.promised + 1)
            return "ok"
        return "SOLD_OUT"

    assert together(8, careless)["ok"] > 1


def test_orders_that_want_the_same_two_skus_do_not_deadlock():
    from shop.checkout.rules import Item
    from shop.orders import services
    from shop.orders.rules import Wish
    from tests.factories import HOME, NOON

    merchant = make_merchant()
    tea, cup = make_sku(merchant, on_hand=100), make_sku(merchant, on_hand=100)
    buyers = [make_user() for _ in range(8)]

    def order(i):
        skus = [tea, cup] if i % 2 else [cup, tea]
        items = [Item(sku.number, 1) for sku in skus]
        for _ in range(5):
            wish = Wish(buyer_id=buyers[i].pk, items=items, consignee=HOME)
            services.place_one(wish=wish, at=NOON)

    assert together(8, order) == {"ok": 8}
    assert list(Stock.objects.values_list("promised", flat=True)) == [40, 40]
