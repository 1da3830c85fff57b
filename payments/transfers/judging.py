"""What the ladder is asked: the payments that lines may be for, locked, and their merchants' terms."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection

from config.kit import sql
from payments.receiving.models import ReceivingAccount
from payments.transfers import evidence
from payments.transfers.ladder.facts import Book, Decision, Fact, Intent, Terms
from payments.transfers.ladder.versions import CURRENT, LADDERS, needs_more
from payments.transfers.models import Policy

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
       CASE WHEN i.released_at IS NULL THEN coalesce(v.number, '') ELSE '' END, i.is_shared, i.code,
       p.amount_fen - p.received_fen, p.status = 'WAITING', p.payer_id, p.merchant
FROM hit JOIN payments_transferintent i ON i.id = hit.id
JOIN payments_payment p ON p.id = i.payment_id
LEFT JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
ORDER BY p.id FOR UPDATE OF p
"""


@dataclass(frozen=True)
class Court:
    """The versions of the ladder that an account's lines are judged by; `shadow` may be empty."""

    version: str
    shadow: str


def court_of(account: ReceivingAccount) -> Court:
    """By the policy of the account's merchant, else by everybody's."""
    rows = Policy.objects.filter(merchant__in={account.merchant, ""}).order_by("-merchant")
    policy = rows.first()
    version = policy.version if policy and policy.version in LADDERS else CURRENT
    shadow = policy.shadow if policy and policy.shadow in LADDERS else ""
    return Court(version, shadow if shadow != version else "")


def book_of(facts: Sequence[Fact]) -> Book:
    """Every payment that a line may be for, in a constant number of statements."""
    virtual = {fact.virtual_account for fact in facts} - {""}
    named = {code for fact in facts for code in fact.codes.found}
    book = Book.of(_intents(virtual, named) if virtual or named else [])
    doubtful = [fact for fact in facts if needs_more(fact, book)]
    if doubtful:
        intents, book.payers = evidence.more(doubtful, book)
        book.add(intents)
    book.terms = terms_of({intent.merchant for intent in book.intents.values()})
    return book


def decide(facts: Sequence[Fact], book: Book, version: str) -> list[Decision]:
    return LADDERS[version](facts, book)


def _intents(virtual: Iterable[str], codes: Iterable[str]) -> list[Intent]:
    with connection.cursor() as cursor:
        cursor.execute(_INTENTS, [sql.texts(virtual), sql.texts(codes)])
        return list(map(Intent._make, cursor.fetchall()))


def terms_of(merchants: set[str]) -> dict[str, Terms]:
    if not merchants:
        return {}
    return {
        row.merchant: Terms(
            off=frozenset(row.rungs_off),
            auto=frozenset(row.rungs_on),
            up_to_fen=row.automatic_up_to_fen,
            fee_up_to_fen=row.fee_up_to_fen,
            version=row.version,
        )
        for row in Policy.objects.filter(merchant__in=merchants | {""})
    }
