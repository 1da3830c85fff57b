"""A day's bills are fetched, what we have not heard is asked about, and then they are compared."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import IO, Any, BinaryIO, cast
from uuid import uuid4

from django.db import connection, transaction

from config.kit.db import joined
from config.kit.errors import StaleState
from config.kit.outside import assert_no_transaction
from payments.bills import booking, staging
from payments.bills.channels import CHANNELS, Channel
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import DayStatus, Moved, begins, code
from payments.channels.answers import ChannelSilent
from payments.transfers import parsers
from payments.transfers.parsers.channels.bill import BillRow
from payments.transfers.parsers.refusals import DamagedFile

ASKED_AT_ONCE = 2_000  # trades and refunds, per run
FORGOTTEN = timedelta(days=1)  # rows that a killed worker left
MET = "渠道账单与本店记录已一致"
_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('channel bills ' || %s, 0))"


@dataclass(frozen=True)
class Funds:
    """A fund bill, added up."""

    moved: Moved
    opening_fen: int | None = None
    closing_fen: int | None = None


def take_in(*, name: str, day: date, at: datetime) -> ChannelDay:
    """Fetch a day's bills, compare and book them.  Not atomic on purpose: the network lies before.

    Nothing is kept of a day until all of it is known to be sound; then everything at once.  Safe
    twice.  Raises ChannelSilent, ChannelRefused, Unreadable.
    """
    assert_no_transaction()
    channel = CHANNELS[name]
    with _staged(channel, day, at) as batch:
        funds = _funds(channel, day)
        if not channel.ask(batch, at=at, most=ASKED_AT_ONCE):
            raise ChannelSilent("账单里还有很多交易没有向渠道查询完，稍后继续")
        return _compare(name, day, batch, funds, at)


@contextmanager
def _staged(channel: Channel, day: date, at: datetime) -> Iterator[str]:
    """The trade bill's rows under a name of their own."""
    batch = uuid4().hex
    try:
        with ExitStack() as stack:
            if (file := channel.trade_bill(day)) is not None:
                bill = _bill(stack.enter_context(file), channel, channel.TRADE_FORM, day)
                rows = cast(Iterator[BillRow], bill.rows)
                staging.stage(batch, rows, channel.due_fen, at)
        yield batch
    finally:
        staging.clear(batch, before=at - FORGOTTEN)


def _bill(file: IO[bytes], channel: Channel, form: str, day: date) -> parsers.Stream:
    bill = parsers.stream(cast(BinaryIO, file))
    if bill.format != form:
        raise DamagedFile(f"渠道给的不是要取的账单，而是 {bill.format}")
    if channel.whose(bill) not in {None, channel.account_no()}:
        raise DamagedFile(f"账单属于商户号 {bill.account_no}，不是本店的")
    if bill.summary.period not in {None, _only(day)}:
        raise DamagedFile(f"账单不是 {day} 的")
    return bill


def _only(day: date) -> tuple[date, date]:
    return day, day + timedelta(days=1)


def _funds(channel: Channel, day: date) -> Funds:
    if (file := channel.fund_bill(day)) is None:
        return Funds(Moved())
    with file:
        bill = _bill(file, channel, channel.FUND_FORM, day)
        moved = Moved()
        for row in bill.rows:
            moved = moved.plus(channel.moved(cast(BillRow, row)))
        said = bill.summary
        booked = (said.booked_from, said.booked_until) if said.booked_from else said.period
        if booked != _only(day):
            raise DamagedFile(f"资金账单不是 {day} 的")
        return Funds(moved, said.opening_fen, said.closing_fen)


# --- compared and booked, at once ---------------------------------------------------------------

_FOUND = """
INSERT INTO payments_channeldifference
    (channel_day_id, subject, kind, our_number, their_number, our_fen, their_fen,
     our_state, their_state, found_at, seen_at, closed_by, reason)
SELECT %(row)s, subject, kind, our_number, their_number, our_fen, their_fen,
       our_state, left(their_state, 16), %(at)s, %(at)s, '', ''
FROM ({differences}) d
ON CONFLICT (channel_day_id, subject, kind, our_number, their_number, our_fen, their_fen)
DO UPDATE SET seen_at = EXCLUDED.seen_at,
              our_state = EXCLUDED.our_state, their_state = EXCLUDED.their_state
"""
_SUMS = """
SELECT %(subject)s AS subject, 'AMOUNT' AS kind, '' AS our_number, '' AS their_number,
       %(traded)s::bigint AS our_fen, %(moved)s::bigint AS their_fen,
       '' AS our_state, '' AS their_state
"""
# Seen again neither on its own day, nor missing there any more: a bill of another day has it.
_MET = """
UPDATE payments_channeldifference d SET closed_at = %(at)s, reason = %(met)s
FROM payments_channelday c
WHERE c.id = d.channel_day_id AND c.channel = %(name)s AND d.closed_at IS NULL AND (
    c.id = %(row)s AND d.seen_at < %(at)s
    OR d.kind = 'MISSING_THERE' AND EXISTS (
        SELECT FROM payments_billrow b
        WHERE b.batch = %(batch)s AND b.their_number = d.their_number
          AND b.our_number = d.our_number))
"""


