"""One road for bookings, pushed or from a file: each is stored once, with its verdict, and paid.

`staging` has the rows; `take` carries a few thousand of them through screening, the ladder, the
cashier and the ledger, in one transaction and a constant number of statements.
"""

import logging
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import orjson
from django.db import IntegrityError, OperationalError, connection, transaction
from psycopg.errors import DeadlockDetected, UniqueViolation

from config.kit import numbers, sql
from payments.ledger import services as ledger
from payments.receiving.models import ReceivingAccount
from payments.transfers import confirming, judging, known, matching, queries, reversals, twins
from payments.transfers.bookings import Batch, Known, Staged
from payments.transfers.ladder.facts import Candidate, Decision, Fact
from payments.transfers.remarks import codes_in
from payments.transfers.rules import Verdict
from payments.transfers.screening import (
    FRESH,
    Screening,
    Totals,
    drafts,
    is_credible,
    payout_marks,
    screen,
)

logger = logging.getLogger(__name__)

CHUNK = 5_000  # lines per transaction
TRIES = 5
CHANNEL_BILL = "支付渠道账单：只存档，不核销转账"
FAILED = "自动核销时出错，需人工处理"


class Raced(Exception):
    """Another transaction stored one of these bookings first: they are taken once more."""


@dataclass(frozen=True)
class Taken:
    """What became of some rows: counts.  No rows: none was left."""

    rows: int = 0
    stored: int = 0
    conflicts: int = 0  # known serials with other facts, kept apart

    @property
    def duplicates(self) -> int:
        return self.rows - self.stored

    def __add__(self, other: "Taken") -> "Taken":
        return Taken(
            self.rows + other.rows, self.stored + other.stored, self.conflicts + other.conflicts
        )


class Entry(NamedTuple):
    """A row that is stored, with what was found out about it."""

    row: Staged
    key: str
    first: Screening
    decision: Decision


# In the bank's order: where two lines pay one payment, the earlier one does.
_NEXT = """
SELECT n, key, serial, extract(epoch FROM booked_at)::bigint, amount_fen, currency, payer_name,
       payer_account, remark, texts, virtual_account, is_reversal, reverses, caution,
       balance_fen
FROM (
    SELECT * FROM payments_stagedline WHERE batch = %s AND n >= %s AND n < %s ORDER BY n LIMIT %s
) s
ORDER BY booked_at, n
"""
_REVERSED = """
SELECT reverses FROM payments_statementline
WHERE receiving_account_id = %s AND reverses <> '' AND verdict = 'CONFLICT'
"""
# In key order, so that two overlapping files wait for each other's rows instead of dead-locking.
_STORE = """
WITH judged AS (
    SELECT * FROM unnest(
        %(ns)s::int[], %(keys)s::text[], %(verdicts)s::text[], %(rules)s::text[],
        %(reasons)s::text[], %(facts)s::text[], %(candidates)s::text[], %(posted)s::bool[],
        %(elsewhere)s::bool[]
    ) AS d (n, key, verdict, rule, reasons, facts, candidates, is_posted, is_elsewhere)
), stored AS (
    INSERT INTO payments_statementline
        (number, key, serial, booked_at, amount_fen, currency, balance_fen, payer_name,
         payer_account, payer_bank, remark, texts, virtual_account, is_reversal, reverses, caution,
         is_posted, is_elsewhere, allocated_fen, returned_fen, verdict, rule, rule_version,
         reasons, facts, candidates, statement_id, receiving_account_id, stored_at, decided_at,
         decided_by)
    SELECT %(stem)s || s.n, d.key, left(s.serial, 64), s.booked_at, s.amount_fen,
        left(s.currency, 8), s.balance_fen, left(s.payer_name, 200), left(s.payer_account, 64),
        left(s.payer_bank, 200), s.remark, s.texts::jsonb, left(s.virtual_account, 44),
        s.is_reversal, left(s.reverses, 64), left(s.caution, 300), d.is_posted, d.is_elsewhere,
        CASE d.verdict WHEN 'MATCHED' THEN s.amount_fen ELSE 0 END, 0, d.verdict, d.rule,
        %(version)s, d.reasons::jsonb, d.facts::jsonb,
        d.candidates::jsonb, %(statement)s, %(account)s, %(at)s, %(at)s, ''
    FROM judged d JOIN payments_stagedline s
        ON s.n = d.n AND s.batch = %(batch)s AND s.n BETWEEN %(first)s AND %(last)s
    ORDER BY d.key
    RETURNING id, number
), given AS (
    INSERT INTO payments_allocation (line_id, payment_id, amount_fen, channel_txn, made_at)
    SELECT l.id, a.payment_id, a.fen, a.txn, %(at)s
    FROM unnest(%(lines)s::text[], %(payments)s::bigint[], %(fen)s::bigint[], %(txns)s::text[])
        AS a (number, payment_id, fen, txn)
    JOIN stored l USING (number)
)
SELECT count(*) FROM stored
"""
_DONE_WITH = """
DELETE FROM payments_stagedline WHERE batch = %s AND n = ANY(%s::int[])
"""


