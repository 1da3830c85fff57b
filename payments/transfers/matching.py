"""Lines that wait are judged by the ladder; what is sure is paid by the cashier."""

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson
from django.db import OperationalError, connection, transaction
from django.db.models import Count, Q, QuerySet

from config.kit import sql
from payments.cashier import services as cashier
from payments.cashier.rules import Arrival
from payments.transfers import evidence
from payments.transfers.ladder.facts import Book, Candidate, Decision, Fact, Intent
from payments.transfers.ladder.versions import CURRENT, decide, needs_more
from payments.transfers.models import LineEvent, Statement, StatementLine
from payments.transfers.remarks import codes_in
from payments.transfers.rules import StatementStatus, Verdict

logger = logging.getLogger(__name__)

METHOD = "BANK_TRANSFER"
BATCH = 5_000  # lines per transaction
Judged = tuple[tuple[Any, ...], Fact, Decision]  # a claimed row, the same as a fact, its verdict

# Two workers never judge one line: each takes what the other has not locked.
_CLAIM = """
SELECT l.id, l.receiving_account_id, l.amount_fen, l.virtual_account, l.texts, l.payer_name,
       l.payer_account, l.caution, l.number, a.account_no, l.booked_at,
       l.serial <> '' AND EXISTS (
           SELECT 1 FROM payments_statementline r
           WHERE r.receiving_account_id = l.receiving_account_id
             AND r.reverses = l.serial AND r.reverses <> ''
       )
FROM payments_statementline l JOIN payments_receivingaccount a ON a.id = l.receiving_account_id
WHERE l.id = ANY(%s::bigint[]) AND l.verdict = 'NEW'
ORDER BY l.id FOR UPDATE OF l SKIP LOCKED
"""
# Payments are locked before anything is decided: what is outstanding now is so at commit.
_INTENTS = """
WITH hit AS (
    SELECT i.id FROM payments_virtualaccount v
    JOIN payments_transferintent i ON i.virtual_account_id = v.id AND i.released_at IS NULL
    WHERE v.number = ANY(%s::text[])
    UNION
    SELECT id FROM payments_transferintent WHERE code = ANY(%s::text[])
)
SELECT p.id, p.number, p.reference, i.receiving_account_id,
       CASE WHEN i.released_at IS NULL THEN coalesce(v.number, '') ELSE '' END, i.is_shared,
       i.code, p.amount_fen - p.received_fen, p.status = 'WAITING', p.payer_id, p.merchant
FROM hit JOIN payments_transferintent i ON i.id = hit.id
JOIN payments_payment p ON p.id = i.payment_id
LEFT JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
ORDER BY p.id FOR UPDATE OF p
"""
_DECIDE = """
UPDATE payments_statementline l
SET verdict = d.verdict, rule = d.rule, rule_version = %s, reasons = d.reasons::jsonb,
    candidates = d.candidates::jsonb, decided_at = %s, decided_by = '',
    allocated_fen = CASE d.verdict WHEN 'MATCHED' THEN l.amount_fen ELSE l.allocated_fen END
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[], %s::text[])
  AS d (id, verdict, rule, reasons, candidates)
WHERE l.id = d.id
"""
_ALLOCATE = """
INSERT INTO payments_allocation (line_id, payment_id, amount_fen, channel_txn, made_at)
SELECT d.*, %s FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::text[]) AS d
"""
_RECORD = """
INSERT INTO payments_lineevent (line_id, kind, actor, at, facts)
SELECT d.line_id, d.kind, %s, %s, d.facts::jsonb
FROM unnest(%s::bigint[], %s::text[], %s::text[]) AS d (line_id, kind, facts)
"""


def match(*, line_ids: Sequence[int], at: datetime) -> None:
    """Judge these lines, so far as they still wait, in a constant number of statements per batch.

    A batch that fails is halved until the bad line is alone; that one is left to a person.
    A failure of the database itself (dead-lock, lock time-out) is raised and leaves lines NEW.
    """
    for start in range(0, len(line_ids), BATCH):
        _match_or_halve(line_ids[start : start + BATCH], at)


def try_match(*, line_ids: Sequence[int], at: datetime) -> None:
    """For callers whose own work is done: what fails here is the sweep's, and in the log."""
    try:
        match(line_ids=line_ids, at=at)
    except Exception:
        logger.exception("matching of %d lines failed; the sweep tries again", len(line_ids))


def _match_or_halve(line_ids: Sequence[int], at: datetime) -> None:
    try:
        _match(line_ids, at)
    except OperationalError:
        raise
    except Exception:
        logger.exception("a batch of %d lines failed", len(line_ids))
        if len(line_ids) == 1:
            _leave_to_a_person(line_ids[0], at)
            return
        middle = len(line_ids) // 2
        _match_or_halve(line_ids[:middle], at)
        _match_or_halve(line_ids[middle:], at)


@transaction.atomic
def _leave_to_a_person(line_id: int, at: datetime) -> None:
    failed = Decision(Verdict.CONFLICT, "", ("自动核销时出错，需人工处理",))
    waiting = StatementLine.objects.filter(pk=line_id, verdict=Verdict.NEW)
    if waiting.select_for_update(skip_locked=True).exists():
        _store([line_id], [failed], at)


