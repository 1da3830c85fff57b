from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet
from django.utils.timezone import now

from config.kit import sql
from config.kit.money import yuan
from payments.carrier.models import CarrierBatch, CarrierMark
from payments.carrier.protocol import is_on
from payments.carrier.rules import KEPT, LATE, BatchStatus

SHOWN = 20

_UNTOLD = """
SELECT count(*) FROM payments_posting p
LEFT JOIN payments_carriermove m ON m.posting_id = p.id AND m.posting_id > %(passed)s
WHERE p.id > %(passed)s AND m.posting_id IS NULL AND p.at < %(before)s
"""


def untold(*, before: datetime) -> int:
    """Postings of before a moment that are in no batch yet."""
    passed = CarrierMark.objects.values_list("passed", flat=True).first() or 0
    with connection.cursor() as cursor:
        cursor.execute(_UNTOLD, {"passed": passed, "before": before})
        return int(cursor.fetchone()[0])


def unanswered(*, before: datetime) -> str:
    """The number of the batch of before a moment that the carrier has not answered; mostly none."""
    waiting = CarrierBatch.objects.filter(status=BatchStatus.SENDING, made_at__lt=before)
    return waiting.values_list("number", flat=True).first() or ""


def stuck(at: datetime) -> QuerySet[CarrierBatch]:
    """The batch for which all others wait, where a person has to look at it."""
    waiting = CarrierBatch.objects.filter(status=BatchStatus.SENDING)
    return waiting.filter(~Q(problem="") | Q(made_at__lt=at - LATE))


# --- what must always be true -------------------------------------------------------------------

# Each sub-account with all of its entries that are told: the sums that the days rest on.
_SUMS = """
SELECT coalesce(t.code, o.code), coalesce(t.told_fen, 0), coalesce(o.fen, 0)
FROM payments_carrieraccount t FULL JOIN (
    SELECT a.code, -sum(e.amount_fen)::bigint AS fen
    FROM payments_carriermove m JOIN payments_entry e ON e.posting_id = m.posting_id
    JOIN payments_account a ON a.id = e.account_id
    WHERE split_part(a.code, ':', 1) = ANY(%(kept)s::text[]) GROUP BY a.code
) o USING (code) WHERE coalesce(t.told_fen, 0) <> coalesce(o.fen, 0) ORDER BY 1 LIMIT %(most)s
"""
_PASSED_OVER = """
SELECT p.kind, p.reference FROM payments_carriermark k
JOIN payments_posting p ON p.id <= k.passed
LEFT JOIN payments_carriermove m ON m.posting_id = p.id
WHERE m.posting_id IS NULL ORDER BY p.id LIMIT %(most)s
"""
# What touches a sub-account must be in a batch, whatever the move says.
_LEFT_OUT = """
SELECT DISTINCT p.kind, p.reference FROM payments_carriermove m
JOIN payments_posting p ON p.id = m.posting_id
JOIN payments_entry e ON e.posting_id = m.posting_id JOIN payments_account a ON a.id = e.account_id
WHERE m.batch_id IS NULL AND split_part(a.code, ':', 1) = ANY(%(kept)s::text[])
ORDER BY 1, 2 LIMIT %(most)s
"""


def findings() -> Iterator[str]:
    """What the carrier was told against the ledger; what it was not told, or has not taken.

    What it has itself is compared day by day, and is a finding of the channels' days.
    """
    told = {"kept": sql.texts(KEPT), "most": SHOWN}
    for code, ours, entries in _rows(_SUMS, told):
        yield f"存管子账户 {code} 已报送 {yuan(int(ours))} 元，对应凭证合计 {yuan(int(entries))} 元"
    for statement in (_PASSED_OVER, _LEFT_OUT):
        for kind, reference in _rows(statement, told):
            yield f"凭证 {kind} {reference} 没有报送存管机构"
    at = now()
    for batch in stuck(at).filter(made_at__lt=at - LATE):
        yield f"报送 {batch} 存管机构还没有入账：{batch.problem or '没有应答'}"
    if is_on() and (late := untold(before=at - LATE)):
        yield f"有 {late} 笔凭证超过一小时还没有报送存管机构"


def _rows(statement: str, told: dict[str, Any]) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, told)
        return list(cursor.fetchall())
