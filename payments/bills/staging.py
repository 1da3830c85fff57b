"""Rows of a trade bill wait in `payments_billrow` while they are compared, set against set.

The table is not logged: after a crash of the database it is empty, and the bill is fetched again.
"""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from itertools import islice
from typing import NamedTuple

from django.db import connection

from payments.transfers.parsers.channels.bill import BillRow

AT_ONCE = 5_000
LONGEST = 64  # characters of a number
_COPY = """
COPY payments_billrow
    (batch, n, at, is_refund, our_number, their_number, fen, fee_fen, due_fen, state) FROM STDIN
"""
_ODD = re.compile(r"[\\\n\r\t\x00]")
_TOTALS = """
SELECT count(*) FILTER (WHERE NOT is_refund),
       coalesce(sum(fen) FILTER (WHERE NOT is_refund), 0)::bigint,
       count(*) FILTER (WHERE is_refund),
       coalesce(sum(fen) FILTER (WHERE is_refund), 0)::bigint,
       coalesce(sum(fee_fen), 0)::bigint
FROM payments_billrow WHERE batch = %s
"""


class Totals(NamedTuple):
    trades: int
    trades_fen: int
    refunds: int
    refunds_fen: int
    fee_fen: int


def stage(
    batch: str, rows: Iterable[BillRow], fee_due: Callable[[BillRow], int], at: datetime
) -> None:
    """Write rows under a batch's name; `fee_due` is what our rate makes of one, in fen.

    Raises whatever `rows` raises; what was written until then is the caller's to `clear`.
    """
    stamp = at.isoformat()
    write(_line(batch, i, stamp, row, fee_due(row)) for i, row in enumerate(rows))


def write(lines: Iterable[str]) -> None:
    """Lines as COPY reads them, in the order of the columns."""
    source, n = iter(lines), 0
    while some := list(islice(source, AT_ONCE)):
        with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
            copy.write("".join(some))
        n += len(some)
    if n > AT_ONCE:
        # Else PostgreSQL would plan for the few rows that it remembers.
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE payments_billrow")


def totals(batch: str) -> Totals:
    with connection.cursor() as cursor:
        cursor.execute(_TOTALS, [batch])
        return Totals(*cursor.fetchone())


def clear(batch: str, *, before: datetime) -> None:
    """This batch, and what workers that were killed have left behind."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM payments_billrow WHERE batch = %s OR at < %s", [batch, before])


def _line(batch: str, n: int, stamp: str, row: BillRow, due_fen: int) -> str:
    ours, theirs = said(row.own_number), said(row.serial or "")
    return (
        f"{batch}\t{n}\t{stamp}\t{'t' if row.is_reversal else 'f'}\t{ours}\t{theirs}\t"
        f"{abs(row.amount_fen)}\t{row.fee_fen}\t{due_fen}\t{said(row.state)}\n"
    )


def said(text: str) -> str:
    """A text from outside, as one field of a line."""
    return _ODD.sub("", text)[:LONGEST]
