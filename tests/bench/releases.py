"""B9: the sweep that releases held lines."""

import time
from functools import partial

from django.db import connection

from shop.orders.models import HeldLine
from shop.orders.tasks import finish_received
from tests.bench.filling import Batch
from tests.bench.house import House, say
from tests.bench.measure import Figure, Report, Row, Series, cpu_of, in_turn
from tests.bench.seed import Shop, settle_down
from tests.bench.statements import paid_batch

LINES = 100_000
LEAST = 10_000  # lines a second
PATIENCE = 120  # seconds

# Sent, received, and the after-sale window is over; a third of them has a guide.
_SENT = """
WITH sent AS (
    UPDATE shop_order SET status = 'RECEIVED', shipped_at = now() - interval '20 days',
        receive_before = now() - interval '10 days',
        received_at = now() - interval '9 days', finish_at = now() - interval '1 hour'
    WHERE number LIKE %(orders)s RETURNING id
), lines AS (
    UPDATE shop_orderline l SET is_shipped = true FROM sent WHERE l.order_id = sent.id
    RETURNING l.id, l.order_id, l.total_fen, l.sku_id, l.quantity
), held AS (
    INSERT INTO shop_heldline (line_id, order_id, amount_fen, fee_ppm, fee_fen, receive_before,
        received_at, release_at, stopped_by)
    SELECT id, order_id, total_fen, 6000, total_fen * 6000 / 1000000, now() - interval '10 days',
        now() - interval '9 days', now() - interval '1 hour', '{}'
    FROM lines
)
UPDATE shop_stock s SET promised = promised - g.pieces, on_hand = on_hand - g.pieces
FROM (SELECT sku_id, sum(quantity) AS pieces FROM lines GROUP BY sku_id) g
WHERE s.sku_id = g.sku_id
"""


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """100,000 lines whose after-sale window is over, in one sweep of the worker's."""
    found = in_turn({"release": partial(_released, house, shop)}, min(rounds, 2))
    asked = Series("asked for", [Figure(LEAST)])
    operation = f"B9 release of {LINES:,} held lines, at least"
    return Report([Row(operation, "lines", found["release"], asked, budget=1)])


def _released(house: House, shop: Shop) -> Figure:
    batch = paid_batch(house, shop, LINES)
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(_SENT, {"orders": f"{batch.prefix('D')}%"})
        cursor.execute("SET session_replication_role = DEFAULT")
    settle_down()
    with cpu_of(house) as cpu:
        began = time.perf_counter()
        _sweep(batch)
        seconds = time.perf_counter() - began
    say(f"  {LINES:,} lines released after {seconds:.1f} s")
    return Figure(LINES / seconds, cpu={name: 1000 * used / LINES for name, used in cpu.items()})


def _sweep(batch: Batch) -> None:
    """By the worker, as the schedule would ask for it."""
    finish_received.delay()
    deadline = time.monotonic() + PATIENCE
    waiting = HeldLine.objects.filter(released_at=None, stopped_at=None)
    while waiting.exists():
        assert time.monotonic() < deadline, f"{waiting.count()} lines are not released"
        time.sleep(0.05)
