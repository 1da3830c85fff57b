from collections.abc import Collection, Iterator
from dataclasses import dataclass

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.ledger import queries as ledger
from payments.payouts.models import Payee, Payout
from payments.payouts.rules import PayeeStatus, Road, Status
from payments.receiving.models import ReceivingAccount


@dataclass(frozen=True)
class Standing:
    """A merchant's own money, in fen: free, on its way to his bank account, and his debt."""

    merchant: str
    available_fen: int
    frozen_fen: int
    owed_fen: int


def standing(merchant: str) -> Standing:
    return Standing(
        merchant,
        available_fen=ledger.balance(f"merchant:{merchant}:available"),
        frozen_fen=ledger.balance(f"paying_out:{merchant}"),
        owed_fen=ledger.balance(f"receivable:{merchant}"),
    )


def payouts(viewer: Viewer) -> QuerySet[Payout]:
    return Payout.objects.seen_by(viewer).select_related("payee")


def payees(viewer: Viewer) -> QuerySet[Payee]:
    return Payee.objects.seen_by(viewer)


def payees_of(merchant: str) -> dict[str, Payee]:
    """The one in use and the one that waits for a check, by status."""
    open_ones = [PayeeStatus.ACTIVE, PayeeStatus.ASKED]
    found = Payee.objects.filter(merchant=merchant, status__in=open_ones)
    return {payee.status: payee for payee in found}


def paying_account() -> ReceivingAccount | None:
    """The platform's account that payouts leave; one with a bank's interface before others."""
    own = ReceivingAccount.objects.filter(merchant="", is_active=True)
    if settings.PAYOUT_ACCOUNT:
        return own.filter(account_no=settings.PAYOUT_ACCOUNT).first()
    return own.order_by("-provider", "pk").first()


def known(account: ReceivingAccount, marks: Collection[str]) -> list[str]:
    """Which of these marks of bookings (`screening.payout_marks`) are payouts from this account.

    Those of a file are unknown until somebody has said, without a booking, that they are paid.
    """
    mine = Payout.objects.filter(account=account)
    by_bank = Q(road=Road.BANK, status__in=[Status.SENDING, Status.DONE, Status.BOUNCED])
    said = Q(road=Road.FILE, status__in=[Status.DONE, Status.BOUNCED], booking=None)
    return [
        *mine.filter(serial__in=marks, booking=None).values_list("serial", flat=True),
        *mine.filter(by_bank | said, number__in=marks).values_list("number", flat=True),
    ]


_UNDER_WAY = """
WITH rows AS (
    SELECT merchant, sum(amount_fen) AS fen FROM payments_payout
    WHERE status IN ('ASKED', 'APPROVED', 'SENDING') GROUP BY merchant
), booked AS (
    SELECT split_part(a.code, ':', 2) AS merchant, -sum(e.amount_fen) AS fen
    FROM payments_account a JOIN payments_entry e ON e.account_id = a.id
    WHERE a.code LIKE 'paying_out:%%' GROUP BY a.code
)
SELECT merchant, coalesce(r.fen, 0), coalesce(b.fen, 0) FROM rows r FULL JOIN booked b
USING (merchant) WHERE coalesce(r.fen, 0) <> coalesce(b.fen, 0) LIMIT 20
"""
# Each payout by what the ledger has of it: held once; paid, or given back, as its row says.
_POSTED = """
SELECT o.number, o.status, string_agg(p.kind, ' ' ORDER BY p.kind)
FROM payments_payout o LEFT JOIN payments_posting p ON p.reference = o.number
    AND p.kind IN ('PAYOUT_HELD', 'PAYOUT_PAID', 'PAYOUT_VOIDED')
GROUP BY o.id HAVING coalesce(string_agg(p.kind, ' ' ORDER BY p.kind), '') <> CASE
    WHEN o.status IN ('DONE', 'BOUNCED') THEN 'PAYOUT_HELD PAYOUT_PAID'
    WHEN o.status IN ('FAILED', 'DECLINED') THEN 'PAYOUT_HELD PAYOUT_VOIDED'
    ELSE 'PAYOUT_HELD' END LIMIT 20
"""


def findings() -> Iterator[str]:
    """Payouts against the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(_UNDER_WAY, [])
        for merchant, rows, booked in cursor.fetchall():
            yield (
                f"paying_out:{merchant} 账面 {yuan(int(booked))} 元，"
                f"未结束的付款合计 {yuan(int(rows))} 元"
            )
        cursor.execute(_POSTED)
        for number, status, kinds in cursor.fetchall():
            yield f"付款单 {number} 状态 {status}，凭证为 {kinds or '无'}"
