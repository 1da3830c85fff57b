"""Two names of one booking that were stored at the same instant, and did not see each other.

`twins` asks before a row is stored what other sources have brought.  What another transaction has
not committed yet it cannot see; so what came in while a file was imported is looked at once more.
"""

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Q

from config.kit.errors import Refusal, StaleState
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import desk, matching, services, twins
from payments.transfers.bookings import Batch
from payments.transfers.decisions import lock, suspense
from payments.transfers.models import Statement, StatementLine
from payments.transfers.rules import GONE, OPEN, StatementStatus, Verdict

logger = logging.getLogger(__name__)

RUN = timedelta(seconds=services.TURN)  # an import says when its last run began
SLACK = timedelta(minutes=1)  # clocks of two machines, and what was on its way
LOOKED_AT = RUN + 2 * SLACK
AT_ONCE = 5_000  # days and amounts
HELD = "疑似已收录（同时从两处收到）"

# What the bank pushed while this file was imported, by day of Shanghai and fen.
_PUSHED = """
SELECT DISTINCT (extract(epoch FROM booked_at)::bigint + 28800) / 86400, amount_fen
FROM payments_statementline
WHERE receiving_account_id = %s AND statement_id IS NULL AND currency = 'CNY'
  AND (is_posted OR is_elsewhere) AND stored_at BETWEEN %s AND %s
  AND booked_at >= (%s::date)::timestamp AT TIME ZONE 'Asia/Shanghai'
  AND booked_at < (%s::date)::timestamp AT TIME ZONE 'Asia/Shanghai'
"""
# What another form of file brought at the same time.
_IN_FILE = """
SELECT DISTINCT (extract(epoch FROM booked_at)::bigint + 28800) / 86400, amount_fen
FROM payments_statementline
WHERE statement_id = %s AND currency = 'CNY' AND (is_posted OR is_elsewhere)
  AND booked_at >= (%s::date)::timestamp AT TIME ZONE 'Asia/Shanghai'
  AND booked_at < (%s::date)::timestamp AT TIME ZONE 'Asia/Shanghai'
"""


class Window(NamedTuple):
    """When a statement's lines were stored."""

    since: datetime
    until: datetime

    def has(self, moment: datetime) -> bool:
        return self.since <= moment <= self.until


def due(*, at: datetime) -> list[int]:
    """Statements that were imported a moment ago."""
    done = Statement.objects.filter(
        status=StatementStatus.DONE, pays=True, imported_at__gt=at - LOOKED_AT
    ).exclude(booked_from=None)
    return list(done.order_by("imported_at", "pk").values_list("pk", flat=True))


def look_again(*, statement: Statement, at: datetime) -> int:
    """How many lines were held that are a booking of this statement under another name.

    One line a transaction: the younger, or the one that waits; where a person has decided, or the
    money has gone on, nothing is changed and people are told.
    """
    held = 0
    window = _window(statement, at)
    for batch, groups in _suspects(statement, window):
        for start in range(0, len(groups), AT_ONCE):
            for pair in twins.pairs(batch, groups[start : start + AT_ONCE]):
                lines = list(StatementLine.objects.filter(pk__in=pair).order_by("pk"))
                if _is_of_this_import(lines, statement, window):
                    held += _hold_one(lines[1], lines[0], at)
    return held


def _window(statement: Statement, at: datetime) -> Window:
    return Window(statement.uploaded_at - SLACK, (statement.imported_at or at) + RUN + SLACK)


def _suspects(
    statement: Statement, window: Window
) -> Iterator[tuple[Batch, list[tuple[int, int]]]]:
    """Sources that brought something meanwhile, with its days and amounts."""
    account, days = statement.receiving_account, [statement.booked_from, statement.booked_until]
    if groups := _groups(_PUSHED, [account.pk, *window, *days]):
        yield Batch("", account), groups
    others = Statement.objects.filter(
        receiving_account=account, pays=True, uploaded_at__lt=window.until
    ).exclude(pk=statement.pk)
    form = twins.table_of(statement.form)
    for other in others.filter(Q(imported_at=None) | Q(imported_at__gt=window.since)):
        another = twins.table_of(other.form)
        if another in {"", form}:
            continue
        if groups := _groups(_IN_FILE, [other.pk, *days]):
            yield Batch("", account, other.pk, form=another), groups


