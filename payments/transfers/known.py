"""Bookings that were told before: the same again, something else under the same key, or the truth.

Lines that an intake will change are locked here, before any payment is: a clerk who has a line
takes its payments next, and whoever does it the other way round waits for him in a circle.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from config.kit import sql
from payments.receiving.models import ReceivingAccount
from payments.transfers import matching
from payments.transfers.bookings import Known, Staged
from payments.transfers.models import StatementLine
from payments.transfers.rules import LINE_TRANSITIONS, Verdict
from payments.transfers.screening import AHEAD, EARLIEST, contradicts, is_credible

LONGEST_KEY = 160


@dataclass(frozen=True)
class Told:
    """Rows by what is known of them, with the lines that have their keys.

    `other`: and why the row is not that line.  `void`: lines that give their key to the row, which
    is among the fresh ones.
    """

    fresh: list[Staged]
    same: list[tuple[Staged, Known]] = field(default_factory=list)
    other: list[tuple[Staged, Known, str]] = field(default_factory=list)
    void: list[tuple[Staged, Known]] = field(default_factory=list)

    @property
    def known(self) -> dict[str, Known]:
        """All of these lines, by key."""
        found = {row.key: line for row, line in (*self.same, *self.void)}
        return found | {row.key: line for row, line, _ in self.other}


_KNOWN = f"""
SELECT key, id, number, amount_fen, booked_at, payer_account, verdict, reverses, statement_id,
       verdict = 'CONFLICT' AND rule = 'T0' AND decided_by = '' AND NOT is_posted
         AND NOT is_elsewhere
         AND booked_at NOT BETWEEN '{EARLIEST.isoformat()}'
             AND stored_at + interval '{AHEAD.days} days'
FROM payments_statementline WHERE receiving_account_id = %s AND key = ANY(%s::text[])
"""  # noqa: S608  our own words
# The weaker lock: events, which refer to lines, are written beside it.
_LOCKED = f"{_KNOWN} ORDER BY id FOR NO KEY UPDATE"


def told(account: ReceivingAccount, rows: Sequence[Staged], at: datetime) -> Told:
    """Sort rows by the lines that have their keys; those lines that will change are locked.

    Also the lines that reversals among the rows take back.  One statement, two where lines are
    locked.
    """
    known = find(account, [row.key for row in rows])
    originals = {row.reverses for row in rows if row.reverses and row.amount_fen < 0}
    if not known and not originals:
        return Told(list(rows))
    differ = {row.key: why for row in rows if (why := _differs(row, known.get(row.key)))}
    changing = originals | set(differ)
    changing |= {key for key, line in known.items() if line.statement_id is None or line.is_void}
    if changing:
        # What somebody has decided while he was waited for is so now.
        locked = _read(_LOCKED, account, changing)
        known |= {key: line for key, line in locked.items() if key in known}
    found = Told([])
    for row in rows:
        line = known.get(row.key)
        if line is None:
            found.fresh.append(row)
        elif line.is_void and is_credible(row.booked_at, at) and not _is_other_money(row, line):
            found.fresh.append(row)
            found.void.append((row, line))
        elif row.key in differ:
            found.other.append((row, line, differ[row.key]))
        else:
            found.same.append((row, line))
    return found


def find(account: ReceivingAccount, keys: Collection[str]) -> dict[str, Known]:
    return _read(_KNOWN, account, keys)


def _read(query: str, account: ReceivingAccount, keys: Iterable[str]) -> dict[str, Known]:
    with connection.cursor() as cursor:
        cursor.execute(query, [account.pk, sql.texts(keys)])
        return {key: Known._make(line) for key, *line in cursor.fetchall()}


def _differs(row: Staged, line: Known | None) -> str:
    if line is None:
        return ""
    return contradicts(
        row, amount_fen=line.amount_fen, booked_at=line.booked_at, payer_account=line.payer_account
    )


def _is_other_money(row: Staged, line: Known) -> bool:
    """Whether more than the date is another: then a person says which of the two is true."""
    return bool(
        contradicts(
            row,
            amount_fen=line.amount_fen,
            booked_at=row.booked_at,
            payer_account=line.payer_account,
        )
    )


def key_apart(key: str, *, amount_fen: int, booked_at: datetime, payer_account: str) -> str:
    """Under which a row is kept beside the line that has its key."""
    return f"{key}!{amount_fen}:{booked_at:%Y%m%d}:{payer_account[:40]}"[:LONGEST_KEY]


# --- what becomes of the lines ------------------------------------------------------------------


def give_way(void: Sequence[tuple[Staged, Known]], at: datetime) -> bool:
    """Lines that were not believed leave their keys to the rows that are; False: one has changed.

    They end as they would have, had the true row come first: kept apart, posted nowhere.
    """
    if not void:
        return True
    matching.record_first([line.id for _, line in void], "CONTRADICTED", at=at)
    moved = 0
    for row, line in void:
        moved += StatementLine.objects.filter(
            pk=line.id,
            key=row.key,
            verdict=Verdict.CONFLICT,
            is_posted=False,
            is_elsewhere=False,
            decided_by="",
        ).update(
            key=key_apart(
                row.key,
                amount_fen=line.amount_fen,
                booked_at=line.booked_at,
                payer_account=line.payer_account,
            ),
            reasons=["同一流水号后来有日期可信的记录，已按那一条处理；本行未记账"],
            decided_at=at,
        )
    return moved == len(void)


def name(same: Iterable[tuple[Staged, Known]]) -> Mapping[int, str]:
    """Originals of reversals that are here already, by line: many files do not say them."""
    return {
        line.id: row.reverses
        for row, line in same
        if row.reverses and row.amount_fen < 0 and not line.reverses
    }


def doubt(lines: Sequence[Known], at: datetime) -> None:
    """A line that is contradicted pays nothing by itself."""
    if not lines:
        return
    matching.record_first([line.id for line in lines], "CONTRADICTED", at=at)
    open_to_doubt = [line.id for line in lines if _may_be_doubted(line.verdict)]
    StatementLine.objects.filter(
        pk__in=open_to_doubt, verdict__in=[Verdict.SUGGESTED, Verdict.UNMATCHED]
    ).update(
        verdict=Verdict.CONFLICT,
        rule="T0",
        reasons=["同一流水号出现了不同的内容，需人工核对"],
        decided_at=at,
    )
    matching.recount(open_to_doubt)


def _may_be_doubted(verdict: str) -> bool:
    return Verdict.CONFLICT in LINE_TRANSITIONS[Verdict(verdict)]