@transaction.atomic
def _match(line_ids: Sequence[int], at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [sql.ints(line_ids)])
        # In the bank's order: where two lines pay one payment, the earlier one does.
        claimed = sorted(cursor.fetchall(), key=lambda row: (row[10], row[0]))
    if not claimed:
        return
    facts = [_fact(row) for row in claimed]
    book = _book(facts)
    held = frozenset(book.intents)
    _look_further(facts, book)
    book.terms = evidence.terms({intent.merchant for intent in book.intents.values()})
    decisions = decide(facts, book)
    judged = _still_so(list(zip(claimed, facts, decisions, strict=True)), book, held)
    arrivals, paying = [], []
    for row, fact, decision in judged:
        for turn, (payment_id, fen) in enumerate(decision.pays, 1):
            txn = row[8] if turn == 1 else f"{row[8]}-{turn}"
            arrivals.append(Arrival(payment_id, txn, fen, f"suspense:{row[9]}"))
            paying.append(fact.line)
    allocate(paying, arrivals, at)
    _store([fact.line for _, fact, _ in judged], [decision for *_, decision in judged], at)


def _fact(row: tuple[Any, ...]) -> Fact:
    pk, account_id, fen, virtual, texts, name, payer, caution, *_, is_reversed = row
    # Django leaves jsonb to its field: here it is JSON text.
    words = tuple(orjson.loads(texts))
    codes = codes_in(words)
    return Fact(pk, account_id, fen, virtual, codes, words, name, payer, caution, is_reversed)


def _book(facts: Sequence[Fact]) -> Book:
    virtual = {fact.virtual_account for fact in facts} - {""}
    named = {code for fact in facts for code in fact.codes.found}
    if not virtual and not named:
        return Book()
    with connection.cursor() as cursor:
        cursor.execute(_INTENTS, [sql.texts(virtual), sql.texts(named)])
        return Book.of(Intent(*row) for row in cursor.fetchall())


def _look_further(facts: Sequence[Fact], book: Book) -> None:
    doubtful = [fact for fact in facts if needs_more(fact, book)]
    if doubtful:
        intents, payers = evidence.more(doubtful)
        book.add(intents)
        book.payers = payers


def _still_so(judged: list[Judged], book: Book, held: frozenset[int]) -> list[Judged]:
    """Without the lines whose payment was not locked, and has changed since: they stay NEW."""
    guessed = {pk for *_, decision in judged for pk, _ in decision.pays} - held
    if not guessed:
        return judged
    left = evidence.hold(guessed)
    changed = {pk for pk in guessed if left.get(pk) != book.intents[pk].left_fen}
    return [one for one in judged if changed.isdisjoint(pk for pk, _ in one[2].pays)]


def allocate(line_ids: Sequence[int], arrivals: Sequence[Arrival], at: datetime) -> None:
    """Give lines' money to payments: the allocation, and everything the cashier does with it."""
    if not arrivals:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _ALLOCATE,
            [
                at,
                sql.ints(line_ids),
                sql.ints(arrival.payment_id for arrival in arrivals),
                sql.ints(arrival.fen for arrival in arrivals),
                sql.texts(arrival.channel_txn for arrival in arrivals),
            ],
        )
    shares = cashier.confirm(arrivals=arrivals, at=at)
    if len(shares) != len(arrivals):
        raise RuntimeError(f"{len(shares)} of {len(arrivals)} arrivals were confirmed")


def _store(line_ids: Sequence[int], decisions: Sequence[Decision], at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            _DECIDE,
            [
                CURRENT,
                at,
                sql.ints(line_ids),
                sql.texts(decision.verdict.value for decision in decisions),
                sql.texts(decision.rule for decision in decisions),
                sql.texts(_json(decision.reasons) for decision in decisions),
                sql.texts(_candidates(decision.candidates) for decision in decisions),
            ],
        )
        cursor.execute(
            _RECORD,
            [
                "",
                at,
                sql.ints(line_ids),
                sql.texts(decision.verdict.value for decision in decisions),
                sql.texts(_facts(decision.rule) for decision in decisions),
            ],
        )


@lru_cache(maxsize=256)
def _json(reasons: tuple[str, ...]) -> str:
    return orjson.dumps(reasons).decode()


@lru_cache(maxsize=64)
def _facts(rule: str) -> str:
    return orjson.dumps({"rule": rule, "version": CURRENT}).decode()


def _candidates(candidates: tuple[Candidate, ...]) -> str:
    return orjson.dumps(candidates).decode() if candidates else "[]"


# --- what every change of a line leaves behind --------------------------------------------------


def record(
    line_ids: Sequence[int],
    kind: str,
    *,
    at: datetime,
    actor: str = "",
    facts: dict[str, Any] | None = None,
) -> None:
    LineEvent.objects.bulk_create(
        LineEvent(line_id=pk, kind=kind, actor=actor, at=at, facts=facts or {}) for pk in line_ids
    )


def counted(lines: QuerySet[StatementLine]) -> dict[str, int]:
    """How many of a statement's lines stand where, by the names of its counters."""
    found = lines.aggregate(
        matched=Count("pk", filter=Q(verdict=Verdict.MATCHED)),
        suggested=Count("pk", filter=Q(verdict=Verdict.SUGGESTED)),
        ignored=Count("pk", filter=Q(verdict=Verdict.IGNORED)),
        stored=Count("pk"),
    )
    stored = found.pop("stored")
    return {**found, "unmatched": stored - sum(found.values())}


def lock_statements(statement_ids: Iterable[int]) -> None:
    """Counters are read and written under the statement's lock, or two clerks lose a count."""
    list(Statement.objects.filter(pk__in=statement_ids).order_by("pk").select_for_update())


def recount(line_ids: Sequence[int]) -> None:
    """Bring the counters of these lines' statements up to date; last in the transaction."""
    touched = Statement.objects.filter(statement_lines__in=line_ids).distinct()
    ids = sorted(touched.values_list("pk", flat=True))
    lock_statements(ids)
    for pk in ids:
        lines = StatementLine.objects.filter(statement_id=pk)
        done = Statement.objects.filter(pk=pk, status=StatementStatus.DONE)
        done.update(**counted(lines))
