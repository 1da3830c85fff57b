"""A statement confirms what the bank had pushed: each push is to be found in a statement too."""

from collections.abc import Sequence
from datetime import datetime

import orjson
from django.db import connection, transaction

from config.kit import sql

_BALANCES = """
UPDATE payments_statementline l SET balance_fen = d.fen
FROM unnest(%s::bigint[], %s::bigint[]) AS d (id, fen)
WHERE l.id = d.id AND l.statement_id IS NULL AND l.balance_fen IS NULL
"""
_CONFIRM = """
INSERT INTO payments_lineevent (line_id, kind, actor, at, facts)
SELECT l.id, 'CONFIRMED', '', %s, %s::jsonb FROM payments_statementline l
WHERE l.id = ANY(%s::bigint[]) AND l.statement_id IS NULL AND NOT EXISTS (
    SELECT 1 FROM payments_lineevent e WHERE e.line_id = l.id AND e.kind = 'CONFIRMED'
)
"""


@transaction.atomic
def confirm(*, statement: str, lines: Sequence[tuple[int, int | None]], at: datetime) -> None:
    """These known lines stand in this statement (number) too, with these balances in fen.

    Lines that a statement brought are left as they are; a push is confirmed once.
    """
    if not lines:
        return
    printed = [(pk, fen) for pk, fen in lines if fen is not None]
    with connection.cursor() as cursor:
        if printed:
            ids, balances = zip(*printed, strict=True)
            cursor.execute(_BALANCES, [sql.ints(ids), sql.ints(balances)])
        told = orjson.dumps({"statement": statement}).decode()
        cursor.execute(_CONFIRM, [at, told, sql.ints(pk for pk, _ in lines)])