def take(*, batch: Batch, at: datetime, rows: range) -> Taken:
    """Carry the next rows of this part of a batch through; no rows when none is left.

    Rows that fail together are halved until the bad one is alone; that one is kept for a person.
    A failure of the database itself (a lock time-out) is raised: nothing has happened.
    """
    limit, tries = CHUNK, TRIES
    while True:
        try:
            return _take(batch, at, rows, limit)
        except (Raced, OperationalError) as error:
            tries -= 1
            if not tries or not _is_passing(error):
                raise
        except Exception:
            if limit == 1:
                logger.exception("a row of %s failed", batch.name)
                return _take(batch, at, rows, 1, is_judged=False)
            logger.warning("%d rows of %s failed", limit, batch.name)
            limit //= 2


def _is_passing(error: Exception) -> bool:
    """Whether another transaction was only first: to be tried again at once."""
    return isinstance(error, Raced) or isinstance(error.__cause__, DeadlockDetected)


@transaction.atomic
def _take(batch: Batch, at: datetime, part: range, limit: int, *, is_judged: bool = True) -> Taken:
    rows = _next(batch, part, limit)
    if not rows:
        return Taken()
    told = known.told(batch.account, rows, at)
    fresh = told.fresh
    firsts = twins.doubted(
        batch, rows=rows, known=told.known, fresh=fresh, firsts=_screened(batch, fresh, at)
    )
    facts = list(_facts(batch, fresh, firsts)) if is_judged else []
    judgement = judging.judge(batch.account, facts)
    judged = _judged(fresh, firsts, facts, judgement)
    apart = _apart(batch, told.other)
    if batch.statement_id is not None:
        _confirm(batch, told.same, at)
    if not known.give_way(told.void, at):
        raise Raced
    stem = numbers.fresh("L", 10)
    paid = matching.arrivals(
        (f"{stem}{entry.row.n}", batch.account.account_no, entry.decision)
        for entry in judged
        if entry.decision.pays
    )
    _store(
        batch,
        stem=stem,
        entries=[*judged, *apart],
        paid=paid,
        version=judgement.version,
        at=at,
    )
    _finish_with(batch, rows)
    ledger.post(drafts(batch.account.account_no, _totals(fresh, firsts), reference=stem), at=at)
    matching.pay(paid, at, judgement.reopens)
    _note_shadows(stem, fresh, facts, judgement, at)
    _note_what_follows(batch, judged, told, {entry.row.key for entry in apart}, at)
    return Taken(len(rows), len(judged) + len(apart), len(apart))


def _next(batch: Batch, part: range, limit: int) -> list[Staged]:
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [batch.name, part.start, part.stop, limit])
        return list(map(Staged._make, cursor.fetchall()))


def _finish_with(batch: Batch, rows: Sequence[Staged]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_DONE_WITH, [batch.name, sql.ints(row.n for row in rows)])


# --- what the rows are --------------------------------------------------------------------------


def _screened(batch: Batch, rows: Sequence[Staged], at: datetime) -> list[Screening]:
    if not batch.pays:
        return [Screening(Verdict.IGNORED, False, "T0", (CHANNEL_BILL,))] * len(rows)
    ours = ReceivingAccount.objects.filter(merchant__in={batch.account.merchant, ""})
    own = frozenset(ours.values_list("account_no", flat=True))
    payouts = queries.known_payouts(batch.account, payout_marks(rows))
    return [screen(row, at=at, own_accounts=own, payouts=payouts) for row in rows]


def _totals(rows: Sequence[Staged], firsts: Sequence[Screening]) -> Totals:
    totals = Totals()
    for row, first in zip(rows, firsts, strict=True):
        totals.add(row.amount_fen, is_posted=first.is_posted, is_elsewhere=first.is_elsewhere)
    return totals


def _apart(batch: Batch, other: Sequence[tuple[Staged, Known, str]]) -> list[Entry]:
    """Rows whose key is known and whose facts are others: kept beside, never dropped.

    The same contradiction read a second time is a duplicate of itself.
    """
    found: dict[str, Entry] = {}
    for row, line, why in other:
        key = known.key_apart(
            row.key,
            amount_fen=row.amount_fen,
            booked_at=row.booked_at,
            payer_account=row.payer_account,
        )
        reason = f"流水号与来账 {line.number} 相同，但{why}；未记账"
        first = Screening(Verdict.CONFLICT, False, "T0", (reason,))
        found[key] = Entry(row, key, first, _as_screened(first))
    stored = known.find(batch.account, found) if found else {}
    return [entry for key, entry in found.items() if key not in stored]


def _confirm(batch: Batch, same: Sequence[tuple[Staged, Known]], at: datetime) -> None:
    """What the bank had pushed stands in its statement too."""
    lines = [(line.id, row.balance_fen) for row, line in same if line.statement_id is None]
    confirming.confirm(statement=batch.name, lines=lines, at=at)


# --- the verdicts -------------------------------------------------------------------------------


def _as_screened(first: Screening) -> Decision:
    if first is FRESH:
        return Decision(Verdict.CONFLICT, "", (FAILED,))
    facts = {"held_as": first.held_as} if first.held_as else {}
    return Decision(first.verdict, first.rule, first.reasons, facts=facts)


