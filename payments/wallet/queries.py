from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.db.models import Q, QuerySet, Sum

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.ledger.models import Account, Entry
from payments.wallet.models import Withdrawal
from payments.wallet.rules import (
    LIVE,
    WORDS,
    WithdrawalStatus,
    named,
    wallet_of,
    withdrawing_of,
)


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


def withdrawals(owner: Viewer) -> QuerySet[Withdrawal]:
    return Withdrawal.objects.filter(user_id=owner.pk)


def withdrawals_seen_by(viewer: Viewer) -> QuerySet[Withdrawal]:
    """All of them by the platform's finance, none by a merchant's: a wallet is no merchant's."""
    every = Withdrawal.objects.all()
    return every if viewer.tenants("FINANCE") is None else every.none()


def shown_withdrawals(rows: Iterable[Withdrawal]) -> list[dict[str, Any]]:
    return [
        {
            "number": row.number,
            "to": row.to,
            "amount_fen": row.amount_fen,
            "status": row.status,
            "account_no": row.account_no[-4:] or None,
            "failure": row.failure if row.status not in LIVE else "",
            "asked_at": row.asked_at,
            "ended_at": row.ended_at,
            "instructions": _to_confirm(row),
        }
        for row in rows
    ]


def _to_confirm(row: Withdrawal) -> dict[str, str]:
    """What wx.requestMerchantTransfer takes; nothing where there is nothing to confirm."""
    if row.status != WithdrawalStatus.SENDING or not row.package:
        return {}
    return {
        "mchId": settings.WECHAT_PAY["mchid"],
        "appId": settings.WECHAT_APPID,
        "package": row.package,
    }


def withdrawn_marks(account_no: str, marks: Collection[str]) -> set[str]:
    """Which of these serials and numbers are of withdrawals that may have left this account."""
    ours = Withdrawal.objects.filter(paid_from=account_no).exclude(
        channel_no="", status__in=["CHECKING", "FAILED", "DECLINED"]
    )
    named = ours.filter(Q(channel_no__in=marks) | Q(number__in=marks))
    return {mark for pair in named.values_list("channel_no", "number") for mark in pair}


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


# A withdrawal is frozen once, and has left or is back in the wallet once, as its state says.
_WITHDRAWN = """
SELECT coalesce(w.number, p.reference), coalesce(w.status, ''), p.kinds
FROM payments_withdrawal w
FULL JOIN (
    SELECT p.reference, string_agg(p.kind, ' ' ORDER BY p.id) AS kinds, max(e.fen) AS fen
    FROM payments_posting p JOIN LATERAL (
        SELECT sum(amount_fen) AS fen FROM payments_entry
        WHERE posting_id = p.id AND amount_fen > 0
    ) e ON true
    WHERE p.kind IN ('WITHDRAW', 'WITHDRAWN', 'WITHDRAW_VOID', 'WITHDRAW_BOUNCED')
    GROUP BY p.reference
) p ON p.reference = w.number
WHERE (p.kinds, p.fen) IS DISTINCT FROM (CASE w.status
    WHEN 'CHECKING' THEN 'WITHDRAW' WHEN 'SENDING' THEN 'WITHDRAW'
    WHEN 'DONE' THEN 'WITHDRAW WITHDRAWN'
    WHEN 'BOUNCED' THEN 'WITHDRAW WITHDRAWN WITHDRAW_BOUNCED'
    ELSE 'WITHDRAW WITHDRAW_VOID' END, w.amount_fen::numeric)
LIMIT 20
"""
_FROZEN = """
SELECT coalesce(w.code, a.code), coalesce(w.fen, 0), coalesce(a.balance_fen, 0)
FROM (SELECT 'withdrawing:' || owner AS code, sum(amount_fen) AS fen FROM payments_withdrawal
      WHERE status IN ('CHECKING', 'SENDING') GROUP BY owner) w
FULL JOIN (SELECT code, balance_fen FROM payments_account WHERE code LIKE 'withdrawing:%') a
  ON a.code = w.code
WHERE coalesce(w.fen, 0) <> coalesce(a.balance_fen, 0) LIMIT 20
"""


def findings() -> Iterator[str]:
    """Top-ups, mixed payments and withdrawals against the books."""
    yield from _withdrawal_findings()
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


def _withdrawal_findings() -> Iterator[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WITHDRAWN)
        for number, status, kinds in cursor.fetchall():
            yield f"提现单 {number} 状态 {status}，记账为 {kinds}，或金额不符"
        cursor.execute(_FROZEN)
        for code, live, booked in cursor.fetchall():
            yield f"{code} 账面 {yuan(int(booked))} 元，提现中合计 {yuan(int(live))} 元"
