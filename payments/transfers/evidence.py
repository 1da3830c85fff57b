"""What the ladder has to know of lines that name nothing: set-based, a few rows for each line."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db import connection
from django.db.models import Q

from config.kit import sql
from payments.transfers.ladder.facts import Fact, Intent, Terms, payer_marks
from payments.transfers.models import Policy
from payments.transfers.remarks import is_pooled, is_whole_account, near_codes, normal_name

# Rows per line, so that no payer and no price makes a batch slow.  One more than the ladder asks
# for (sums.MOST_OPEN), so that it sees that there are too many.
LINES_OF_A_PAYER = 300
OPEN_OF_A_BUYER = 13
PAYERS_OF_A_BUYER = 50
OF_AN_AMOUNT = 4
LOOKED_AT = 200

# For whom these payers have paid before.
_BUYERS = """
SELECT DISTINCT p.payer_id, l.payer_account, l.payer_name
FROM (
    SELECT n.* FROM unnest(%(accounts)s::text[]) AS asked (account), LATERAL (
        SELECT id, payer_account, payer_name FROM payments_statementline
        WHERE payer_account = asked.account AND allocated_fen > 0
        ORDER BY id DESC LIMIT %(lines)s
    ) n
    UNION
    SELECT n.* FROM unnest(%(names)s::text[]) AS asked (name), LATERAL (
        SELECT id, payer_account, payer_name FROM payments_statementline
        WHERE payer_name = asked.name AND allocated_fen > 0
        ORDER BY id DESC LIMIT %(lines)s
    ) n
) l
JOIN payments_allocation a ON a.line_id = l.id AND a.undone_at IS NULL
JOIN payments_payment p ON p.id = a.payment_id
"""
# Of an amount only the newest payments are looked at, or a shop where everything costs 99.00 would
# read all it ever sold for each line.  Those that were paid in part ask for less than their amount:
# few, and on a list of their own (payments_partpaid).
_MORE = """
WITH wanted AS (
    SELECT DISTINCT * FROM unnest(%(accounts)s::bigint[], %(fens)s::bigint[]) AS a (account_id, fen)
), hit AS (
    SELECT i.id FROM payments_virtualaccount v
    JOIN payments_transferintent i ON i.virtual_account_id = v.id AND i.released_at IS NULL
    WHERE v.number = ANY(%(virtual)s::text[])
    UNION
    SELECT id FROM payments_transferintent
    WHERE code = ANY(%(codes)s::text[]) AND code <> '' AND code_released_at IS NULL
    UNION
    SELECT n.id FROM unnest(%(buyers)s::bigint[]) AS asked (payer_id), LATERAL (
        SELECT i.id FROM payments_payment p
        JOIN payments_transferintent i ON i.payment_id = p.id
        WHERE p.payer_id = asked.payer_id AND p.status = 'WAITING'
          AND i.receiving_account_id = ANY(%(accounts)s::bigint[])
        ORDER BY p.opened_at DESC, p.id DESC LIMIT %(open)s
    ) n
    UNION
    SELECT n.id FROM wanted, LATERAL (
        SELECT i.id FROM (
            SELECT * FROM payments_payment WHERE amount_fen = wanted.fen
            ORDER BY id DESC LIMIT %(looked_at)s
        ) p
        JOIN payments_transferintent i ON i.payment_id = p.id
          AND i.receiving_account_id = wanted.account_id
        WHERE p.status = 'WAITING' AND p.received_fen = 0 ORDER BY p.id DESC LIMIT %(equal)s
    ) n
    UNION
    SELECT n.id FROM wanted, LATERAL (
        SELECT i.id FROM payments_partpaid part
        JOIN payments_payment p ON p.id = part.payment_id
        JOIN payments_transferintent i ON i.payment_id = p.id
          AND i.receiving_account_id = wanted.account_id
        WHERE part.left_fen = wanted.fen AND p.status = 'WAITING'
        ORDER BY p.id DESC LIMIT %(equal)s
    ) n
)
SELECT p.id, p.number, p.reference, i.receiving_account_id,
       CASE WHEN i.released_at IS NULL THEN coalesce(v.number, '') ELSE '' END, i.is_shared,
       CASE WHEN i.code_released_at IS NULL THEN i.code ELSE '' END,
       p.amount_fen - p.received_fen, p.status = 'WAITING', p.payer_id, p.merchant,
       i.is_code_again,
       p.refunded_fen > 0 AND (p.status = 'CONFIRMED' OR EXISTS (
           SELECT 1 FROM payments_refund f
           WHERE f.payment_id = p.id AND f.status NOT IN ('OWED', 'VOID'))),
       extract(epoch FROM p.opened_at)::bigint
