"""The ledger begins where the bank's statements begin, and each day is compared with them."""

from collections.abc import Sequence
from datetime import date, datetime
from itertools import accumulate

from django.db import transaction

from config.kit.money import yuan
from payments.closing import explaining, queries
from payments.closing.explaining import Reasons
from payments.closing.models import DayClose
from payments.closing.rules import Difference, Ends, Why, gaps, rest, shortened, verdict
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.ledger.rules import Draft
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import StatementLine

EARLIEST = date.min


@transaction.atomic
def open_books(*, account: ReceivingAccount, at: datetime) -> int:
    """The balance with which the account's earliest statement begins; answers the fen posted.

    What the ledger knows from before that statement (pushes, payouts) is in its opening balance
    already, so it is taken off.  The first posting opens the books; when an earlier statement
    comes in later, or something from before, the difference is posted as a correction of its own.
    """
    _lock(account)
    first = _earliest(queries.ends(account))
    if first is None or _is_in_another_currency(account, first):
        return 0
    before = sum(fen for day, fen in queries.moved(account).items() if day < first.first)
    differ = first.opening_fen - queries.opening_fen(account) - before
    if differ:
        ledger.post([_opening(account.account_no, differ)], at=at)
    return differ


def _lock(account: ReceivingAccount) -> None:
    """One at a time per account; lines and statements may go on referring to it."""
    rows = ReceivingAccount.objects.filter(pk=account.pk)
    list(rows.select_for_update(no_key=True).values_list("pk"))


def _earliest(statements: Sequence[Ends]) -> Ends | None:
    return min(statements, key=lambda one: (one.first, -one.until.toordinal()), default=None)


def _is_in_another_currency(account: ReceivingAccount, first: Ends) -> bool:
    lines = StatementLine.objects.filter(receiving_account=account, statement__number=first.number)
    return lines.exclude(currency="CNY").exists()


def _opening(account_no: str, fen: int) -> Draft:
    """`<account>` the first time, `<account>:2` and so on for each correction."""
    bank, opening = f"bank:{account_no}", f"opening:{account_no}"
    earlier = Posting.objects.filter(kind="OPENING", entries__account__code=opening).count()
    debit, credit = (bank, opening) if fen > 0 else (opening, bank)
    return Draft(
        kind="OPENING",
        reference=f"{account_no}:{earlier + 1}" if earlier else account_no,
        debits={debit: abs(fen)},
        credits={credit: abs(fen)},
    )


@transaction.atomic
def close_days(*, account: ReceivingAccount, since: date, at: datetime) -> list[DayClose]:
    """Compare every day from `since` on whose balance the bank has said; rows are made anew.

    Opens the books first; where that moves the opening, all days are compared.
    """
    if open_books(account=account, at=at):
        since = EARLIEST
    statements = queries.ends(account)
    bank = queries.closings(account, statements, since=since)
    if not bank:
        return []
    moved = queries.moved(account)
    first = min(one.first for one in statements)
    days = sorted(day for day in bank if day >= first)
    books = _at_the_end_of(days, moved, queries.opening_fen(account))
    why = None
    if any(bank[day] != books[day] for day in days):
        why = explaining.reasons(account, first=first, gaps=gaps(statements), moved=moved, at=at)
    suspense, lines = queries.suspense_fen(account)
    made = []
    for day in days:
        found = _differences(day, bank[day] - books[day], why)
        found += _of_suspense(suspense, lines)
        status = verdict(
            bank_fen=bank[day],
            ledger_fen=books[day],
            is_suspense_even=suspense == lines,
            differences=found,
        )
        made.append(
            DayClose(
                receiving_account=account,
                day=day,
                bank_fen=bank[day],
                ledger_fen=books[day],
                suspense_fen=suspense,
                lines_fen=lines,
                status=status,
                differences=[one.stored() for one in shortened(found)],
                made_at=at,
            )
        )
    return _keep(made)


def _differences(day: date, differ_fen: int, why: Reasons | None) -> list[Difference]:
    if not differ_fen or why is None:
        return []
    found = why.on(day)
    return [*found, *rest(differ_fen, found)]


def _of_suspense(suspense: int, lines: int) -> list[Difference]:
    if suspense == lines:
        return []
    text = f"待核销科目 {yuan(suspense)} 元，未处理来账合计 {yuan(lines)} 元"
    return [Difference(Why.SUSPENSE, "", text, 0)]


def _at_the_end_of(
    days: Sequence[date], moved: dict[date, int], opening_fen: int
) -> dict[date, int]:
    """The ledger's balance at the end of each day, in fen."""
    known = sorted({*days, *moved})
    running = accumulate(moved.get(day, 0) for day in known)
    by_day = dict(zip(known, running, strict=True))
    return {day: opening_fen + by_day[day] for day in days}


def _keep(made: Sequence[DayClose]) -> list[DayClose]:
    return DayClose.objects.bulk_create(
        made,
        update_conflicts=True,
        unique_fields=["receiving_account", "day"],
        update_fields=[
            "bank_fen", "ledger_fen", "suspense_fen", "lines_fen", "status", "differences",
            "made_at",
        ],
    )  # fmt: skip
