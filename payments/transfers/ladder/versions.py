"""The ladders in force and on trial; a line keeps the version that judged it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from payments.transfers.ladder import guessed, named
from payments.transfers.ladder.batch import Batch
from payments.transfers.ladder.facts import Book, Decision, Fact
from payments.transfers.rules import Verdict

Rung = Callable[[Fact, Batch], Decision | None]


class Ladder(NamedTuple):
    """Rungs from the strongest evidence down; the first that answers decides.

    `named` go first for all lines of a batch, in the bank's order: what a line names is not taken
    from it by one that only guesses.  `takes_fees`: T8, among the named.
    """

    named: tuple[Rung, ...]
    guessed: tuple[Rung, ...]
    takes_fees: bool


LADDERS: Mapping[str, Ladder] = {
    "2026.11": Ladder(
        (named.own_account, named.one_code, named.several_codes_by_hand), (), takes_fees=False
    ),
    "2026.12": Ladder(
        (named.own_account, named.buyers_account, named.one_code, named.several_codes),
        (
            guessed.known_account,
            guessed.near_code,
            guessed.same_name,
            guessed.same_amount,
        ),
        takes_fees=True,
    ),
}
CURRENT = "2026.12"
_UNDECIDED = Decision(Verdict.UNMATCHED, "", ())


def decide(facts: Sequence[Fact], book: Book, version: str = CURRENT) -> list[Decision]:
    """One decision per line, in the given order; what a line pays, the next finds paid.

    Where two lines want one payment: of those that name it the earlier one pays, before all that
    do not; of those that do not, none.  Decision 0020 says why the specification is not followed.
    """
    ladder = LADDERS[version]
    batch = Batch(book, takes_fees=ladder.takes_fees)
    decisions: list[Decision] = []
    left_over: list[int] = []
    for fact in facts:
        decision = _first(fact, batch, ladder.named)
        if decision is None:
            left_over.append(len(decisions))
            decision = _UNDECIDED
        elif fact.is_reversed or fact.caution or batch.has_terms:
            decision = batch.restrained(fact, decision)
        if decision.pays:
            batch.take(decision)
        decisions.append(decision)
    if left_over:
        # What a line names without paying it is not for one that only guesses.
        asked = {one.payment for decision in decisions for one in decision.candidates}
        weak = [facts[i] for i in left_over]
        for i, decision in zip(left_over, _guess(weak, batch, ladder, asked), strict=True):
            decisions[i] = decision
    return decisions


def _guess(facts: Sequence[Fact], batch: Batch, ladder: Ladder, asked: set[str]) -> list[Decision]:
    """Lines that name nothing are decided beside each other, so that their order means nothing."""
    decisions = [batch.restrained(fact, _guessed(fact, batch, ladder)) for fact in facts]
    wanted = Counter(pk for decision in decisions for pk, _ in decision.pays)
    intents = batch.book.intents
    return [
        batch.instead(fact, decision, "同一批另有来账也可能付这张支付单")
        if any(wanted[pk] > 1 or intents[pk].payment in asked for pk, _ in decision.pays)
        else decision
        for fact, decision in zip(facts, decisions, strict=True)
    ]


def _guessed(fact: Fact, batch: Batch, ladder: Ladder) -> Decision:
    return _first(fact, batch, ladder.guessed) or guessed.nobody(fact, batch)


def _first(fact: Fact, batch: Batch, rungs: Sequence[Rung]) -> Decision | None:
    for rung in rungs:
        if decision := rung(fact, batch):
            return decision
    return None


def needs_more(fact: Fact, book: Book) -> bool:
    """Whether virtual account and code alone cannot decide this line.

    The caller then adds to the book what else it may be for: payments of the same payer, of near
    codes and of the same amount, and the marks of their payers.
    """
    if fact.virtual_account in book.by_virtual_account or fact.virtual_account in book.shared:
        return False
    named_by_code = book.coded(fact)
    if len(named_by_code) != 1:
        return not named_by_code
    (intent,) = named_by_code
    return intent.is_open and (intent.is_code_again or intent.left_fen != fact.fen)
