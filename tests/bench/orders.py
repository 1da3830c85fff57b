"""B3: quote, order, payment."""

import os

from django.test import Client

from shop.catalog.models import Sku
from tests.bench import limits, load
from tests.bench.house import House
from tests.bench.measure import Report, Row, in_turn, over_http, side_by_side, statements
from tests.bench.seed import Shop

CONNECTIONS = 8
SECONDS = 4.0


def common_skus() -> list[str]:
    """What everybody may buy."""
    rows = Sku.objects.filter(product__is_private=False, product__status="ON_SALE")
    return list(rows.order_by("pk").values_list("number", flat=True)[: limits.SKUS])


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """A line of one SKU of a thousand, every rule on, a virtual account for each payment."""
    skus = common_skus()
    with statements() as sent:
        load.in_process(next(load.orders(shop.buyers, skus)), Client())
    url = os.environ["DATABASE_URL"]
    http = {"connections": CONNECTIONS, "seconds": SECONDS}
    found = in_turn(
        {
            "L3 order behind one call": lambda: over_http(
                house, load.limit_orders, "/limits/order", limits.SKUS, **http
            ),
            "order": lambda: over_http(house, load.orders, shop.buyers, skus, **http),
            "L4 order by psycopg": lambda: side_by_side(
                house, limits.place_orders, url, seconds=SECONDS
            ),
        },
        rounds,
    )
    return Report(
        [
            Row(
                "B3 quote + order + payment",
                "orders",
                found["order"],
                found["L3 order behind one call"],
                budget=0.35,
                sql=len(sent),
                most_sql=25,
                most_p99_by_p50=3,
            )
        ],
        beside=[found["L4 order by psycopg"]],
    )
