"""B5: a lot is dropped and everybody wants it."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection
from django.test import Client
from django.utils.timezone import now

from livestream import services
from livestream.models import Claim, Lot, Session
from members.accounts.models import User
from shop.catalog.models import Sku
from tests.bench import limits, load, products
from tests.bench.house import House
from tests.bench.load import Load
from tests.bench.measure import (
    Figure,
    Report,
    Row,
    Series,
    figure_of,
    in_turn,
    loaded,
    over_http,
    side_by_side,
    statements,
)
from tests.bench.seed import Shop, settle_down

QUOTA = 500
CLAIMANTS = 2_000
CONNECTIONS = 16
SECONDS = 2.5
PATIENCE = 30  # seconds until the last admitted claim is an order


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """2,000 buyers, 500 pieces: everyone is answered, and 500 orders are written."""
    products.keep_page()
    url, broker = os.environ["DATABASE_URL"], os.environ["REDIS_URL"]
    wanting = shop.buyers[:CLAIMANTS]
    written: list[Figure] = []
    lot = _dropped()
    with statements() as sent:
        load.in_process(next(load.claims(lot.number, wanting)), Client())
    _over(lot)
    found = in_turn(
        {
            "L1r from Redis": lambda: over_http(
                house, load.pages, "/limits/cached", connections=CONNECTIONS, seconds=SECONDS
            ),
            "claims": lambda: _rush(house, wanting, written),
            "L4 order by psycopg": lambda: side_by_side(
                house, limits.place_orders, url, seconds=SECONDS
            ),
            "L5 claim by redis-py": lambda: side_by_side(
                house, limits.claim, broker, seconds=SECONDS
            ),
        },
        rounds,
    )
    return Report(
        [
            Row(
                "B5 live claims answered",
                "claims",
                found["claims"],
                found["L1r from Redis"],
                budget=0.5,
                sql=len(sent),
            ),
            Row(
                "B5 admitted claims to ORDERED",
                "orders",
                Series("orders of claims", written),
                found["L4 order by psycopg"],
                budget=0.3,
                most_p99_ms=1_000,
            ),
        ],
        beside=[found["L5 claim by redis-py"]],
    )


def _dropped() -> Lot:
    """One lot of a live session, up."""
    at = now()
    sku = Sku.objects.select_related("product__merchant").filter(product__is_private=False)[0]
    session = services.create_session(
        merchant=sku.product.merchant,
        host=User.objects.order_by("pk")[0],
        title="龙井专场",
        starts_at=at,
        ends_at=at + timedelta(hours=1),
        at=at,
    )
    services.start(session=session, at=at)
    lot = services.create_lot(session=session, sku=sku.number, price_fen=6_600, quota=QUOTA)
    services.drop(lot=lot, at=now())
    return lot


def _over(lot: Lot) -> None:
    services.end(session=Session.objects.get(pk=lot.session_id), at=now())


def _rush(house: House, wanting: list[load.Buyer], written: list[Figure]) -> Figure:
    lot = _dropped()
    settle_down()
    with _watched(lot) as counts:
        seen, cpu = loaded(
            house, load.claims, lot.number, wanting, connections=CONNECTIONS, seconds=PATIENCE
        )
        assert len(seen.ends) == QUOTA, f"{len(seen.ends)} of {QUOTA} claims were admitted"
    assert Claim.objects.filter(lot=lot, status="ORDERED").count() == QUOTA
    _over(lot)
    written.append(_writing(seen, counts))
    return figure_of(seen, cpu)


@contextmanager
def _watched(lot: Lot) -> Iterator[list[tuple[float, int]]]:
    """When how many orders were committed; the block ends with the last of them."""
    counts: list[tuple[float, int]] = []
    watcher = threading.Thread(target=_watch, args=(lot.pk, counts))
    watcher.start()
    try:
        yield counts
    finally:
        watcher.join()


def _watch(lot: int, counts: list[tuple[float, int]]) -> None:
    until, orders = time.monotonic() + PATIENCE, 0
    while orders < QUOTA and time.monotonic() < until:
        orders = Claim.objects.filter(lot=lot, status="ORDERED").count()
        counts.append((time.monotonic(), orders))
        time.sleep(0.02)
    connection.close()  # of this thread


def _writing(seen: Load, counts: list[tuple[float, int]]) -> Figure:
    """Claims are written in the order in which they were admitted."""
    waits = []
    for place, admitted_at in enumerate(seen.ends, 1):
        ordered_at = next(at for at, orders in counts if orders >= place)
        waits.append(max(0.0, 1000 * (ordered_at - admitted_at)))
    waits.sort()
    last = next(at for at, orders in counts if orders >= QUOTA)
    middle, worst = waits[len(waits) // 2], waits[int(0.99 * len(waits))]
    return Figure(QUOTA / (last - seen.ends[0]), middle, worst)
