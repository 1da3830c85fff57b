"""The carrier is told the ledger by a sweep; nothing is asked of whoever posts, and no trigger.

A batch is written down and committed before the carrier is asked, and its content is rows that
never change: whoever dies in between leaves it to the next sweep, which says the same under the
same number.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection, transaction

from config.kit import sql
from config.kit.numbers import fresh
from config.kit.outside import assert_no_transaction
from payments.bills.rules import SHANGHAI
from payments.carrier.models import CarrierAccount, CarrierBatch
from payments.carrier.protocol import carrier
from payments.carrier.rules import (
    AT_ONCE,
    KEPT,
    BatchStatus,
    Legs,
    Move,
    Step,
    added_up,
    covered,
    move_number,
    step,
)
from payments.channels.answers import ChannelRefused, ChannelSilent

logger = logging.getLogger(__name__)


def tell(*, at: datetime) -> bool:
    """Tell the carrier the batch that it has not answered, or the next; whether it took it.

    False also where there is nothing to tell.  Not atomic on purpose: the network lies between.
    """
    assert_no_transaction()
    made = _next(at)
    if made is None:
        return False
    if made.batch is None:
        return True  # nothing that the carrier holds was touched, but more may wait
    try:
        booked_at = carrier().book(made.batch.number, _moves(made.batch))
    except ChannelSilent as silent:
        _unheard(made.batch, str(silent), at)
        logger.warning("carrier: batch %s was not answered", made.batch)
        return False
    except ChannelRefused as no:
        _unheard(made.batch, str(no), at)
        logger.error("carrier: batch %s was refused: %s", made.batch, no)
        return False
    _booked(made.batch, booked_at, at)
    return True


class _Made(NamedTuple):
    batch: CarrierBatch | None


_ONE_AT_A_TIME = "SELECT pg_advisory_xact_lock(hashtextextended('carrier', 0))"
_MARK = """
INSERT INTO payments_carriermark AS m (id, passed) VALUES (1, 0)
ON CONFLICT (id) DO UPDATE SET passed = m.passed
RETURNING passed, marked, marked_at, noted,
          coalesce(pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= noted, false),
          coalesce((SELECT max(posting_id) FROM payments_carriermove), 0)
