"""M5: the audit of a million entries."""

import time
from collections.abc import Callable
from functools import partial

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from payments.ledger import queries as ledger
from payments.ledger.models import Entry
from shop.orders.models import Order
from tests.bench.house import House, say
from tests.bench.measure import Figure, Report, Row, Series, in_turn
from tests.bench.seed import Shop, settle_down

ENTRIES = 1_000_000
MOST_MS = 10_000

# Of two legs each, on accounts that nothing else has to do with.
_POSTINGS = """
WITH made AS (
    INSERT INTO payments_posting (kind, reference, at)
    SELECT 'OPENING', 'bench-audit:' || i, now() FROM generate_series(1, %(postings)s) i
    RETURNING id
)
INSERT INTO payments_entry (posting_id, account_id, amount_fen)
SELECT made.id, a.id, CASE WHEN a.code LIKE 'bank:%%' THEN 100 ELSE -100 END
FROM made, payments_account a WHERE a.code IN ('bank:AUDIT', 'opening:AUDIT')
"""
_SCAN = "SELECT sum(amount_fen), count(*) FROM payments_entry"


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """The books themselves; then every function of AUDITS, over all that this run has written."""
    _fill()
    found = in_turn(
        {
            "sum of all entries": partial(_timed, _scan),
            "the books": partial(_timed, _books),
            "all audits": _audit,
        },
        rounds,
    )
    limit = found["sum of all entries"]
    beside = Series(f"one sum of them, {limit.p50:.0f} ms", limit.figures)
    entries, orders = Entry.objects.count(), Order.objects.count()
    names = {
        "the books": f"M5 audit of the books, {entries:,} entries",
        "all audits": f"M5 all audits, with {orders:,} orders",
    }
    return Report(
        [
            Row(words, "audits", found[name], beside, most_p99_ms=MOST_MS)
            for name, words in names.items()
        ]
    )


def _fill() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO payments_account (code, is_guarded, balance_fen)"
            " VALUES ('bank:AUDIT', false, 0), ('opening:AUDIT', false, 0)"
        )
        cursor.execute("SET session_replication_role = replica")
        cursor.execute(_POSTINGS, {"postings": ENTRIES // 2})
        cursor.execute("SET session_replication_role = DEFAULT")
    settle_down()


def _scan() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SCAN)
        cursor.fetchone()


def _books() -> None:
    assert not list(ledger.findings())


def _audit() -> Figure:
    began = time.perf_counter()
    for path in settings.AUDITS:
        start = time.perf_counter()
        findings = list(import_string(path)())
        assert not findings, findings
        say(f"  {path}: {1000 * (time.perf_counter() - start):,.0f} ms")
    return _figure(time.perf_counter() - began)


def _timed(work: Callable[[], None]) -> Figure:
    began = time.perf_counter()
    work()
    return _figure(time.perf_counter() - began)


def _figure(seconds: float) -> Figure:
    return Figure(1 / seconds, 1000 * seconds, 1000 * seconds)