def _facts(batch: Batch, rows: Sequence[Staged], firsts: Sequence[Screening]) -> Iterator[Fact]:
    """What the ladder is told of the rows that screening has left to it."""
    reversed_serials = _reversed(batch)
    account_id = batch.account.pk
    for i, (row, first) in enumerate(zip(rows, firsts, strict=True)):
        if first is not FRESH:
            continue
        texts = row.texts
        yield Fact(
            i,
            account_id,
            row.amount_fen,
            row.virtual_account,
            codes_in(texts),
            texts,
            row.payer_name,
            row.payer_account,
            row.caution,
            row.serial in reversed_serials,
            row.booked,
        )


def _judged(
    rows: Sequence[Staged],
    firsts: Sequence[Screening],
    facts: Sequence[Fact],
    judgement: judging.Judgement,
) -> list[Entry]:
    """Every row with its verdict; one that was to be judged and was not is for a person."""
    decided = {fact.line: one for fact, one in zip(facts, judgement.decisions, strict=True)}
    return [
        Entry(row, row.key, first, decided.get(i) or _as_screened(first))
        for i, (row, first) in enumerate(zip(rows, firsts, strict=True))
    ]


def _reversed(batch: Batch) -> frozenset[str]:
    """Serials of bookings that the bank has taken back before we heard of them."""
    with connection.cursor() as cursor:
        cursor.execute(_REVERSED, [batch.account.pk])
        waiting = {serial for (serial,) in cursor.fetchall()}
    return batch.reversed_serials | waiting


# --- into the tables ----------------------------------------------------------------------------


def _store(
    batch: Batch,
    *,
    stem: str,
    entries: Sequence[Entry],
    paid: Sequence[matching.Paid],
    version: str,
    at: datetime,
) -> None:
    """Lines and what they pay, in one statement; Raced where one of them is stored already.

    Without ON CONFLICT, which would look before each line that it writes, and touch it again after.
    """
    given = [one for one in paid if not one.is_fee]
    params: dict[str, Any] = {
        "batch": batch.name,
        "stem": stem,
        "version": version,
        "statement": batch.statement_id,
        "account": batch.account.pk,
        "at": at,
        "ns": sql.ints(entry.row.n for entry in entries),
        # Where to look for them: a million rows wait beside these.
        "first": min((entry.row.n for entry in entries), default=0),
        "last": max((entry.row.n for entry in entries), default=0),
        "keys": sql.texts(entry.key for entry in entries),
        "verdicts": sql.texts(entry.decision.verdict.value for entry in entries),
        "rules": sql.texts(entry.decision.rule for entry in entries),
        "reasons": sql.texts(matching.as_json(entry.decision.reasons) for entry in entries),
        "facts": sql.texts(orjson.dumps(entry.decision.facts).decode() for entry in entries),
        "candidates": sql.texts(_candidates(entry.decision.candidates) for entry in entries),
        "posted": sql.bools(entry.first.is_posted for entry in entries),
        "elsewhere": sql.bools(entry.first.is_elsewhere for entry in entries),
        "lines": sql.texts(one.line for one in given),
        "payments": sql.ints(one.arrival.payment_id for one in given),
        "fen": sql.ints(one.arrival.fen for one in given),
        "txns": sql.texts(one.arrival.channel_txn for one in given),
    }
    try:
        with connection.cursor() as cursor:
            cursor.execute(_STORE, params)
            (stored,) = cursor.fetchone()
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation) and (
            error.__cause__.diag.constraint_name == "line_stored_once"
        ):
            raise Raced from None
        raise
    if stored != len(entries):
        raise RuntimeError(f"{stored} of {len(entries)} lines were stored")


def _note_shadows(
    stem: str,
    rows: Sequence[Staged],
    facts: Sequence[Fact],
    judgement: judging.Judgement,
    at: datetime,
) -> None:
    """What the version on trial would have done, beside what was done."""
    if not judgement.shadows:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            judging.SHADOW,
            [
                judgement.shadow,
                at,
                sql.texts(f"{stem}{rows[fact.line].n}" for fact in facts),
                sql.texts(one.verdict.value for one in judgement.shadows),
                sql.texts(one.rule for one in judgement.shadows),
                sql.texts(
                    orjson.dumps([pk for pk, _ in one.pays]).decode() for one in judgement.shadows
                ),
            ],
        )


def _candidates(candidates: tuple[Candidate, ...]) -> str:
    return orjson.dumps(candidates).decode() if candidates else "[]"


def _note_what_follows(
    batch: Batch,
    judged: Sequence[Entry],
    told: known.Told,
    apart: Collection[str],
    at: datetime,
) -> None:
    """Reversals find their originals; a line that is contradicted pays nothing by itself."""
    if named := known.name(told.same):
        reversals.name(named, at)
    if named or any(entry.decision.rule == "R" for entry in judged):
        reversals.settle(account=batch.account, at=at)
    doubted = [
        line for row, line, _ in told.other if row.key in apart and is_credible(row.booked_at, at)
    ]
    known.doubt(doubted, at)
