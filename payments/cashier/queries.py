from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import QuerySet, Sum

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.cashier.models import Payment, Refund, RefundPart
from payments.cashier.payables import goes_to_wallet, method
from payments.cashier.rules import OWED_REASONS, PartStatus, RefundStatus, Status, may_move

ENDED = [RefundStatus.DONE, RefundStatus.VOID]


def for_payer(payer: Viewer) -> QuerySet[Payment]:
    return Payment.objects.of(payer)


def owed_to(payer: Viewer, number: str) -> QuerySet[Refund]:
    """What this payer is owed back of one payment, to decide upon."""
    owed = Refund.objects.filter(payment__payer_id=payer.pk, payment__number=number)
    return owed.filter(reason__in=OWED_REASONS).select_related("payment")


def owed_back_fen(merchants: Collection[str]) -> int:
    """What is owed to these merchants' payers and has not gone: the ledger says it by method."""
    owed = Refund.objects.filter(payment__merchant__in=merchants).exclude(status__in=ENDED)
    gone = RefundPart.objects.filter(refund__in=owed, status=PartStatus.DONE)
    fen = owed.aggregate(fen=Sum("amount_fen", default=0))["fen"]
    return int(fen) - int(gone.aggregate(fen=Sum("amount_fen", default=0))["fen"])


def shown(payments: list[Payment]) -> list[dict[str, Any]]:
    """As the API answers them, with what the payer has to do and what is owed to him.

    One query for the refunds, and what each method takes for its instructions.
    """
    by_method: dict[str, list[Payment]] = {}
    for row in payments:
        by_method.setdefault(row.method, []).append(row)
    told = {
        pk: what
        for name, rows in by_method.items()
        for pk, what in method(name).instructions(rows).items()
    }
    owed = _owed_back(payments)
    return [
        {
            "number": row.number,
            "purpose": row.purpose,
            "order": row.reference if row.purpose == "ORDER" else None,
            "top_up": row.reference if row.purpose == "TOPUP" else None,
            "gift_card": row.reference if row.purpose == "GIFT_CARD" else None,
            "deposit": row.reference if row.purpose == "DEPOSIT" else None,
            "status": row.status,
            "method": row.method,
            "amount_fen": row.amount_fen,
            "received_fen": row.received_fen,
            "outstanding_fen": row.outstanding_fen,
            "wallet_fen": row.wallet_fen,
            "opened_at": row.opened_at,
            "pay_before": row.pay_before,
            "confirmed_at": row.confirmed_at,
            "instructions": told.get(row.pk, {}),
            "owed_back": owed.get(row.pk, []),
        }
        for row in payments
    ]


def unheard(*, purpose: str, references: Sequence[str], at: datetime) -> dict[str, datetime]:
    """Of these things, those whose money may be here although nobody has told us yet.

    With when to look again, the latest of their payments'.  One query, and what each method takes.
    """
    waiting = Payment.objects.filter(
        purpose=purpose, reference__in=references, status=Status.WAITING
    )
    by_method: dict[str, list[Payment]] = {}
    for row in waiting.order_by("pk"):
        by_method.setdefault(row.method, []).append(row)
    found: dict[str, datetime] = {}
    for name, rows in by_method.items():
        again = method(name).unheard(rows, at=at)
        for row in rows:
            if row.pk in again:
                found[row.reference] = max(again[row.pk], found.get(row.reference, at))
    return found


def open_of(*, purpose: str, reference: str) -> list[Payment]:
    """The payments that are still collected for a thing."""
    rows = Payment.objects.filter(purpose=purpose, reference=reference, status=Status.WAITING)
    return list(rows.order_by("pk"))


_PAID_ELSEWHERE = """
SELECT p.id FROM payments_partpaid part JOIN payments_payment p ON p.id = part.payment_id
WHERE EXISTS (
    SELECT 1 FROM payments_payment s
    WHERE s.purpose = p.purpose AND s.reference = p.reference AND s.id <> p.id
      AND s.status = 'CONFIRMED' AND s.received_fen > s.refunded_fen
) ORDER BY p.id LIMIT %s
"""


def paid_elsewhere(*, most: int) -> list[int]:
    """Payments that have a part of their money, and whose thing another payment has paid."""
    with connection.cursor() as cursor:
        cursor.execute(_PAID_ELSEWHERE, [most])
        return [pk for (pk,) in cursor.fetchall()]


