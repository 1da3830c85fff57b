"""A batch while it is decided: what its lines leave of each payment, and what is shown of it."""

from collections.abc import Iterable, Sequence
from functools import cached_property

from config.kit.money import yuan
from payments.transfers.ladder.facts import Book, Candidate, Decision, Fact, Intent, Terms, named_by
from payments.transfers.ladder.ranking import weigh
from payments.transfers.remarks import near_codes
from payments.transfers.rules import Verdict

MOST_SHOWN = 10  # candidates of one decision


class Batch:
    """`left` falls as lines pay; the book stays as it is."""

    def __init__(self, book: Book, *, takes_fees: bool) -> None:
        self.book = book
        self.left = {
            pk: intent.left_fen if intent.is_open else 0 for pk, intent in book.intents.items()
        }
        self._in_part: set[int] = set()  # paid in part by this batch
        self.has_terms = bool(book.terms)
        self.takes_fees = takes_fees and any(one.fee_up_to_fen for one in book.terms.values())

    def terms_of(self, intent: Intent) -> Terms:
        return self.book.terms_of(intent.merchant)

    def take(self, decision: Decision) -> None:
        """What this decision pays, the next line finds paid."""
        short = decision.facts["short_fen"] if decision.rule == "T8" else 0
        for payment_id, fen in decision.pays:
            left = self.left[payment_id] - fen - short
            self.left[payment_id] = max(0, left)
            if left > 0:
                self._in_part.add(payment_id)

    # --- what only the weaker rungs ask ---------------------------------------------------------

    @cached_property
    def _buyers(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for payer_id, marks in self.book.payers.items():
            for mark in marks:
                found.setdefault(mark, []).append(payer_id)
        return found

    @cached_property
    def _open(self) -> dict[int, list[Intent]]:
        found: dict[int, list[Intent]] = {}
        for intent in self.book.intents.values():
            if intent.is_open:
                found.setdefault(intent.payer_id, []).append(intent)
        return found

    @cached_property
    def _asking(self) -> dict[tuple[int, int], list[Intent]]:
        found: dict[tuple[int, int], list[Intent]] = {}
        for intent in self.book.intents.values():
            if intent.is_open:
                found.setdefault((intent.account_id, intent.left_fen), []).append(intent)
        return found

    def buyers(self, mark: str) -> list[int]:
        """Buyers for whom this payer has paid before."""
        return self._buyers.get(mark, [])

    def open_of(self, buyers: Iterable[int]) -> list[Intent]:
        """Their payments that were open when the batch began, on whatever account."""
        return [intent for buyer in buyers for intent in self._open.get(buyer, ())]

    def asking(self, account_id: int, fen: int) -> list[Intent]:
        """Payments on an account that asked for just so much when the batch began, or do now.

        The beginning counts too: a book has only a few of many equal ones, and those few may have
        been paid since.
        """
        asked = self._asking.get((account_id, fen), [])
        if not self._in_part:
            return asked
        in_part = map(self.book.intents.__getitem__, self._in_part)
        return asked + [
            intent
            for intent in in_part
            if self.left[intent.payment_id] == fen and intent.account_id == account_id
        ]

    # --- what a person is shown -----------------------------------------------------------------

    def candidates(
        self, fact: Fact, intents: Sequence[Intent], why_not: str = ""
    ) -> tuple[Candidate, ...]:
        near = near_codes(fact.texts)
        shown = [
            weigh(
                fact,
                intent,
                left_fen=self.left[intent.payment_id],
                is_known=self.book.knows(fact, intent),
                near=near,
                why_not=why_not,
            )
            for intent in intents[:MOST_SHOWN]
        ]
        return tuple(sorted(shown, key=lambda one: (-one.score, one.payment)))

    def seen(self, fact: Fact, intents: Sequence[Intent], **more: object) -> dict[str, object]:
        """What a suggestion stands on: what the line names, and what one payment asked for."""
        said = named_by(fact) | more
        if len(intents) == 1 and intents[0].account_id == fact.account_id:
            said["left_fen"] = self.left[intents[0].payment_id]
        return said

    def suggests(
        self,
        fact: Fact,
        intents: Sequence[Intent],
        rule: str,
        reason: str,
        facts: dict[str, object] | None = None,
    ) -> Decision:
        return Decision(
            Verdict.SUGGESTED,
            rule,
            (reason,),
            facts=facts or self.seen(fact, intents),
            candidates=self.candidates(fact, intents),
        )

    def instead(self, fact: Fact, decision: Decision, why: str) -> Decision:
        """What would have paid, shown to a person; `why` it did not comes first."""
        meant = [self.book.intents[payment_id] for payment_id, _ in decision.pays]
        return Decision(
            Verdict.SUGGESTED,
            decision.rule,
            (why, *decision.reasons),
            facts=decision.facts,
            candidates=self.candidates(fact, meant, why) + decision.candidates,
        )

    def restrained(self, fact: Fact, decision: Decision) -> Decision:
        """What would pay, but must be looked at first, becomes a suggestion."""
        if fact.is_reversed:
            meant = [self.book.intents[payment_id] for payment_id, _ in decision.pays]
            return Decision(
                Verdict.CONFLICT,
                "R",
                ("银行已冲正这笔来账", *decision.reasons),
                facts=decision.facts,
                candidates=self.candidates(fact, meant, "银行已冲正") + decision.candidates,
            )
        if decision.pays and (why := fact.caution or self._forbidden(fact, decision)):
            return self.instead(fact, decision, why)
        return decision

    def _forbidden(self, fact: Fact, decision: Decision) -> str:
        """By the policy of any merchant whose payment it is."""
        for payment_id, _ in decision.pays:
            terms = self.terms_of(self.book.intents[payment_id])
            if decision.rule in terms.off:
                return f"商家已停用规则 {decision.rule}"
            if terms.up_to_fen is not None and fact.fen > terms.up_to_fen:
                return f"超过商家的自动核销上限 {yuan(terms.up_to_fen)} 元"
        return ""
