"""B3: quote, order, payment."""

import os

from django.test import Client

from shop.catalog.models import Sku
from tests.bench import limits, load
from tests.bench.house import House
from tests.bench.load import Buyer
from tests.bench.measure import Report, Row, in_turn, over_http, side_by_side, statements

CONNECTIONS = 8
SECONDS = 4.0


def measured(house: House, buyers: list[Buyer], rounds: int) -> Report:
    """A line of one SKU of a thousand, every rule on, a virtual account for each payment."""
    rows = Sku.objects.filter(product__is_private=False, product__status="ON_SALE")
    skus = list(rows.order_by("pk").values_list("number", flat=True)[: limits.SKUS])
    with statements() as sent:
        in_process(load.orders(buyers, skus))
    url = os.environ["DATABASE_URL"]
    http = {"connections": CONNECTIONS, "seconds": SECONDS}
    found = in_turn(
        {
            "L3 order behind one call": lambda: over_http(
                house, load.limit_orders, "/limits/order", limits.SKUS, **http
            ),
            "order": lambda: over_http(house, load.orders, buyers, skus, **http),
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


def in_process(journeys: load.Journeys) -> None:
    """One journey through Django's test client, where its statements can be counted."""
    journey = next(journeys)
    asked = next(journey)
    while True:
        head, _, body = asked.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        answer = Client().generic(
            method, path, body, headers.pop("Content-Type", ""), headers=headers
        )
        try:
            asked = journey.send((answer.status_code, answer.content))
        except StopIteration:
            return
