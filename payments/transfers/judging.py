"""What the ladder is asked: the payments that lines may be for, and their merchants' terms."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from django.db import connection

from config.kit import sql
from payments.receiving.models import ReceivingAccount
from payments.transfers import evidence
from payments.transfers.ladder.facts import Book, Decision, Fact, Intent
from payments.transfers.ladder.ranking import weigh
from payments.transfers.ladder.versions import CURRENT, LADDERS, decide, needs_more
from payments.transfers.models import Policy
from payments.transfers.rules import Verdict

# Payments are locked before anything is decided: what is outstanding now is so at commit.  Last:
# whether its money was given back; what is only owed may yet be kept (cashier/late.py).
_INTENTS = """
WITH hit AS (
    SELECT i.payment_id, i.receiving_account_id, v.number, i.is_shared,
           CASE WHEN i.code_released_at IS NULL THEN i.code ELSE '' END AS code, i.is_code_again
    FROM payments_virtualaccount v
    JOIN payments_transferintent i ON i.virtual_account_id = v.id AND i.released_at IS NULL
    WHERE v.number = ANY(%s::text[])
    UNION
    SELECT i.payment_id, i.receiving_account_id,
           CASE WHEN i.released_at IS NULL THEN coalesce(v.number, '') ELSE '' END,
           i.is_shared, i.code, i.is_code_again
    FROM payments_transferintent i
    LEFT JOIN payments_virtualaccount v ON v.id = i.virtual_account_id
    WHERE i.code = ANY(%s::text[]) AND i.code <> '' AND i.code_released_at IS NULL
)
SELECT p.id, p.number, p.reference, hit.receiving_account_id, hit.number, hit.is_shared, hit.code,
       p.amount_fen - p.received_fen, p.status = 'WAITING', p.payer_id, p.merchant,
       hit.is_code_again,
       p.refunded_fen > 0 AND (p.status = 'CONFIRMED' OR EXISTS (
           SELECT 1 FROM payments_refund f
           WHERE f.payment_id = p.id AND f.status NOT IN ('OWED', 'VOID'))),
       extract(epoch FROM p.opened_at)::bigint
FROM hit JOIN payments_payment p ON p.id = hit.payment_id
ORDER BY p.id FOR NO KEY UPDATE OF p
"""
SHADOW = """
INSERT INTO payments_shadowverdict (line_id, version, verdict, rule, payments, at)
SELECT l.id, %s, d.verdict, d.rule, (
    SELECT coalesce(jsonb_agg(p.number ORDER BY p.id), '[]') FROM payments_payment p
    WHERE p.id IN (SELECT e.id::bigint FROM jsonb_array_elements(d.payments::jsonb) AS e (id))
), %s
FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS d (number, verdict, rule, payments)
JOIN payments_statementline l USING (number)
"""
CHANGED = "付款单的状态刚有变化，请人工确认"


class Judgement(NamedTuple):
    """One decision a line, and what a version on trial would have decided (empty without one).

    `reopens`: days by merchant, of merchants whose closed payments are paid late.
    """

    version: str
    decisions: Sequence[Decision]
    reopens: Mapping[str, int]
    shadow: str = ""
    shadows: Sequence[Decision] = ()


def judge(account: ReceivingAccount, facts: Sequence[Fact]) -> Judgement:
    """Decide lines of one account, in their order; every payment that is paid is locked.

    A constant number of statements.  By the versions that the policy of the account's merchant
    names, else everybody's.
    """
    version, shadow = _versions(account)
    if not facts:
        return Judgement(version, (), {})
    virtual = {fact.virtual_account for fact in facts} - {""}
    codes = {code for fact in facts for code in fact.codes.found}
    book = Book.of(_intents(virtual, codes) if virtual or codes else ())
    held = frozenset(book.intents)
    if doubtful := [fact for fact in facts if needs_more(fact, book)]:
        intents, book.payers = evidence.more(doubtful)
        book.crowded, book.busy = evidence.crowded(doubtful)
        book.add(intents)
    book.terms = evidence.terms({intent.merchant for intent in book.intents.values()})
    decisions = still_so(facts, decide(facts, book, version), book, held)
    shadows = decide(facts, book, shadow) if shadow else ()
    return Judgement(version, decisions, _reopens(decisions, book), shadow, shadows)


def _reopens(decisions: Sequence[Decision], book: Book) -> dict[str, int]:
    paid = (book.intents[pk] for one in decisions if one.pays for pk, _ in one.pays)
    late = {intent.merchant for intent in paid if not intent.is_open}
    return {merchant: book.terms_of(merchant).reopens_within_days for merchant in late}


def _versions(account: ReceivingAccount) -> tuple[str, str]:
    rows = Policy.objects.filter(merchant__in={account.merchant, ""}).order_by("-merchant")
    policy = rows.first()
    version = policy.version if policy and policy.version in LADDERS else CURRENT
    shadow = policy.shadow if policy and policy.shadow in LADDERS else ""
    return version, shadow if shadow != version else ""


def _intents(virtual: Iterable[str], codes: Iterable[str]) -> list[Intent]:
    with connection.cursor() as cursor:
        cursor.execute(_INTENTS, [sql.texts(virtual), sql.texts(codes)])
        return list(map(Intent._make, cursor.fetchall()))


def still_so(
    facts: Sequence[Fact], decisions: list[Decision], book: Book, held: frozenset[int]
) -> list[Decision]:
    """A payment that was found without its lock and has changed since is not paid by itself."""
    guessed = {pk for one in decisions if one.pays for pk, _ in one.pays if pk not in held}
    if not guessed:
        return decisions
    left = evidence.hold(guessed)
    changed = {pk for pk in guessed if left.get(pk) != book.intents[pk].left_fen}
    return [
        one if changed.isdisjoint(pk for pk, _ in one.pays) else _changed(fact, one, book)
        for fact, one in zip(facts, decisions, strict=True)
    ]


def _changed(fact: Fact, decision: Decision, book: Book) -> Decision:
    """What would have been paid is kept before those that were rejected."""
    meant = [book.intents[pk] for pk, _ in decision.pays]
    candidates = tuple(
        weigh(
            fact,
            intent,
            left_fen=intent.left_fen,
            is_known=book.knows(fact, intent),
            why_not=CHANGED,
        )
        for intent in meant
    )
    return Decision(
        Verdict.SUGGESTED,
        decision.rule,
        (CHANGED, *decision.reasons),
        (),
        decision.facts,
        candidates + decision.candidates,
    )
