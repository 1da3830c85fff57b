"""Two versions of the ladder beside each other, against where the money went in the end."""

from collections.abc import Iterable
from typing import NamedTuple

from payments.transfers.rules import Verdict


class Opinion(NamedTuple):
    """What one version says of a line; `payments`: numbers of what it would pay by itself."""

    verdict: str
    rule: str
    payments: frozenset[str] = frozenset()

    @property
    def is_automatic(self) -> bool:
        return self.verdict == Verdict.MATCHED


class Judged(NamedTuple):
    """`paid`: numbers of the payments that the line stands for now; None while nobody knows.

    A line that turned out to be for no payment (returned, ignored) has the empty set.
    """

    line: str
    live: Opinion
    shadow: Opinion
    paid: frozenset[str] | None


class Score(NamedTuple):
    """Counts of lines: of one rung, or of all."""

    automatic: int = 0
    right: int = 0
    wrong: int = 0  # the rest of the automatic ones ended nowhere yet
    payable: int = 0  # ended on payments, by whomever

    @property
    def precision(self) -> float | None:
        """Of what was paid by itself and is known, how much went right: must be 1."""
        known = self.right + self.wrong
        return self.right / known if known else None

    @property
    def recall(self) -> float | None:
        """Of what ended on payments, how much went there by itself."""
        return self.right / self.payable if self.payable else None


class Scores(NamedTuple):
    all: Score
    by_rule: dict[str, Score]


class Comparison(NamedTuple):
    live: Scores
    shadow: Scores
    differ: list[Judged]  # lines on which the two do not agree


def compare(verdicts: Iterable[Judged]) -> Comparison:
    """Precision and recall apart, by rung and in all, and every line that they see differently."""
    judged = list(verdicts)
    return Comparison(
        live=_scores((one.live, one.paid) for one in judged),
        shadow=_scores((one.shadow, one.paid) for one in judged),
        differ=[one for one in judged if _does(one.live) != _does(one.shadow)],
    )


def _does(opinion: Opinion) -> tuple[bool, frozenset[str]]:
    """Another rung or another wording is no difference; another payment is."""
    return opinion.is_automatic, opinion.payments


def _scores(opinions: Iterable[tuple[Opinion, frozenset[str] | None]]) -> Scores:
    total, by_rule = Score(), dict[str, Score]()
    for opinion, paid in opinions:
        one = _scored(opinion, paid)
        total = _sum(total, one)
        by_rule[opinion.rule] = _sum(by_rule.get(opinion.rule, Score()), one)
    return Scores(total, by_rule)


def _scored(opinion: Opinion, paid: frozenset[str] | None) -> Score:
    is_right = opinion.is_automatic and opinion.payments == paid
    is_wrong = opinion.is_automatic and paid is not None and not is_right
    return Score(int(opinion.is_automatic), int(is_right), int(is_wrong), int(bool(paid)))


def _sum(one: Score, other: Score) -> Score:
    return Score(*map(sum, zip(one, other, strict=True)))