"""


@transaction.atomic
def _next(at: datetime) -> _Made | None:
    """The batch to be told; a new one is of what is in the ledger by now, and not told yet."""
    with connection.cursor() as cursor:
        cursor.execute(_ONE_AT_A_TIME)
        if waiting := CarrierBatch.objects.filter(status=BatchStatus.SENDING).first():
            return _Made(waiting)
        # What was running is looked at before the ledger is: whatever ended by then is seen there.
        cursor.execute(_MARK)
        passed, marked, marked_at, noted, are_over, last = cursor.fetchone()
    found = _untold(passed, last)
    taken = found.postings[: found.covered]
    left = found.postings[found.covered :]
    made = _written(taken, found.legs, at) if taken else None
    if left and not taken:
        logger.error("carrier: %s postings would leave a sub-account below zero", len(left))
    do = step(
        marked_at=marked_at,
        is_noted=noted is not None,
        are_over=are_over,
        is_told=found.is_told(marked),
        at=at,
    )
    _move_mark(do, max([last, *taken]), at)
    return made


class _Untold(NamedTuple):
    """`seen_until`: the highest id up to which nothing else is untold; below all, if unknown."""

    postings: list[int]
    legs: dict[int, dict[str, int]]
    covered: int
    seen_until: float

    def is_told(self, marked: int | None) -> bool:
        """Whether all up to the mark is told when these are."""
        left = self.postings[self.covered :]
        return marked is None or (marked <= self.seen_until and not any(p <= marked for p in left))


_NEW = "SELECT id FROM payments_posting WHERE id > %(last)s ORDER BY id LIMIT %(most)s"
# Of what was committed late, and everything new.  The ids that are told already are few: `passed`
# is some minutes behind.
_WITH_LATE = """
SELECT p.id FROM payments_posting p
LEFT JOIN payments_carriermove m ON m.posting_id = p.id AND m.posting_id > %(passed)s
WHERE p.id > %(passed)s AND m.posting_id IS NULL ORDER BY p.id LIMIT %(most)s
"""
_LEGS = """
SELECT e.posting_id, a.code, -sum(e.amount_fen)::bigint
FROM payments_entry e JOIN payments_account a ON a.id = e.account_id
WHERE e.posting_id = ANY(%s::bigint[]) AND split_part(a.code, ':', 1) = ANY(%s::text[])
GROUP BY e.posting_id, a.code HAVING sum(e.amount_fen) <> 0 ORDER BY e.posting_id, a.code
"""


def _untold(passed: int, last: int) -> _Untold:
    """The next postings and their legs.

    While there is much that is new, what came late can wait, unless something new spends it.
    """
    found = _seen(_NEW, passed, last, AT_ONCE)
    if len(found.postings) == AT_ONCE and found.covered:
        return found
    most = AT_ONCE
    found = _seen(_WITH_LATE, passed, last, most)
    while not found.covered and len(found.postings) == most:
        most *= 2
        found = _seen(_WITH_LATE, passed, last, most)
    return found


def _seen(statement: str, passed: int, last: int, most: int) -> _Untold:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"passed": passed, "last": last, "most": most})
        postings = [posting for (posting,) in cursor.fetchall()]
    legs = _legs(postings)
    seen_until = math.inf if len(postings) < most else postings[-1]
    if statement == _NEW:
        seen_until = -math.inf  # what came late was not looked for
    codes = {code for some in legs.values() for code in some}
    told = CarrierAccount.objects.filter(code__in=codes).values_list("code", "told_fen")
    return _Untold(postings, legs, covered(postings, legs, dict(told)), seen_until)


def _legs(postings: Sequence[int]) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = defaultdict(dict)
    if postings:
        with connection.cursor() as cursor:
            cursor.execute(_LEGS, [sql.ints(postings), sql.texts(KEPT)])
            for posting, code, fen in cursor.fetchall():
                found[posting][code] = fen
    return found


_WRITE = """
INSERT INTO payments_carriermove (posting_id, batch_id, n)
SELECT d.posting, CASE WHEN d.n > 0 THEN %s::bigint END, d.n
FROM unnest(%s::bigint[], %s::bigint[]) AS d (posting, n)
"""
_OPEN = """
INSERT INTO payments_carrieraccount (code, told_fen) SELECT code, 0 FROM unnest(%s::text[]) AS code
ON CONFLICT (code) DO NOTHING
"""
_TOLD = """
UPDATE payments_carrieraccount a SET told_fen = a.told_fen + d.fen
FROM unnest(%s::text[], %s::bigint[]) AS d (code, fen) WHERE d.code = a.code
"""


def _written(postings: Sequence[int], legs: dict[int, dict[str, int]], at: datetime) -> _Made:
    told = [posting for posting in postings if posting in legs]
    batch = None
    if told:
        batch = CarrierBatch.objects.create(
            number=fresh("1"), status=BatchStatus.SENDING, moves=len(told), made_at=at
        )
    places = dict.fromkeys(postings, 0) | {posting: n for n, posting in enumerate(told, 1)}
    total = added_up(legs[posting] for posting in told)
    with connection.cursor() as cursor:
        written = [sql.ints(places), sql.ints(places.values())]
        cursor.execute(_WRITE, [batch.pk if batch else None, *written])
        if total:
            cursor.execute(_OPEN, [sql.texts(total)])
            cursor.execute(_TOLD, [sql.texts(total), sql.ints(total.values())])
    return _Made(batch)


_STEPS = {
    Step.MARK: "UPDATE payments_carriermark SET marked = %(last)s, marked_at = %(at)s",
    Step.NOTE: "UPDATE payments_carriermark"
    " SET noted = pg_snapshot_xmax(pg_current_snapshot())::text::bigint",
    Step.GO_ON: "UPDATE payments_carriermark"
    " SET passed = marked, marked = NULL, marked_at = NULL, noted = NULL",
}


def _move_mark(do: Step, last: int, at: datetime) -> None:
    if do != Step.WAIT:
        with connection.cursor() as cursor:
            told: dict[str, Any] = {"last": last, "at": at}
            cursor.execute(_STEPS[do], told)


# --- told ---------------------------------------------------------------------------------------

_TOLD_AS = """
SELECT p.id, m.n, p.kind FROM payments_carriermove m JOIN payments_posting p ON p.id = m.posting_id
WHERE m.batch_id = %s ORDER BY m.n
"""


def _moves(batch: CarrierBatch) -> list[Move]:
    """What a batch says, to the letter, whenever it is asked for."""
    with connection.cursor() as cursor:
        cursor.execute(_TOLD_AS, [batch.pk])
        told = cursor.fetchall()
    legs: dict[int, Legs] = {**_legs([posting for posting, _, _ in told])}
    return [Move(move_number(batch.number, n), kind, legs[posting]) for posting, n, kind in told]


def _booked(batch: CarrierBatch, booked_at: datetime, at: datetime) -> None:
    """Another worker may have heard it first; the carrier has said the same to both."""
    CarrierBatch.objects.filter(pk=batch.pk, status=BatchStatus.SENDING).update(
        status=BatchStatus.BOOKED,
        booked_at=booked_at,
        booked_on=booked_at.astimezone(SHANGHAI).date(),
        asked_at=at,
        problem="",
    )


def _unheard(batch: CarrierBatch, problem: str, at: datetime) -> None:
    CarrierBatch.objects.filter(pk=batch.pk, status=BatchStatus.SENDING).update(
        asked_at=at, problem=problem[:200]
    )
