from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Q, QuerySet

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.cashier.models import Payment
from payments.transfers import evidence
from payments.transfers.ladder.facts import Candidate, Fact
from payments.transfers.ladder.ranking import rank
from payments.transfers.models import Allocation, Statement, StatementLine
from payments.transfers.remarks import codes_in
from payments.transfers.rules import OPEN, StatementStatus, Verdict

METHOD = "BANK_TRANSFER"
SHOWN_CANDIDATES = 10
OF_AN_AMOUNT = 20  # a person may look at more than a batch


# --- for the payer ------------------------------------------------------------------------------


def payments_of(payer: Viewer) -> QuerySet[Payment]:
    """What this person pays by transfer."""
    return Payment.objects.of(payer).filter(method=METHOD)


# --- for staff ----------------------------------------------------------------------------------


def statements(viewer: Viewer) -> QuerySet[Statement]:
    return Statement.objects.seen_by(viewer).select_related("receiving_account")


def lines(viewer: Viewer) -> QuerySet[StatementLine]:
    return StatementLine.objects.seen_by(viewer).select_related("receiving_account", "statement")


def assignable(viewer: Viewer) -> QuerySet[Payment]:
    """Payments that this person may give a line's money to."""
    return Payment.objects.seen_by(viewer, "FINANCE")


def shown_statements(rows: Iterable[Statement]) -> list[dict[str, Any]]:
    return [
        {
            "id": row.number,
            "status": row.status,
            "reason": row.reason or None,
            "account_no": row.receiving_account.account_no,
            "filename": row.filename,
            "uploaded_at": row.uploaded_at,
            "imported_at": row.imported_at,
            "lines": row.lines,
            "credits": row.credits,
            "credits_fen": row.credits_fen,
            "matched": row.matched,
            "suggested": row.suggested,
            "unmatched": row.unmatched,
            "duplicates": row.duplicates,
            "ignored": row.ignored,
        }
        for row in rows
    ]


def shown_lines(rows: Sequence[StatementLine]) -> list[dict[str, Any]]:
    """As the API answers them; one query for what they pay, however many."""
    paid: dict[int, list[dict[str, Any]]] = {}
    live = Allocation.objects.filter(line__in=rows, undone_at=None).select_related("payment")
    for allocation in live.order_by("pk"):
        paid.setdefault(allocation.line_id, []).append(
            {
                "payment": allocation.payment.number,
                "order": allocation.payment.reference,
                "amount_fen": allocation.amount_fen,
            }
        )
    return [
        {
            "id": row.number,
            "statement": row.statement.number if row.statement else None,
            "account_no": row.receiving_account.account_no,
            "virtual_account": row.virtual_account or None,
            "serial": row.serial or None,
            "received_at": row.booked_at,
            "amount_fen": row.amount_fen,
            "currency": row.currency,
            "payer_name": row.payer_name,
            "payer_account": row.payer_account,
            "payer_bank": row.payer_bank,
            "remark": row.remark,
            "verdict": row.verdict,
            "rule": row.rule or None,
            "reasons": row.reasons,
            "candidates": row.candidates,
            "payments": paid.get(row.pk, []),
            "actions": actions(row),
        }
        for row in rows
    ]


def actions(row: StatementLine) -> dict[str, bool]:
    """What a person may do with a line now."""
    waits = row.verdict in OPEN
    has_payer = bool(row.payer_account) and "*" not in row.payer_account
    return {
        "match": waits and row.is_posted,
        "return": waits and row.is_posted and has_payer and bool(row.receiving_account.provider),
        "undo": row.verdict == Verdict.MATCHED
        or (row.verdict == Verdict.IGNORED and row.is_posted),
        "ignore": waits,
    }


def candidates(line: StatementLine) -> list[Candidate]:
    """Payments a waiting line may be for, ranked: by account, code, amount, payer, near code."""
    texts = tuple(line.texts)
    fact = Fact(
        line.pk,
        line.receiving_account_id,
        line.amount_fen,
        line.virtual_account,
        codes_in(texts),
        texts,
        line.payer_name,
        line.payer_account,
    )
    intents, payers = evidence.more([fact], of_an_amount=OF_AN_AMOUNT)
    return rank(fact, intents, payers)[:SHOWN_CANDIDATES]


# --- for the sweeps -----------------------------------------------------------------------------


def running_statements(*, before: datetime, limit: int = 20) -> list[int]:
    idle = Q(leased_until__lt=before) | Q(leased_until=None, uploaded_at__lt=before)
    running = Statement.objects.filter(idle, status=StatementStatus.RUNNING)
    return list(running.order_by("uploaded_at").values_list("pk", flat=True)[:limit])