def _groups(query: str, params: Sequence[int | datetime | date | None]) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(query, params)
        return sorted((int(day), int(fen)) for day, fen in cursor.fetchall())


def _is_of_this_import(lines: list[StatementLine], statement: Statement, window: Window) -> bool:
    """Older pairs have been looked at, or a person has said that they are two."""
    is_here = any(line.statement_id == statement.pk for line in lines)
    return is_here and all(window.has(line.stored_at) for line in lines)


# --- what is held -------------------------------------------------------------------------------


def _hold_one(younger: StatementLine, older: StatementLine, at: datetime) -> bool:
    """The one that waits for a person, else the younger; False: people are told instead."""
    is_older = older.verdict in OPEN and younger.verdict not in OPEN
    line, other = (older, younger) if is_older else (younger, older)
    try:
        why_not = _hold(line, other, at)
    except StaleState:
        return False  # somebody was first; it is looked at again
    except Refusal as refusal:
        why_not = str(refusal)
    if why_not:
        _tell(younger, older, why_not, at)
    return not why_not


@transaction.atomic
def _hold(line: StatementLine, other: StatementLine, at: datetime) -> str:
    """As `twins` would have stored it: a CONFLICT that is in no books; or why it is left.

    Raises StaleState, and what `desk.undo` does.
    """
    row = lock(line, seen=list(Verdict), at=at)
    is_in_books = row.is_posted or row.is_elsewhere
    if row.decided_by or row.returned_fen or row.verdict in GONE or not is_in_books:
        return "已由人工处理，或钱已退出、冲正"
    judged = matching.first_verdict(row)
    if row.allocated_fen:
        desk.take_back(row, "", at)
    was = {"is_posted": row.is_posted, "is_elsewhere": row.is_elsewhere}
    found = StatementLine.objects.filter(pk=row.pk, allocated_fen=0, returned_fen=0, **was)
    changed = found.update(
        verdict=Verdict.CONFLICT,
        rule="T0",
        reasons=[f"{HELD}：和来账 {other.number} 同日、同额、同付款人；已退出记账"],
        candidates=[],
        facts={"held_as": other.number},
        is_posted=False,
        is_elsewhere=False,
        decided_at=at,
    )
    if changed != 1:
        raise StaleState
    _take_out(row, at)
    told = judged | {"held_as": other.number}
    matching.record([row.pk], "HELD_BACK", at=at, facts=told)
    matching.recount([row.pk])
    return ""


def _take_out(row: StatementLine, at: datetime) -> None:
    """The bank has moved this money once."""
    account_no, fen = row.receiving_account.account_no, abs(row.amount_fen)
    stood = suspense(row) if row.is_posted else f"elsewhere:{account_no}"
    debit, credit = stood, f"bank:{account_no}"
    if row.amount_fen < 0:
        debit, credit = credit, debit
    draft = Draft(
        kind="HELD_BACK", reference=row.number, debits={debit: fen}, credits={credit: fen}
    )
    ledger.post([draft], at=at)


@transaction.atomic
def _tell(younger: StatementLine, older: StatementLine, why: str, at: datetime) -> None:
    """Once a pair: in the history of both, and to whoever watches the logs."""
    for line, other in ((younger, older), (older, younger)):
        events = line.events.filter(kind="TWIN", facts__line=other.number)
        if events.exists():
            return
        matching.record([line.pk], "TWIN", at=at, facts={"line": other.number, "why": why})
    logger.error("%s and %s are one booking, and both were used: %s", younger, older, why)