# What the bank took back and was not here any more: kept money, and money that was owed back.
_LOST = """
SELECT merchant, sum(fen) FROM (
    SELECT merchant, covered_fen AS fen FROM payments_payment WHERE covered_fen > 0
    UNION ALL
    SELECT p.merchant, f.amount_fen FROM payments_receipt r
    JOIN payments_payment p ON p.id = r.payment_id
    JOIN payments_refund f ON f.receipt_id = r.id AND f.status <> 'VOID'
    WHERE r.undone_at IS NOT NULL
) AS lost GROUP BY merchant
"""
# Once a refund is over, its parts have left or are void.
_PARTS = """
SELECT f.number, CASE f.status WHEN 'DONE' THEN f.amount_fen ELSE 0 END, sum(d.amount_fen)
FROM payments_refund f JOIN payments_refundpart d ON d.refund_id = f.id AND d.status <> 'VOID'
WHERE f.status <> 'SENDING'
GROUP BY f.id
HAVING sum(d.amount_fen) <> CASE f.status WHEN 'DONE' THEN f.amount_fen ELSE 0 END LIMIT 20
"""
# The list that triggers keep beside the payments it is about.
_PART_PAID = """
SELECT number, coalesce(left_fen, 0), coalesce(listed_fen, 0) FROM (
    SELECT coalesce(p.number, '#' || d.payment_id) AS number, d.left_fen AS listed_fen,
           CASE WHEN p.status = 'WAITING' AND p.received_fen > 0
                THEN p.amount_fen - p.received_fen END AS left_fen
    FROM payments_payment p FULL JOIN payments_partpaid d ON d.payment_id = p.id
) part WHERE left_fen IS DISTINCT FROM listed_fen LIMIT 20
"""
# What the merchant has paid of it since (`settlement.debts`) was lost all the same; deposits that
# were taken back (`deposits.queries`) are his debt for another reason.
_RECEIVABLE = """
SELECT split_part(a.code, ':', 2), sum(e.amount_fen) FROM payments_entry e
JOIN payments_account a ON a.id = e.account_id
JOIN payments_posting p ON p.id = e.posting_id
WHERE a.code LIKE 'receivable:%'
  AND p.kind NOT IN ('DEBT_PAID', 'DEBT_OVERPAID', 'DEPOSIT_REVERSED') GROUP BY a.code
"""
# One posting books many receipts: together they are what its legs say.  What was owed then, and
# was taken back into its payment since (a receipt that owes nothing any more), counts as owed.
_BUNDLES = """
WITH taken_back AS (
    SELECT f.receipt_id, sum(f.amount_fen) AS fen
    FROM payments_refund f JOIN payments_receipt r ON r.id = f.receipt_id AND r.owed_fen = 0
    WHERE f.status = 'VOID' GROUP BY f.receipt_id
), received AS (
    SELECT r.posting, sum(r.amount_fen) AS fen, sum(r.kept_fen - coalesce(t.fen, 0)) AS kept,
           sum(r.owed_fen + coalesce(t.fen, 0)) AS owed
    FROM payments_receipt r LEFT JOIN taken_back t ON t.receipt_id = r.id GROUP BY r.posting
), booked AS (
    SELECT p.reference AS posting, sum(e.amount_fen) FILTER (WHERE e.amount_fen > 0) AS fen,
           coalesce(-sum(e.amount_fen) FILTER (WHERE a.code LIKE 'held:%'), 0) AS kept,
           coalesce(-sum(e.amount_fen) FILTER (WHERE a.code LIKE 'refund_payable:%'), 0) AS owed
    FROM payments_posting p JOIN payments_entry e ON e.posting_id = p.id
    JOIN payments_account a ON a.id = e.account_id WHERE p.kind = 'RECEIPT' GROUP BY p.reference
)
SELECT posting, coalesce(r.fen, 0), coalesce(b.fen, 0)
FROM received r FULL JOIN booked b USING (posting)
WHERE (r.fen, r.kept, r.owed) IS DISTINCT FROM (b.fen, b.kept, b.owed) LIMIT 20
"""


def _owed_back(payments: list[Payment]) -> dict[int, list[dict[str, Any]]]:
    by_payment: dict[int, list[dict[str, Any]]] = {}
    rows = Refund.objects.filter(payment__in=payments, reason__in=OWED_REASONS).order_by("pk")
    of = {payment.pk: payment for payment in payments}
    for row in rows:
        by_payment.setdefault(row.payment_id, []).append(
            {
                "number": row.number,
                "amount_fen": row.amount_fen,
                "reason": row.reason,
                "status": row.status,
                "actions": {
                    "return": row.status == RefundStatus.OWED and not row.asked_by,
                    "to_wallet": _goes_to_wallet(row, of[row.payment_id]),
                },
            }
        )
    return by_payment


