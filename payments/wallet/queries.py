from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import QuerySet, Sum

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.ledger.models import Account, Entry
from payments.wallet.rules import WORDS, named, wallet_of, withdrawing_of


def owner_of(user_id: int) -> str:
    """The public number of a user, which names his accounts."""
    return str(get_user_model().objects.values_list("number", flat=True).get(pk=user_id))


def owners_of(user_ids: Collection[int]) -> dict[int, str]:
    """The same of many; one query."""
    return dict(get_user_model().objects.filter(pk__in=user_ids).values_list("pk", "number"))


def balance(number: str) -> tuple[int, int]:
    """Fen that a user may spend, and fen that his withdrawals have frozen; one query."""
    codes = wallet_of(number), withdrawing_of(number)
    found = dict(Account.objects.filter(code__in=codes).values_list("code", "balance_fen"))
    return found.get(codes[0], 0), found.get(codes[1], 0)


def entries(owner: Viewer) -> QuerySet[Entry]:
    """Every movement of his wallet."""
    return Entry.objects.filter(account__code=wallet_of(owner.number)).select_related("posting")


def shown_entries(owner: Viewer, page: Sequence[Entry]) -> list[dict[str, Any]]:
    """Newest first, without a gap, with the balance after each; one query."""
    if not page:
        return []
    until = entries(owner).filter(pk__lte=page[0].pk).aggregate(fen=Sum("amount_fen"))["fen"]
    told = []
    for entry in page:
        kind, reference = entry.posting.kind, entry.posting.reference
        told.append(
            {
                "at": entry.posting.at,
                "kind": WORDS.get(kind, kind),
                "amount_fen": -entry.amount_fen,
                "reference": named(kind, reference),
                "balance_after_fen": -until,
            }
        )
        until -= entry.amount_fen
    return told


# --- what must always be true -------------------------------------------------------------------

# Every top-up that is paid is in its owner's wallet once, and no other.
_TOP_UPS = """
WITH booked AS (
    SELECT split_part(p.reference, '-', 1) AS number, a.code, -sum(e.amount_fen) AS fen
    FROM payments_posting p JOIN payments_entry e ON e.posting_id = p.id
    JOIN payments_account a ON a.id = e.account_id
    WHERE p.kind IN ('TOPUP', 'TOPUP_UNDONE') AND a.code LIKE 'wallet:%'
    GROUP BY 1, 2 HAVING sum(e.amount_fen) <> 0
), paid AS (
    SELECT t.number, 'wallet:' || u.number AS code, t.amount_fen AS fen
    FROM payments_topup t JOIN members_user u ON u.id = t.user_id WHERE t.status = 'PAID'
)
SELECT number, coalesce(p.fen, 0), coalesce(b.fen, 0)
FROM paid p FULL JOIN booked b USING (number, code)
WHERE p.fen IS DISTINCT FROM b.fen LIMIT 20
"""
# What came for top-ups that are not in a wallet yet.
_HELD = """
SELECT (SELECT coalesce(sum(p.received_fen - p.refunded_fen), 0) FROM payments_payment p
        JOIN payments_topup t ON t.number = p.reference
        WHERE p.purpose = 'TOPUP' AND t.status <> 'PAID'),
       (SELECT coalesce(-sum(e.amount_fen), 0) FROM payments_entry e
        JOIN payments_account a ON a.id = e.account_id WHERE a.code = 'held:PLATFORM')
"""


# What mixed payments say that wallets have paid of them.
_PARTS = """
SELECT p.number, p.wallet_fen, coalesce(r.fen, 0)
FROM payments_payment p
LEFT JOIN (
    SELECT r.payment_id, sum(r.kept_fen) AS fen FROM payments_receipt r
    JOIN payments_payment p ON p.id = r.payment_id
    WHERE r.method = 'WALLET' AND p.method <> 'WALLET' AND r.undone_at IS NULL
    GROUP BY r.payment_id
) r ON r.payment_id = p.id
WHERE p.wallet_fen <> coalesce(r.fen, 0) LIMIT 20
"""


def findings() -> Iterator[str]:
    """Top-ups against the wallets that they filled; mixed payments against their arrivals."""
    with connection.cursor() as cursor:
        cursor.execute(_PARTS)
        for number, said, received in cursor.fetchall():
            yield f"支付单 {number} 余额支付 {yuan(said)} 元，到账记录 {yuan(int(received))} 元"
        cursor.execute(_TOP_UPS)
        for number, paid, booked in cursor.fetchall():
            yield f"充值单 {number} 已充值 {yuan(int(paid))} 元，钱包入账 {yuan(int(booked))} 元"
        cursor.execute(_HELD)
        received, held = cursor.fetchone()
        if received != held:
            yield (
                f"held:PLATFORM 账面 {yuan(int(held))} 元，未入账充值合计 {yuan(int(received))} 元"
            )
