from collections.abc import Iterator, Sequence

from django.db import connection
from django.db.models import QuerySet

from config.kit.errors import Refusal
from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.deposits.models import DepositMove, DepositRule
from payments.deposits.rules import required
from payments.ledger import queries as ledger


class DepositTooSmall(Refusal):
    message = "保证金不足，不能上架该类目的商品"


def moves(viewer: Viewer) -> QuerySet[DepositMove]:
    return DepositMove.objects.seen_by(viewer)


def deposit_fen(merchant: str) -> int:
    """What is there and not frozen."""
    return ledger.balance(f"deposit:{merchant}")


def frozen_fen(merchant: str) -> int:
    return ledger.balance(f"deposit_frozen:{merchant}")


def require(*, merchant: str, categories: Sequence[str]) -> None:
    """Raises DepositTooSmall where these categories (codes, with those above) ask for more."""
    told = DepositRule.objects.filter(category__in=categories)
    fen = required(categories, dict(told.values_list("category", "required_fen")))
    there = deposit_fen(merchant) if fen else 0
    if there < fen:
        short = fen - there
        raise DepositTooSmall(
            f"该类目须缴保证金 {yuan(fen)} 元，还差 {yuan(short)} 元，不能上架",
            required_fen=fen,
            short_fen=short,
        )


# A deposit that was paid through the cashier came out of its pot once, and no other.
_PAID = """
WITH booked AS (
    SELECT number, sum(fen) AS fen FROM (
        SELECT m.source AS number, e.amount_fen AS fen FROM payments_depositmove m
        JOIN payments_posting p ON p.kind = 'DEPOSIT_PAID' AND p.reference = m.number
        JOIN payments_entry e ON e.posting_id = p.id
        JOIN payments_account a ON a.id = e.account_id AND a.code = 'held:DEPOSITS'
        UNION ALL
        SELECT split_part(p.reference, '-', 1), e.amount_fen FROM payments_posting p
        JOIN payments_entry e ON e.posting_id = p.id
        JOIN payments_account a ON a.id = e.account_id AND a.code = 'held:DEPOSITS'
        WHERE p.kind = 'DEPOSIT_REVERSED'
    ) legs GROUP BY number
), told AS (
    SELECT number, CASE status WHEN 'PAID' THEN amount_fen ELSE 0 END AS fen
    FROM payments_depositpayment
)
SELECT coalesce(t.number, b.number), coalesce(t.fen, 0), coalesce(b.fen, 0)
FROM told t FULL JOIN booked b USING (number)
WHERE coalesce(t.fen, 0) <> coalesce(b.fen, 0) LIMIT 20
"""
# What came for deposits that are not paid in full.
_HELD = """
SELECT (SELECT coalesce(sum(p.received_fen - p.refunded_fen), 0) FROM payments_payment p
        LEFT JOIN payments_depositpayment d ON d.number = p.reference
        WHERE p.purpose = 'DEPOSIT' AND d.status IS DISTINCT FROM 'PAID'),
       (SELECT coalesce(-sum(e.amount_fen), 0) FROM payments_entry e
        JOIN payments_account a ON a.id = e.account_id WHERE a.code = 'held:DEPOSITS')
"""
# What merchants owe for deposits that the bank took back.
_OWED = """
SELECT coalesce(t.merchant, b.merchant), coalesce(t.fen, 0), coalesce(b.fen, 0)
FROM (SELECT merchant, sum(owed_fen) AS fen FROM payments_depositpayment GROUP BY merchant) t
FULL JOIN (
    SELECT split_part(a.code, ':', 2) AS merchant, sum(e.amount_fen) AS fen
    FROM payments_posting p JOIN payments_entry e ON e.posting_id = p.id
    JOIN payments_account a ON a.id = e.account_id
    WHERE p.kind = 'DEPOSIT_REVERSED' AND a.code LIKE 'receivable:%' GROUP BY 1
) b USING (merchant)
WHERE coalesce(t.fen, 0) <> coalesce(b.fen, 0) LIMIT 20
"""
_COMPARED = """
WITH rows AS (
    SELECT merchant, sum(CASE WHEN kind = 'TOP_UP' THEN amount_fen
                              WHEN status = 'DECLINED' THEN 0 ELSE -amount_fen END) AS free,
           sum(amount_fen) FILTER (WHERE status = 'ASKED') AS frozen
    FROM payments_depositmove GROUP BY merchant
), booked AS (
    SELECT split_part(a.code, ':', 2) AS merchant,
           -sum(e.amount_fen) FILTER (WHERE a.code LIKE 'deposit:%%') AS free,
           -sum(e.amount_fen) FILTER (WHERE a.code LIKE 'deposit_frozen:%%') AS frozen
    FROM payments_account a JOIN payments_entry e ON e.account_id = a.id
    WHERE a.code LIKE 'deposit:%%' OR a.code LIKE 'deposit_frozen:%%' GROUP BY 1
)
SELECT merchant, coalesce(r.free, 0), coalesce(r.frozen, 0), coalesce(b.free, 0),
       coalesce(b.frozen, 0)
FROM rows r FULL JOIN booked b USING (merchant)
WHERE (coalesce(r.free, 0), coalesce(r.frozen, 0))
   <> (coalesce(b.free, 0), coalesce(b.frozen, 0)) LIMIT 20
"""
# Never mixed with other money: only these facts touch a deposit.
_MIXED = """
SELECT DISTINCT p.kind, p.reference FROM payments_posting p
JOIN payments_entry e ON e.posting_id = p.id JOIN payments_account a ON a.id = e.account_id
WHERE (a.code LIKE 'deposit:%%' OR a.code LIKE 'deposit_frozen:%%')
  AND p.kind NOT LIKE 'DEPOSIT\\_%%' LIMIT 20
"""


def findings() -> Iterator[str]:
    """Deposits against the ledger, and that nothing else touches them."""
    with connection.cursor() as cursor:
        cursor.execute(_COMPARED, [])
        for merchant, free, frozen, has, has_frozen in cursor.fetchall():
            yield (
                f"商家 {merchant} 保证金 {yuan(int(free))} 元、冻结 {yuan(int(frozen))} 元，"
                f"账面 {yuan(int(has))} 元、冻结 {yuan(int(has_frozen))} 元"
            )
        cursor.execute(_MIXED, [])
        for kind, reference in cursor.fetchall():
            yield f"凭证 {kind} {reference} 动用了保证金"
    yield from _payment_findings()


def _payment_findings() -> Iterator[str]:
    """What was paid through the cashier against the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(_PAID)
        for number, told, booked in cursor.fetchall():
            yield (f"保证金缴纳单 {number} 已缴 {yuan(int(told))} 元，入账 {yuan(int(booked))} 元")
        cursor.execute(_HELD)
        told, booked = cursor.fetchone()
        if told != booked:
            yield (
                f"held:DEPOSITS 账面 {yuan(int(booked))} 元，未入账保证金合计 {yuan(int(told))} 元"
            )
        cursor.execute(_OWED)
        for merchant, told, booked in cursor.fetchall():
            yield (
                f"商家 {merchant} 因保证金付款被撤回应付 {yuan(int(told))} 元，"
                f"账面 {yuan(int(booked))} 元"
            )