def _goes_to_wallet(refund: Refund, payment: Payment) -> bool:
    can = may_move(refund.status, refund.asked_by, refund.hand_txn)
    return can and goes_to_wallet(refund.way or payment.method)


def findings() -> Iterator[str]:
    """Payments against their receipts, and what is held or owed against the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(_BUNDLES)
        for posting, received, booked in cursor.fetchall():
            yield (
                f"凭证 {posting} 入账 {yuan(int(booked))} 元，"
                f"到账记录合计 {yuan(int(received))} 元，或入账与应退之分不符"
            )
        cursor.execute(
            "SELECT p.number, p.received_fen - p.covered_fen, coalesce(sum(r.kept_fen), 0)"
            " FROM payments_payment p"
            " LEFT JOIN payments_receipt r ON r.payment_id = p.id AND r.undone_at IS NULL"
            " GROUP BY p.id"
            " HAVING p.received_fen - p.covered_fen <> coalesce(sum(r.kept_fen), 0) LIMIT 20"
        )
        for number, received, kept in cursor.fetchall():
            yield f"支付单 {number} 实收 {yuan(received)} 元，到账记录合计 {yuan(int(kept))} 元"
        cursor.execute(
            "SELECT p.number, p.refunded_fen, coalesce(sum(r.amount_fen), 0)"
            " FROM payments_payment p"
            " LEFT JOIN payments_refund r ON r.payment_id = p.id AND r.receipt_id IS NULL"
            " AND r.status <> 'VOID'"
            " GROUP BY p.id HAVING p.refunded_fen <> coalesce(sum(r.amount_fen), 0) LIMIT 20"
        )
        for number, refunded, rows in cursor.fetchall():
            yield f"支付单 {number} 已退 {yuan(refunded)} 元，退款单合计 {yuan(int(rows))} 元"
        cursor.execute(_PART_PAID)
        for number, left, listed in cursor.fetchall():
            yield f"支付单 {number} 已部分付款，还差 {yuan(left)} 元，清单记为 {yuan(listed)} 元"
    yield from _owed_findings()


def _owed_findings() -> Iterator[str]:
    """Refunds against their parts, and what is owed or lost against the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT p.method, sum(r.amount_fen - coalesce(d.fen, 0)) FROM payments_refund r"
            " JOIN payments_payment p ON p.id = r.payment_id"
            " LEFT JOIN LATERAL (SELECT sum(amount_fen) AS fen FROM payments_refundpart"
            "     WHERE refund_id = r.id AND status = 'DONE') d ON true"
            " WHERE r.status NOT IN ('DONE', 'VOID') GROUP BY p.method"
        )
        owed = {f"refund_payable:{name}": int(fen) for name, fen in cursor.fetchall()}
        cursor.execute(
            "SELECT a.code, -sum(e.amount_fen) FROM payments_entry e"
            " JOIN payments_account a ON a.id = e.account_id"
            " WHERE a.code LIKE 'refund_payable:%' GROUP BY a.code"
        )
        booked = {code: int(fen) for code, fen in cursor.fetchall()}
        cursor.execute(_PARTS)
        for number, amount, done in cursor.fetchall():
            yield f"退款单 {number} 已退 {yuan(amount)} 元，退款明细合计 {yuan(int(done))} 元"
        cursor.execute(_LOST)
        lost = {name: int(fen) for name, fen in cursor.fetchall()}
        cursor.execute(_RECEIVABLE)
        receivable = {name: int(fen) for name, fen in cursor.fetchall()}
    for name in sorted(lost.keys() | receivable.keys()):
        if lost.get(name, 0) != receivable.get(name, 0):
            yield (
                f"receivable:{name} 账面 {yuan(receivable.get(name, 0))} 元，"
                f"冲正损失合计 {yuan(lost.get(name, 0))} 元"
            )
    for code in sorted(owed.keys() | booked.keys()):
        if owed.get(code, 0) != booked.get(code, 0):
            yield (
                f"{code} 账面 {yuan(booked.get(code, 0))} 元，"
                f"未退退款单合计 {yuan(owed.get(code, 0))} 元"
            )
