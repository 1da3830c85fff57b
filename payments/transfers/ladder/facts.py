"""What the ladder is told and what it answers.

The tuples are made for every line of a file, so none of them is a frozen dataclass.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from payments.transfers.remarks import Codes, is_pooled, is_whole_account, normal_name
from payments.transfers.rules import Verdict


class Fact(NamedTuple):
    """One line that came in; `line` is the caller's key for it, `codes` are those of `texts`."""

    line: int
    account_id: int
    fen: int
    virtual_account: str
    codes: Codes
    texts: tuple[str, ...]
    payer_name: str
    payer_account: str
    caution: str = ""
    is_reversed: bool = False  # a reversal that names this line is here already
    booked: int = 0  # seconds since 1970; midnight of Shanghai where the bank says only the day


class Intent(NamedTuple):
    """One payment that expects a transfer.

    `virtual_account` is empty once it was given to another payment; `is_shared`: it is the
    buyer's own, and may name several payments at once.  `is_code_again`: the code was an earlier
    payment's (two years ago), whose payer may still write it.  `is_refunded`: its money went back,
    or is on its way back, by somebody's decision.
    """

    payment_id: int
    payment: str
    order: str
    account_id: int
    virtual_account: str
    is_shared: bool
    code: str
    left_fen: int
    is_open: bool
    payer_id: int
    merchant: str
    is_code_again: bool = False
    is_refunded: bool = False
    opened: int = 0  # seconds since 1970


@dataclass(frozen=True, slots=True)
class Candidate:
    """A payment that a line may be for: what speaks for it, and why it was not paid by itself."""

    payment: str
    order: str
    score: int  # 0–100, for sorting only
    why: str
    why_not: str = ""


def named_by(fact: Fact) -> dict[str, Any]:
    """What a line says of its payment, for the facts of a decision that leaves it to a person."""
    said: dict[str, Any] = {}
    if fact.virtual_account:
        said["virtual_account"] = fact.virtual_account
    if fact.codes.found:
        said["codes"] = sorted(fact.codes.found)
    return said


class Decision(NamedTuple):
    """`pays`: (payment id, fen), together the whole line; empty unless the verdict is MATCHED.

    `facts` is what the decision stands on, ready for JSON: `virtual_account`, `code` or `codes`,
    `near_code`, `payer_account`, `payer_name`, `left_fen` (what the payment still asked for),
    `short_fen` (T8: what the bank kept), `split` (fen by payment number), `equal` (how many open
    payments ask for just so much).
    """

    verdict: Verdict
    rule: str
    reasons: tuple[str, ...]
    pays: tuple[tuple[int, int], ...] = ()
    facts: Mapping[str, Any] = {}
    candidates: tuple[Candidate, ...] = ()


@dataclass(frozen=True, slots=True)
class Terms:
    """A merchant's policy: rungs that never pay by themselves, rungs that may, and limits in fen.

    `version` is the caller's affair: it says with which ladder to call `decide`.
    """

    off: frozenset[str] = frozenset()
    auto: frozenset[str] = frozenset()
    up_to_fen: int | None = None
    fee_up_to_fen: int = 0
    reopens_within_days: int = 7
    version: str = ""


NO_TERMS = Terms()


class Book:
    """What a batch is decided by.  Deciding changes nothing in it: two versions may use one."""

    __slots__ = (
        "busy", "by_code", "by_virtual_account", "crowded", "intents", "payers", "shared", "terms"
    )  # fmt: skip

    def __init__(self) -> None:
        self.intents: dict[int, Intent] = {}  # by payment id
        self.by_virtual_account: dict[str, Intent] = {}
        self.shared: dict[str, list[Intent]] = {}  # by the virtual account of one buyer
        self.by_code: dict[str, list[Intent]] = {}
        self.payers: Mapping[int, set[str]] = {}  # payer_id: marks, see `payer_marks`
        self.crowded: frozenset[int] = frozenset()  # amounts in fen that name nobody
        self.busy: frozenset[str] = frozenset()  # marks of payers that may have further buyers
        self.terms: Mapping[str, Terms] = {}  # by merchant number; "" is everybody else's

    @classmethod
    def of(cls, intents: Iterable[Intent]) -> "Book":
        book = cls()
        book.add(intents)
        return book

    def add(self, intents: Iterable[Intent]) -> None:
        """Further candidates; a payment that is known already stays as it is."""
        for intent in intents:
            if intent.payment_id in self.intents:
                continue
            self.intents[intent.payment_id] = intent
            if intent.code:
                self.by_code.setdefault(intent.code, []).append(intent)
            if not intent.virtual_account:
                continue
            if intent.is_shared:
                self.shared.setdefault(intent.virtual_account, []).append(intent)
            else:
                self.by_virtual_account[intent.virtual_account] = intent

    def coded(self, fact: Fact) -> list[Intent]:
        """The payments that the codes name; of another account only where this one has none."""
        found = fact.codes.found
        if not found:
            return []
        if len(found) == 1:
            (code,) = found
            intents = self.by_code.get(code, [])
            return intents if len(intents) < 2 else _here(intents, fact)
        named: list[Intent] = []
        for code in sorted(found):
            named += _here(self.by_code.get(code, []), fact)
        return named

    def knows(self, fact: Fact, intent: Intent) -> bool:
        """Whether this payer has paid for this buyer before."""
        known = self.payers.get(intent.payer_id, set())
        return not known.isdisjoint(payer_marks(fact.payer_account, fact.payer_name))

    def terms_of(self, merchant: str) -> Terms:
        return self.terms.get(merchant) or self.terms.get("", NO_TERMS)


def _here(intents: list[Intent], fact: Fact) -> list[Intent]:
    return [one for one in intents if one.account_id == fact.account_id] or intents


def payer_marks(account: str, name: str) -> set[str]:
    """By what a payer is known again.

    Parts of accounts say nothing, and neither does the account of a payment company, from which
    everybody's money comes.
    """
    if is_pooled(name):
        return set()
    marks = set()
    if is_whole_account(account):
        marks.add(f"账号{account}")
    if plain := normal_name(name):
        marks.add(f"户名{plain}")
    return marks