@transaction.atomic
def _compare(name: str, day: date, batch: str, funds: Funds, at: datetime) -> ChannelDay:
    channel = CHANNELS[name]
    totals = staging.totals(batch)
    sums = [
        (_SUMS, {"subject": subject, "traded": traded, "moved": moved})
        for subject, traded, moved in (
            ("TRADE_SUM", totals.trades_fen, funds.moved.paid_fen),
            ("REFUND_SUM", totals.refunds_fen, -funds.moved.refunded_fen),
        )
        if traded != moved
    ]
    account = code(channel.NAME, channel.account_no(), channel.WHICH)
    told = {
        "account": account,
        "opening_fen": funds.opening_fen,
        "closing_fen": funds.closing_fen,
        **totals._asdict(),
    }
    row, is_ours = conclude(
        name=name,
        day=day,
        batch=batch,
        differences=[(channel.DIFFERENCES, {}), *sums],
        told=told,
        at=at,
        mark=channel.mark,
    )
    if is_ours:
        booking.book(
            name=name,
            ledger_name=channel.NAME,
            account=account,
            day=day,
            moved=funds.moved,
            at=at,
            which=channel.WHICH,
        )
    return row


@joined
def conclude(
    *,
    name: str,
    day: date,
    batch: str,
    differences: Sequence[tuple[str, dict[str, Any]]],
    told: dict[str, Any],
    at: datetime,
    mark: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[ChannelDay, bool]:
    """Keep what a day's comparison has found; False where another worker was first.

    `differences` are statements as `Channel.DIFFERENCES` is one, with what they need besides;
    `told` are columns of the day; `mark` writes down first which rows of ours the batch has.
    """
    row = _lock(name, day, at)
    if row.status != DayStatus.WAITING:
        return row, False
    facts: dict[str, Any] = {
        "batch": batch,
        "day": day,
        "begins": begins(day),
        "ends": begins(day + timedelta(days=1)),
        "row": row.pk,
        "at": at,
        "name": name,
        "met": MET,
    }
    if mark:
        mark(facts)
    with connection.cursor() as cursor:
        for statement, more in differences:
            cursor.execute(_FOUND.format(differences=statement), facts | more)
        cursor.execute(_MET, facts)
    ChannelDay.objects.filter(pk=row.pk).update(
        status=_verdict(row), problem="", tried_at=at, fetched_at=at, **told
    )
    _settle(name)
    row.refresh_from_db()
    return row, True


def _lock(name: str, day: date, at: datetime) -> ChannelDay:
    """One at a time per channel: the opening of the books is about all of its days."""
    with connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME, [name])
    row, _ = ChannelDay.objects.get_or_create(channel=name, day=day, defaults={"tried_at": at})
    return row


def _verdict(row: ChannelDay) -> DayStatus:
    found = ChannelDifference.objects.filter(channel_day=row)
    if found.filter(closed_at=None).exists():
        return DayStatus.DIFFERS
    return DayStatus.SETTLED if found.exclude(closed_by="").exists() else DayStatus.EVEN


def _settle(name: str) -> None:
    """Days whose last open difference was closed."""
    differing = ChannelDay.objects.filter(channel=name, status=DayStatus.DIFFERS)
    still = ChannelDifference.objects.filter(closed_at=None).values("channel_day")
    differing.exclude(pk__in=still).update(status=DayStatus.SETTLED)


def miss(*, name: str, day: date, reason: str, at: datetime) -> None:
    """It could not be had this time: the day waits, with the reason."""
    row, is_new = ChannelDay.objects.get_or_create(
        channel=name, day=day, defaults={"tried_at": at, "problem": reason[:200]}
    )
    if not is_new:
        # Another worker may have it by now.
        waiting = ChannelDay.objects.filter(pk=row.pk, status=DayStatus.WAITING)
        waiting.update(tried_at=at, problem=reason[:200])


# --- what a person does -------------------------------------------------------------------------


@transaction.atomic
def close(*, difference: ChannelDifference, reason: str, actor: str, at: datetime) -> None:
    """A person has looked into it; nothing moves.  Raises StaleState: closed meanwhile."""
    found = ChannelDifference.objects.filter(pk=difference.pk, closed_at=None)
    name = difference.channel_day.channel
    with connection.cursor() as cursor:
        # Two who close the last two differences of a day: the second sees what the first did.
        cursor.execute(_ONE_AT_A_TIME, [name])
    if found.update(closed_at=at, closed_by=actor, reason=reason[:200]) != 1:
        raise StaleState
    _settle(name)


def compare_again(*, day: ChannelDay) -> None:
    """Its bills are fetched anew at the next round, and compared with our rows as they are then."""
    compared = ChannelDay.objects.filter(pk=day.pk).exclude(status=DayStatus.WAITING)
    if compared.update(status=DayStatus.WAITING) != 1:
        raise StaleState