FROM hit JOIN payments_transferintent i ON i.id = hit.id
JOIN payments_payment p ON p.id = i.payment_id
LEFT JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
ORDER BY p.id
"""
_PAYERS = """
SELECT DISTINCT asked.payer_id, n.payer_account, n.payer_name
FROM unnest(%s::bigint[]) AS asked (payer_id), LATERAL (
    SELECT l.payer_account, l.payer_name
    FROM payments_payment p
    JOIN payments_allocation a ON a.payment_id = p.id AND a.undone_at IS NULL
    JOIN payments_statementline l ON l.id = a.line_id
    WHERE p.payer_id = asked.payer_id
    ORDER BY p.opened_at DESC, a.id DESC LIMIT %s
) n
"""
# Nobody waits here, so nobody can be waited for in turn; ids in order all the same.
_HOLD = """
SELECT id, amount_fen - received_fen FROM payments_payment
WHERE id = ANY(%s::bigint[]) AND status = 'WAITING' ORDER BY id FOR UPDATE SKIP LOCKED
"""


def more(
    facts: Sequence[Fact], *, of_an_amount: int = OF_AN_AMOUNT
) -> tuple[list[Intent], dict[int, set[str]]]:
    """What else these lines may be for, and by which marks the buyers' payers are known.

    Payments of their virtual accounts, codes and near codes, of the buyers for whom the payer has
    paid before, and that ask for the same amount on that account: three statements.  Nothing is
    locked: see `hold`.
    """
    known = _buyers(facts)
    codes = {code for fact in facts for code in fact.codes.found | near_codes(fact.texts)}
    rows = _rows(
        _MORE,
        {
            "virtual": sql.texts({fact.virtual_account for fact in facts} - {""}),
            "codes": sql.texts(codes),
            "buyers": sql.ints(known),
            "accounts": sql.ints(fact.account_id for fact in facts),
            "fens": sql.ints(fact.fen for fact in facts),
            "open": OPEN_OF_A_BUYER,
            "equal": of_an_amount,
            "looked_at": LOOKED_AT,
        },
    )
    intents = [Intent(*row) for row in rows]
    buyers = {intent.payer_id for intent in intents}
    for payer_id, account, name in _rows(_PAYERS, [sql.ints(buyers), PAYERS_OF_A_BUYER]):
        known.setdefault(payer_id, set()).update(payer_marks(account, name))
    return intents, known


# Read from the indexes alone: payment_by_amount, line_by_payer, line_by_name.
_CROWDED = """
SELECT asked.fen, '', '' FROM unnest(%(fens)s::bigint[]) AS asked (fen) WHERE (
    SELECT count(*) FROM (
        SELECT 1 FROM payments_payment WHERE amount_fen = asked.fen LIMIT %(payments)s
    ) p
) = %(payments)s
UNION ALL
SELECT 0, asked.account, '' FROM unnest(%(accounts)s::text[]) AS asked (account) WHERE (
    SELECT count(*) FROM (
        SELECT 1 FROM payments_statementline
        WHERE payer_account = asked.account AND allocated_fen > 0 LIMIT %(lines)s + 1
    ) l
) > %(lines)s
UNION ALL
SELECT 0, '', asked.name FROM unnest(%(names)s::text[]) AS asked (name) WHERE (
    SELECT count(*) FROM (
        SELECT 1 FROM payments_statementline
        WHERE payer_name = asked.name AND allocated_fen > 0 LIMIT %(lines)s + 1
    ) l
) > %(lines)s
"""


def crowded(facts: Sequence[Fact]) -> tuple[frozenset[int], frozenset[str]]:
    """Of what there is so much that nobody can say whether what was found is all.

    Amounts in fen of payments, and marks (`payer_marks`) of payers; one statement.
    """
    accounts, names = _payers_asked(facts)
    asked = {
        "fens": sql.ints({fact.fen for fact in facts}),
        "payments": LOOKED_AT,
        "accounts": sql.texts(accounts),
        "names": sql.texts(names),
        "lines": LINES_OF_A_PAYER,
    }
    amounts, marks = set[int](), set[str]()
    for fen, account, name in _rows(_CROWDED, asked):
        if fen:
            amounts.add(fen)
        marks |= payer_marks(account, name)
    return frozenset(amounts), frozenset(marks)


def _payers_asked(facts: Sequence[Fact]) -> tuple[set[str], set[str]]:
    """Whole accounts and names of payers, as they stand in lines; none that is everybody's."""
    accounts, names = set[str](), set[str]()
    for fact in facts:
        if is_pooled(fact.payer_name):
            continue
        if is_whole_account(fact.payer_account):
            accounts.add(fact.payer_account)
        names |= {fact.payer_name, normal_name(fact.payer_name)}
    return accounts, names - {""}


def _buyers(facts: Sequence[Fact]) -> dict[int, set[str]]:
    accounts, names = _payers_asked(facts)
    asked = {
        "accounts": sql.texts(accounts),
        "names": sql.texts(names),
        "lines": LINES_OF_A_PAYER,
    }
    known: dict[int, set[str]] = {}
    for payer_id, account, name in _rows(_BUYERS, asked):
        known.setdefault(payer_id, set()).update(payer_marks(account, name))
    return known


def hold(payment_ids: Iterable[int]) -> dict[int, int]:
    """Lock payments until commit: what each of those that wait still asks for, in fen.

    One that somebody else holds just now is left out rather than waited for: the lines of this
    batch and its named payments are locked already, and two batches must not wait in a circle.
    """
    return dict(_rows(_HOLD, [sql.ints(payment_ids)]))


def terms(merchants: Iterable[str]) -> dict[str, Terms]:
    """Policies of these merchants, and the default under ""; one statement."""
    asked = Q(merchant="") | Q(merchant__in=set(merchants))
    return {
        row.merchant: Terms(
            off=frozenset(row.rungs_off),
            auto=frozenset(row.rungs_on),
            up_to_fen=row.automatic_up_to_fen,
            fee_up_to_fen=row.fee_up_to_fen,
            reopens_within_days=row.reopens_within_days,
            version=row.version,
        )
        for row in Policy.objects.filter(asked)
    }


def _rows(query: str, parameters: Mapping[str, Any] | Sequence[Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, parameters)
        return cursor.fetchall()
