from collections.abc import Iterable, Sequence
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from config.kit import sql
from config.kit.db import joined
from config.kit.errors import Refusal
from payments.ledger.rules import Draft, kind_of


class NotCovered(Refusal):
    message = "余额不足"


# Accounts come into being with their first entry.
_OPEN_ACCOUNTS = """
INSERT INTO payments_account (code, is_guarded, balance_fen)
SELECT d.code, d.is_guarded, 0 FROM unnest(%s::text[], %s::bool[]) AS d (code, is_guarded)
LEFT JOIN payments_account a ON a.code = d.code WHERE a.id IS NULL
ON CONFLICT (code) DO NOTHING
"""
_POST = """
WITH p AS (
    INSERT INTO payments_posting (kind, reference, at)
    SELECT d.kind, d.reference, %s FROM unnest(%s::text[], %s::text[]) AS d (kind, reference)
    RETURNING id, kind, reference
)
INSERT INTO payments_entry (posting_id, account_id, amount_fen)
SELECT p.id, a.id, e.fen
FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS e (kind, reference, code, fen)
JOIN p USING (kind, reference) JOIN payments_account a ON a.code = e.code
"""
_LOCK = "SELECT 1 FROM payments_account WHERE code = ANY(%s) ORDER BY id FOR UPDATE"
_CHANGE_BALANCES = """
UPDATE payments_account a SET balance_fen = a.balance_fen + d.fen
FROM unnest(%s::text[], %s::bigint[]) AS d (code, fen)
WHERE a.code = d.code AND a.balance_fen + d.fen >= 0
"""


@joined
def post(drafts: Sequence[Draft], *, at: datetime) -> None:
    """Move money between accounts, in at most four statements however many postings.

    The same fact twice is an IntegrityError, legs that do not balance a ValueError: bugs, not
    refusals.  Raises NotCovered when a guarded account would fall below zero; nothing is written.
    """
    if not drafts:
        return
    legs = [(draft, code, fen) for draft in drafts for code, fen in draft.legs()]
    codes = sorted({code for _, code, _ in legs})
    with connection.cursor() as cursor:
        cursor.execute(_OPEN_ACCOUNTS, [codes, [kind_of(code).is_guarded for code in codes]])
        cursor.execute(
            _POST,
            [
                at,
                sql.texts(draft.kind for draft in drafts),
                sql.texts(draft.reference for draft in drafts),
                sql.texts(draft.kind for draft, _, _ in legs),
                sql.texts(draft.reference for draft, _, _ in legs),
                sql.texts(code for _, code, _ in legs),
                sql.ints(fen for _, _, fen in legs),
            ],
        )
        if cursor.rowcount != len(legs):
            raise RuntimeError(f"{cursor.rowcount} of {len(legs)} legs were written")
    _change_balances([(code, -fen) for _, code, fen in legs if kind_of(code).is_guarded])


def _change_balances(changes: Iterable[tuple[str, int]]) -> None:
    """Guarded accounts last, in key order: they are what others wait for."""
    total: dict[str, int] = {}
    for code, fen in changes:
        total[code] = total.get(code, 0) + fen
    if not total:
        return
    with connection.cursor() as cursor:
        if len(total) > 1:
            cursor.execute(_LOCK, [list(total)])
        cursor.execute(_CHANGE_BALANCES, [list(total), list(total.values())])
        if cursor.rowcount != len(total):
            raise NotCovered(accounts=sorted(total))


def audit() -> list[str]:
    """Everything that must always be true of the money, stock and promises; [] when it is.

    Each package answers for its own part (settings.AUDITS).
    """
    return [finding for path in settings.AUDITS for finding in import_string(path)()]
