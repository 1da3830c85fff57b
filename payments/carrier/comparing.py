"""The carrier's day against the ledger as of the same cut: what the carrier had booked by then.

Days, differences, and what a person does about them are those of the channels' bills.
"""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import chain
from uuid import uuid4

from django.db import connection

from config.kit import sql
from config.kit.outside import assert_no_transaction
from payments.bills import services as bills
from payments.bills import staging
from payments.bills.models import ChannelDay
from payments.bills.rules import begins
from payments.carrier import queries
from payments.carrier.protocol import Carrier, carrier
from payments.carrier.rules import KEPT
from payments.channels.answers import ChannelSilent

ACCOUNT = "carrier"
MOVE, BALANCE = "MOVE", "BALANCE"  # the state of a staged row says which of the two it is
CLOCKS = timedelta(hours=1)  # theirs may be behind ours by so much, and no more


def take_in(*, name: str, day: date, at: datetime) -> ChannelDay:
    """Ask for a day that is over and compare it.  Not atomic on purpose: the network lies before.

    Safe twice.  Raises ChannelSilent, also while something of the day is not told or not answered;
    ChannelRefused.
    """
    assert_no_transaction()
    ends = begins(day + timedelta(days=1))
    if untold := queries.untold(before=ends):
        raise ChannelSilent(f"有 {untold} 笔凭证还没有报送存管机构，稍后再核对")
    if waiting := queries.unanswered(before=ends + CLOCKS):
        raise ChannelSilent(f"报送 {waiting} 存管机构还没有确认，稍后再核对")
    batch = uuid4().hex
    try:
        staging.write(_lines(carrier(), day, batch, at))
        row, _ = bills.conclude(
            name=name,
            day=day,
            batch=batch,
            differences=[(_DIFFERENCES, {"kept": sql.texts(KEPT)})],
            told={"account": ACCOUNT, **_came_and_left(batch)},
            at=at,
        )
        return row
    finally:
        staging.clear(batch, before=at - bills.FORGOTTEN)


def _lines(says: Carrier, day: date, batch: str, at: datetime) -> Iterator[str]:
    stamp = at.isoformat()
    rows = chain(
        ((number, code, fen, MOVE) for number, code, fen in says.movements(day)),
        (("", code, fen, BALANCE) for code, fen in says.balances(day)),
    )
    for n, (number, code, fen, state) in enumerate(rows):
        ours, theirs = staging.said(number), staging.said(code)
        yield f"{batch}\t{n}\t{stamp}\tf\t{ours}\t{theirs}\t{fen}\t0\t0\t{state}\n"


_CAME_AND_LEFT = """
SELECT count(*) FILTER (WHERE fen > 0), coalesce(sum(fen) FILTER (WHERE fen > 0), 0)::bigint,
       count(*) FILTER (WHERE fen < 0), coalesce(-sum(fen) FILTER (WHERE fen < 0), 0)::bigint
FROM (SELECT sum(fen) AS fen FROM payments_billrow
      WHERE batch = %s AND state = 'MOVE' GROUP BY our_number) moved
"""


def _came_and_left(batch: str) -> dict[str, int]:
    """Moves by which money came to the carrier from outside, and by which it left."""
    with connection.cursor() as cursor:
        cursor.execute(_CAME_AND_LEFT, [batch])
        values = cursor.fetchone()
    return dict(zip(("trades", "trades_fen", "refunds", "refunds_fen"), values, strict=True))


# Ours are what the carrier has booked by its own word, a move on another of its days included.  A
# balance is what is told, less what was booked after the day.
_DIFFERENCES = """
WITH theirs AS (
    SELECT our_number AS number, their_number AS code, sum(fen)::bigint AS fen
    FROM payments_billrow WHERE batch = %(batch)s AND state = 'MOVE' GROUP BY 1, 2
), listed AS (
    SELECT DISTINCT split_part(number, '-', 1) AS number FROM theirs
), ours AS (
    SELECT b.number || '-' || m.n AS number, a.code, -sum(e.amount_fen)::bigint AS fen, b.booked_on
    FROM payments_carrierbatch b
    JOIN payments_carriermove m ON m.batch_id = b.id
    JOIN payments_entry e ON e.posting_id = m.posting_id
    JOIN payments_account a ON a.id = e.account_id
    WHERE (b.booked_on = %(day)s OR b.number IN (SELECT number FROM listed))
      AND split_part(a.code, ':', 1) = ANY(%(kept)s::text[])
    GROUP BY b.number, m.n, a.code, b.booked_on HAVING sum(e.amount_fen) <> 0
), later AS (
    SELECT a.code, -sum(e.amount_fen)::bigint AS fen
    FROM payments_carrierbatch b
    JOIN payments_carriermove m ON m.batch_id = b.id
    JOIN payments_entry e ON e.posting_id = m.posting_id
    JOIN payments_account a ON a.id = e.account_id
    WHERE (b.booked_on > %(day)s OR b.status = 'SENDING')
      AND split_part(a.code, ':', 1) = ANY(%(kept)s::text[])
    GROUP BY a.code
), kept_here AS (
    SELECT t.code, t.told_fen - coalesce(l.fen, 0) AS fen
    FROM payments_carrieraccount t LEFT JOIN later l USING (code)
), kept_there AS (
    SELECT their_number AS code, sum(fen)::bigint AS fen
    FROM payments_billrow WHERE batch = %(batch)s AND state = 'BALANCE' GROUP BY 1
)
SELECT 'MOVE' AS subject, 'MISSING_HERE' AS kind, t.number AS our_number, t.code AS their_number,
       0 AS our_fen, t.fen AS their_fen, '' AS our_state, '' AS their_state
FROM theirs t LEFT JOIN ours o USING (number, code) WHERE o.number IS NULL
UNION ALL SELECT 'MOVE', 'AMOUNT', o.number, o.code, o.fen, t.fen, '', ''
FROM theirs t JOIN ours o USING (number, code) WHERE t.fen <> o.fen
UNION ALL SELECT 'MOVE', 'MISSING_THERE', o.number, o.code, o.fen, 0, '', ''
FROM ours o LEFT JOIN theirs t USING (number, code)
WHERE t.number IS NULL AND o.booked_on = %(day)s
UNION ALL SELECT 'ACCOUNT', 'BALANCE', '', code, coalesce(h.fen, 0), coalesce(t.fen, 0), '', ''
FROM kept_here h FULL JOIN kept_there t USING (code)
WHERE coalesce(h.fen, 0) <> coalesce(t.fen, 0)
"""
