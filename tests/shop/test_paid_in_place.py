"""A million orders are paid in one import: each is rewritten where it is, no index grows."""

import pytest
from django.db import connection

from shop.orders.models import Order
from tests.factories import make_merchant, make_sku, make_user, open_payment, pay, place, ship

pytestmark = pytest.mark.django_db


@pytest.fixture
def order():
    """Its payment is open: choosing a transfer has given it more time already."""
    order = place(make_user(), make_sku(make_merchant()))
    open_payment(order)
    return order


def rewritten(table):
    """Rows that this transaction has updated, and those of them without touching an index."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_get_xact_tuples_updated(%s::regclass),"
            " pg_stat_get_xact_tuples_hot_updated(%s::regclass)",
            [table, table],
        )
        return cursor.fetchone()


@pytest.mark.parametrize("table", ["shop_order", "payments_payment"])
def test_paying_touches_no_index(order, table):
    updated, in_place = rewritten(table)

    pay(order)

    now_updated, now_in_place = rewritten(table)
    assert now_updated > updated
    assert now_updated - updated == now_in_place - in_place


def test_shipping_does_it_is_found_by_its_time(order):
    """The control: these figures do change."""
    pay(order)
    updated, in_place = rewritten("shop_order")

    ship(order)

    now_updated, now_in_place = rewritten("shop_order")
    assert now_updated - updated > now_in_place - in_place
    assert Order.objects.get().receive_before