def returning_lines(*, before: datetime, limit: int = 50) -> list[int]:
    waiting = StatementLine.objects.filter(verdict=Verdict.RETURNING, decided_at__lt=before)
    return list(waiting.order_by("decided_at").values_list("pk", flat=True)[:limit])


# --- what must always be true -------------------------------------------------------------------

_SUSPENSE = """
WITH allocated AS (
    SELECT line_id, sum(amount_fen) AS fen FROM payments_allocation
    WHERE undone_at IS NULL GROUP BY line_id
), waits AS (
    SELECT a.account_no, sum(l.amount_fen - coalesce(d.fen, 0)) AS fen
    FROM payments_statementline l
    JOIN payments_receivingaccount a ON a.id = l.receiving_account_id
    LEFT JOIN allocated d ON d.line_id = l.id
    WHERE l.is_posted AND l.verdict <> 'RETURNED' GROUP BY a.account_no
), booked AS (
    SELECT substr(a.code, 10) AS account_no, -sum(e.amount_fen) AS fen
    FROM payments_entry e JOIN payments_account a ON a.id = e.account_id
    WHERE a.code LIKE 'suspense:%' GROUP BY a.code
)
SELECT account_no, coalesce(w.fen, 0), coalesce(b.fen, 0)
FROM waits w FULL JOIN booked b USING (account_no)
WHERE coalesce(w.fen, 0) <> coalesce(b.fen, 0)
"""
_ALLOCATED = """
SELECT l.number, l.verdict, l.amount_fen, coalesce(d.fen, 0)
FROM payments_statementline l
LEFT JOIN (
    SELECT line_id, sum(amount_fen) AS fen FROM payments_allocation
    WHERE undone_at IS NULL GROUP BY line_id
) d ON d.line_id = l.id
WHERE coalesce(d.fen, 0) <> CASE WHEN l.verdict = 'MATCHED' THEN l.amount_fen ELSE 0 END
LIMIT 20
"""
_RECEIVED = """
SELECT coalesce(d.channel_txn, r.channel_txn), coalesce(d.amount_fen, 0), coalesce(r.amount_fen, 0)
FROM (SELECT * FROM payments_allocation WHERE undone_at IS NULL) d
FULL JOIN (
    SELECT * FROM payments_receipt WHERE method = 'BANK_TRANSFER' AND undone_at IS NULL
) r ON r.channel_txn = d.channel_txn AND r.payment_id = d.payment_id
WHERE coalesce(d.amount_fen, 0) <> coalesce(r.amount_fen, 0) LIMIT 20
"""
_COUNTERS = """
SELECT s.number FROM payments_statement s
LEFT JOIN LATERAL (
    SELECT count(*) AS stored,
           count(*) FILTER (WHERE verdict = 'MATCHED') AS matched,
           count(*) FILTER (WHERE verdict = 'SUGGESTED') AS suggested,
           count(*) FILTER (WHERE verdict = 'IGNORED') AS ignored
    FROM payments_statementline WHERE statement_id = s.id
) l ON true
WHERE s.status = 'DONE' AND (
    (s.matched, s.suggested, s.ignored) <> (l.matched, l.suggested, l.ignored)
    OR s.matched + s.suggested + s.unmatched + s.ignored <> l.stored
) LIMIT 20
"""
_ASSIGNED = """
SELECT v.number, v.state FROM payments_virtualaccount v
LEFT JOIN payments_transferintent i ON i.virtual_account_id = v.id
WHERE i.id IS NOT NULL AND i.released_at IS NULL AND v.state = 'FREE' LIMIT 20
"""


def findings() -> Iterator[str]:
    """Lines against the books, the cashier and their statements."""
    for account_no, lines_fen, books_fen in _rows(_SUSPENSE):
        yield (
            f"suspense:{account_no} 账面 {yuan(int(books_fen))} 元，"
            f"未核销来账合计 {yuan(int(lines_fen))} 元"
        )
    for number, verdict, fen, allocated in _rows(_ALLOCATED):
        yield (
            f"来账 {number}（{Verdict(verdict).label}）{yuan(fen)} 元，"
            f"核销合计 {yuan(int(allocated))} 元"
        )
    for txn, allocated, received in _rows(_RECEIVED):
        yield f"到账 {txn} 核销 {yuan(allocated)} 元，收款记录 {yuan(received)} 元"
    for (number,) in _rows(_COUNTERS):
        yield f"流水文件 {number} 的计数与明细不符"
    for number, _ in _rows(_ASSIGNED):
        yield f"专属账号 {number} 已有支付单，状态却是空闲"


def _rows(sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()
