"""What the bank says of an account, and what the ledger says, by the days of the bank."""

from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from typing import Any

from django.db import connection
from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce, Greatest

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.closing.models import DayClose
from payments.closing.rules import Ends, begins
from payments.ledger import queries as ledger
from payments.ledger.models import Entry
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import Statement, StatementLine
from payments.transfers.screening import INTAKE_KINDS


def days(viewer: Viewer) -> QuerySet[DayClose]:
    return DayClose.objects.seen_by(viewer).select_related("receiving_account")


def shown(rows: Iterable[DayClose]) -> list[dict[str, Any]]:
    return [
        {
            "account_no": row.receiving_account.account_no,
            "day": row.day,
            "status": row.status,
            "bank_fen": row.bank_fen,
            "ledger_fen": row.ledger_fen,
            "suspense_fen": row.suspense_fen,
            "lines_fen": row.lines_fen,
            "differences": row.differences,
            "made_at": row.made_at,
        }
        for row in rows
    ]


# --- the bank -----------------------------------------------------------------------------------


def ends(account: ReceivingAccount) -> list[Ends]:
    """Statements that say their days and balances, in the order of the moments they speak for.

    A file is of the moment when it was taken, not when its lines were in at last; the same file
    that the bank hands out again later is of then.
    """
    rows: Iterable[tuple[Any, ...]] = (
        Statement.objects.filter(
            receiving_account=account,
            status="DONE",
            opening_fen__isnull=False,
            closing_fen__isnull=False,
            booked_from__isnull=False,
            booked_until__isnull=False,
        )
        .annotate(taken_at=Greatest("uploaded_at", Coalesce("confirmed_at", "uploaded_at")))
        .order_by("taken_at", "pk")
        .values_list(
            "number", "booked_from", "booked_until", "opening_fen", "closing_fen", "taken_at"
        )
    )
    return [Ends(*row) for row in rows]


def closings(
    account: ReceivingAccount, statements: Iterable[Ends], *, since: date
) -> dict[date, int]:
    """The bank's balance at the end of each day that it is known of.

    The end of a statement, unless that was taken before its last day was over (the latest one
    counts); and days within a longer one, where all their bookings have a balance.
    """
    known: dict[date, int] = {}
    within: set[date] = set()
    for one in statements:
        last = one.until - timedelta(days=1)
        within |= {one.first + timedelta(days=n) for n in range((last - one.first).days)}
        if one.taken_at >= begins(one.until):
            known[last] = one.closing_fen
    wanted = sorted(day for day in within - set(known) if day >= since)
    found = _by_lines(account, wanted) if wanted else {}
    return {day: fen for day, fen in known.items() if day >= since} | found


# The balance after a day's last booking is the one that is no other booking's balance before.
# Where the day came to nothing (as much out as in) there is none, and the day is left out.
_BY_LINES = """
WITH booked AS (
    SELECT (booked_at AT TIME ZONE 'Asia/Shanghai')::date AS day, amount_fen, balance_fen
    FROM payments_statementline
    WHERE receiving_account_id = %s AND amount_fen <> 0 AND booked_at >= %s AND booked_at < %s
      AND (is_posted OR is_elsewhere
           OR balance_fen IS NOT NULL AND NOT jsonb_exists(facts, 'held_as'))
), ends AS (
    SELECT day, balance_fen AS fen FROM booked
    EXCEPT ALL SELECT day, balance_fen - amount_fen FROM booked
)
SELECT day, min(fen) FROM ends
WHERE NOT EXISTS (SELECT 1 FROM booked b WHERE b.day = ends.day AND b.balance_fen IS NULL)
GROUP BY day HAVING count(*) = 1
"""


def _by_lines(account: ReceivingAccount, wanted: list[date]) -> dict[date, int]:
    until = begins(wanted[-1] + timedelta(days=1))
    with connection.cursor() as cursor:
        cursor.execute(_BY_LINES, [account.pk, begins(wanted[0]), until])
        found = dict(cursor.fetchall())
    return {day: int(found[day]) for day in wanted if day in found}


# --- the ledger ---------------------------------------------------------------------------------

# Lines count on the day on which the bank booked them, everything else when it was posted.
_MOVED = """
SELECT day, sum(fen) FROM (
    SELECT (booked_at AT TIME ZONE 'Asia/Shanghai')::date AS day, sum(amount_fen) AS fen
    FROM payments_statementline
    WHERE receiving_account_id = %s AND (is_posted OR is_elsewhere) GROUP BY 1
    UNION ALL
    SELECT (p.at AT TIME ZONE 'Asia/Shanghai')::date, sum(e.amount_fen)
    FROM payments_account a JOIN payments_entry e ON e.account_id = a.id
    JOIN payments_posting p ON p.id = e.posting_id
    WHERE a.code = %s AND p.kind <> ALL(%s::text[]) GROUP BY 1
) moved GROUP BY day ORDER BY day
"""


def moved(account: ReceivingAccount) -> dict[date, int]:
    """What the ledger's bank account moved on each day of the bank, without its opening."""
    kinds = [*INTAKE_KINDS, "OPENING"]
    with connection.cursor() as cursor:
        cursor.execute(_MOVED, [account.pk, f"bank:{account.account_no}", kinds])
        return {day: int(fen) for day, fen in cursor.fetchall()}


def opening_fen(account: ReceivingAccount) -> int:
    return ledger.balance(f"opening:{account.account_no}")


def suspense_fen(account: ReceivingAccount) -> tuple[int, int]:
    """Now: what the ledger has in suspense, and what is left on the account's lines."""
    left = F("amount_fen") - F("allocated_fen") - F("returned_fen") - F("set_aside_fen")
    lines = StatementLine.objects.filter(receiving_account=account, is_posted=True)
    waits = lines.aggregate(fen=Sum(left, default=0))["fen"]
    return ledger.balance(f"suspense:{account.account_no}"), int(waits)


# --- what must always be true -------------------------------------------------------------------

SHOWN_DAYS = 20


def findings() -> Iterator[str]:
    """The bank accounts of the ledger against stored lines, and the days that differ."""
    for account in ReceivingAccount.objects.order_by("pk"):
        entries = Entry.objects.filter(
            account__code=f"bank:{account.account_no}", posting__kind__in=INTAKE_KINDS
        )
        booked = int(entries.aggregate(fen=Sum("amount_fen", default=0))["fen"])
        lines = StatementLine.objects.filter(receiving_account=account)
        posted = lines.filter(is_posted=True) | lines.filter(is_elsewhere=True)
        stored = int(posted.aggregate(fen=Sum("amount_fen", default=0))["fen"])
        if booked != stored:
            yield (
                f"bank:{account.account_no} 流水入账 {yuan(booked)} 元，"
                f"已记账明细合计 {yuan(stored)} 元"
            )
    differing = DayClose.objects.filter(status="DIFFERS").select_related("receiving_account")
    for close in differing.order_by("-day", "pk")[:SHOWN_DAYS]:
        first = close.differences[0]["text"]
        yield (
            f"账户 {close.receiving_account.account_no} {close.day} 银行余额 "
            f"{yuan(close.bank_fen)} 元，账面 {yuan(close.ledger_fen)} 元：{first}"
        )
