"""Bookings wait in `payments_stagedline` until the whole file they stand in is known to be sound.

A push is a file of one line.  The table is not logged: what it holds can be read again from the
file's parts, or is pushed again by the bank.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC
from itertools import islice
from typing import Any

import orjson
from django.db import connection

from payments.transfers.parsers import Row
from payments.transfers.remarks import normal

LONGEST_KEY = 64
LONGEST_TEXT = 2_000  # characters; nothing that a bank prints is that long
AT_ONCE = 20_000  # rows a COPY, and between two signs of life
ANALYSED = 1_000  # rows for which statistics are made

_COPY = """
COPY payments_stagedline (batch, n, booked_at, amount_fen, balance_fen, is_reversal, key, serial,
    currency, payer_name, payer_account, payer_bank, remark, texts, virtual_account, reverses,
    caution) FROM STDIN
"""
# Two equal contents in one file are two bookings; in another file they are the same two.
_TELL_TWINS_APART = """
UPDATE payments_stagedline s SET key = s.key || ':' || d.turn
FROM (
    SELECT n, row_number() OVER (PARTITION BY key ORDER BY n) AS turn FROM payments_stagedline
    WHERE batch = %(batch)s AND key IN (
        SELECT key FROM payments_stagedline WHERE batch = %(batch)s
        GROUP BY key HAVING count(*) > 1
    )
) d
WHERE s.batch = %(batch)s AND s.n = d.n AND d.turn > 1
"""
_ENDS = """
SELECT a.n, z.n, a.booked_at > z.booked_at
FROM (SELECT min(n) AS first, max(n) AS last FROM payments_stagedline WHERE batch = %s) d
LEFT JOIN payments_stagedline a ON a.batch = %s AND a.n = d.first
LEFT JOIN payments_stagedline z ON z.batch = %s AND z.n = d.last
"""
# What COPY's text format would take for its own, and our own separator.
_SPECIAL = re.compile("[\\\\\n\r\t\x00]")
_ESCAPED = str.maketrans({"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\x00": ""})
_BETWEEN = "\x1f"


def stage(batch: str, account_no: str, rows: Iterable[Row]) -> Iterator[int]:
    """Write rows under a batch's name; yields after every few thousand how many are in.

    Raises whatever `rows` raises; what was written until then is the caller's to `clear`.
    """
    source, n = iter(rows), 0
    writing: Future[None] | None = None
    with ThreadPoolExecutor(1) as pool:  # PostgreSQL takes some in while the next are read
        while some := list(islice(source, AT_ONCE)):
            lines = "".join([_line(batch, i, account_no, row) for i, row in enumerate(some, n)])
            if writing:
                writing.result()
                yield n
            n += len(some)
            if len(some) == AT_ONCE:
                writing = pool.submit(_write, connection.cursor(), lines)
            else:
                writing = None
                _write(connection.cursor(), lines)
                yield n
        if writing:
            writing.result()
            yield n
    if n > 1:
        _tell_twins_apart(batch, n)


def _tell_twins_apart(batch: str, rows: int) -> None:
    """Nobody else analyses this table: the planner may believe that it is as empty as it was.

    Then it would look through all rows once for each of them.
    """
    with connection.cursor() as cursor:
        if rows >= ANALYSED:
            cursor.execute("ANALYZE payments_stagedline (batch, n, key)")
        cursor.execute(_TELL_TWINS_APART, {"batch": batch})


def _write(cursor: Any, lines: str) -> None:
    with cursor, cursor.copy(_COPY) as copy:
        copy.write(lines)


def left(batch: str) -> int:
    """How many rows of a batch still wait."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM payments_stagedline WHERE batch = %s", [batch])
        return int(cursor.fetchone()[0])


def parts(batch: str, size: int) -> list[range]:
    """What still waits, in parts of so many rows, in the bank's order: the oldest part first."""
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [batch, batch, batch])
        first, last, backwards = cursor.fetchone()
    if first is None:
        return []
    found = [range(start, min(start + size, last + 1)) for start in range(first, last + 1, size)]
    return found[::-1] if backwards else found


def reversed_serials(batch: str) -> frozenset[str]:
    """Serials of the bookings that rows of this batch take back."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reverses FROM payments_stagedline"
            " WHERE batch = %s AND is_reversal AND reverses <> ''",
            [batch],
        )
        return frozenset(serial for (serial,) in cursor.fetchall())


def clear(batch: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM payments_stagedline WHERE batch = %s", [batch])


def _line(batch: str, n: int, account_no: str, row: Row) -> str:
    serial = row.serial or ""
    key = serial if 0 < len(serial) <= LONGEST_KEY else _hashed(account_no, row)
    words = (
        key, serial, row.currency, row.payer_name, row.payer_account, row.payer_bank, row.remark,
        _said(row.texts), row.virtual_account or "", row.reverses or "",
        row.caution,
    )  # fmt: skip
    text = _BETWEEN.join(words)
    if len(text) > LONGEST_TEXT or text.count(_BETWEEN) != len(words) - 1:
        text = _BETWEEN.join(word[:LONGEST_TEXT].replace(_BETWEEN, "") for word in _cut(row, words))
    if _SPECIAL.search(text):
        text = text.translate(_ESCAPED)
    text = text.replace(_BETWEEN, "\t")
    balance = "\\N" if row.balance_fen is None else row.balance_fen
    return (
        f"{batch}\t{n}\t{row.booked_at.isoformat()}\t{row.amount_fen}\t"
        f"{balance}\t{'t' if row.is_reversal else 'f'}\t{text}\n"
    )


def _said(texts: Sequence[str]) -> str:
    """As JSON; NUL, which no text of PostgreSQL holds, is left out."""
    said = orjson.dumps(texts).decode()
    if "\\u0000" in said:
        said = orjson.dumps([text.replace("\x00", "") for text in texts]).decode()
    return said


def _cut(row: Row, words: tuple[str, ...]) -> tuple[str, ...]:
    """The JSON of the texts stays whole JSON."""
    texts = _said([text[:200].replace(_BETWEEN, "") for text in row.texts[:8]])
    return (*words[:7], texts, *words[8:])


def _hashed(account_no: str, row: Row) -> str:
    """A booking without a serial is its content.  Chinese is kept: 张三 and 李四 are two payers."""
    facts = (
        account_no,
        row.serial or "",
        row.booked_at.astimezone(UTC).isoformat(),
        str(row.amount_fen),
        row.currency,
        str(row.balance_fen),
        row.payer_account,
        normal(row.payer_name),
        normal(row.remark),
    )
    return f"#{hashlib.sha256(_BETWEEN.join(facts).encode()).hexdigest()[:40]}"
