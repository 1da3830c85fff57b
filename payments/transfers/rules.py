"""Which payment a bank line pays: by rungs of evidence, and never by itself on one fact alone.

A line pays automatically only where one fact names the payment (a virtual account, a checked
code) and another agrees (the account's owner, the amount, the payer).  A second candidate means
that a person decides.  The rungs T0–T2b, R and W are those of docs/reconciliation.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from django.db import models

from config.kit.money import yuan
from payments.transfers.remarks import Codes, codes_in, near_codes, normal_name

VERSION = "2026.11"  # of the rungs; every line keeps the one that judged it


class StatementStatus(models.TextChoices):
    RUNNING = "RUNNING", "导入中"
    DONE = "DONE", "已导入"
    REFUSED = "REFUSED", "已拒绝"


STATEMENT_TRANSITIONS = {
    StatementStatus.RUNNING: frozenset({StatementStatus.DONE, StatementStatus.REFUSED}),
    StatementStatus.DONE: frozenset[StatementStatus](),
    StatementStatus.REFUSED: frozenset[StatementStatus](),
}


class Verdict(models.TextChoices):
    NEW = "NEW", "待处理"
    MATCHED = "MATCHED", "已核销"
    SUGGESTED = "SUGGESTED", "待确认"
    UNMATCHED = "UNMATCHED", "挂账"
    CONFLICT = "CONFLICT", "有冲突"
    IGNORED = "IGNORED", "不处理"
    RETURNING = "RETURNING", "退回中"
    RETURNED = "RETURNED", "已退回"


class ReturnStatus(models.TextChoices):
    ASKED = "ASKED", "待复核"
    SENDING = "SENDING", "退回中"
    DONE = "DONE", "已退回"
    FAILED = "FAILED", "退回失败"
    DECLINED = "DECLINED", "复核未通过"


RETURN_TRANSITIONS = {
    ReturnStatus.ASKED: frozenset({ReturnStatus.SENDING, ReturnStatus.DECLINED}),
    ReturnStatus.SENDING: frozenset({ReturnStatus.DONE, ReturnStatus.FAILED}),
    ReturnStatus.DONE: frozenset[ReturnStatus](),
    ReturnStatus.FAILED: frozenset[ReturnStatus](),
    ReturnStatus.DECLINED: frozenset[ReturnStatus](),
}
UNDER_WAY = (ReturnStatus.ASKED, ReturnStatus.SENDING)

# The verdicts that wait for a person.
OPEN = (Verdict.SUGGESTED, Verdict.UNMATCHED, Verdict.CONFLICT)
_BY_A_PERSON = frozenset(
    {Verdict.MATCHED, Verdict.RETURNING, Verdict.IGNORED, Verdict.UNMATCHED}  # UNMATCHED: in part
)
LINE_TRANSITIONS = {
    Verdict.NEW: frozenset({Verdict.MATCHED, *OPEN}),
    Verdict.SUGGESTED: _BY_A_PERSON | {Verdict.CONFLICT},
    Verdict.UNMATCHED: _BY_A_PERSON | {Verdict.CONFLICT},
    Verdict.CONFLICT: _BY_A_PERSON,
    Verdict.MATCHED: frozenset({Verdict.UNMATCHED}),
    Verdict.IGNORED: frozenset({Verdict.UNMATCHED}),
    Verdict.RETURNING: frozenset(
        {Verdict.RETURNING, Verdict.RETURNED, Verdict.MATCHED, Verdict.UNMATCHED}
    ),
    Verdict.RETURNED: frozenset[Verdict](),
}


def standing(*, amount_fen: int, allocated_fen: int, returned_fen: int, under_way: bool) -> Verdict:
    """Where a posted line stands by its amounts, once a person has touched it.

    While a return is under way it is RETURNING, whatever else is left; what is left then waits.
    A line that is used up is MATCHED where any payment keeps part of it, else RETURNED.
    """
    if under_way:
        return Verdict.RETURNING
    if allocated_fen + returned_fen < amount_fen:
        return Verdict.UNMATCHED
    return Verdict.MATCHED if allocated_fen else Verdict.RETURNED


# --- the ladder ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One line that came in, as the ladder sees it; amounts in fen."""

    line_id: int
    account_id: int
    fen: int
    virtual_account: str
    texts: tuple[str, ...]
    payer_name: str
    payer_account: str
    caution: str = ""
    is_reversed: bool = False  # a reversal that names this line is here already


@dataclass(frozen=True, slots=True)
class Intent:
    """One payment that expects a transfer."""

    payment_id: int
    payment: str
    order: str
    account_id: int
    virtual_account: str
    code: str
    left_fen: int
    is_open: bool
    payer_id: int


@dataclass(frozen=True, slots=True)
class Candidate:
    payment: str
    order: str
    score: int  # 0–100, for sorting only
    why: str


@dataclass(frozen=True, slots=True)
class Decision:
    verdict: Verdict
    rule: str
    reasons: tuple[str, ...]
    payment_id: int | None = None  # the one that is paid, with the whole line
    candidates: tuple[Candidate, ...] = ()


@dataclass
class Book:
    """What one batch is decided by; `left` falls as lines of the batch pay."""

    by_virtual_account: dict[str, Intent] = field(default_factory=dict)
    by_code: dict[str, list[Intent]] = field(default_factory=dict)
    known_payers: dict[int, set[str]] = field(default_factory=dict)
    left: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, intents: Iterable[Intent]) -> "Book":
        book = cls()
        for intent in intents:
            book.by_virtual_account[intent.virtual_account] = intent
            book.by_code.setdefault(intent.code, []).append(intent)
            book.left[intent.payment_id] = intent.left_fen if intent.is_open else 0
        book.by_virtual_account.pop("", None)
        book.by_code.pop("", None)
        return book

    def coded(self, fact: Fact, codes: Codes) -> list[Intent]:
        """The payments that the codes name; of another account only where this one has none."""
        named: list[Intent] = []
        for code in sorted(codes.found):
            intents = self.by_code.get(code, [])
            here = [intent for intent in intents if intent.account_id == fact.account_id]
            named += here or intents
        return named

    def knows(self, fact: Fact, intent: Intent) -> bool:
        """Whether this payer has paid for this buyer before."""
        return not payer_marks(fact.payer_account, fact.payer_name).isdisjoint(
            self.known_payers.get(intent.payer_id, ())
        )


def payer_marks(account: str, name: str) -> set[str]:
    """By what a payer is known again; masked accounts say nothing."""
    marks = set()
    if account and "*" not in account:
        marks.add(f"账号{account}")
    if plain := normal_name(name):
        marks.add(f"户名{plain}")
    return marks


def decide(facts: Sequence[Fact], book: Book, codes: Sequence[Codes]) -> list[Decision]:
    """One decision per line, in the given order; what a line pays, the next finds paid."""
    decisions = []
    for fact, found in zip(facts, codes, strict=True):
        decision = _cautious(fact, _judge(fact, book, found))
        if decision.payment_id is not None:
            left = book.left[decision.payment_id]
            book.left[decision.payment_id] = max(0, left - fact.fen)
        decisions.append(decision)
    return decisions


def _judge(fact: Fact, book: Book, codes: Codes) -> Decision:
    intent = book.by_virtual_account.get(fact.virtual_account)
    if intent is not None:
        return _by_virtual_account(fact, intent, book, book.coded(fact, codes))
    return _by_code(fact, codes, book, book.coded(fact, codes))


def _cautious(fact: Fact, decision: Decision) -> Decision:
    """What would pay, but must be looked at first, becomes a suggestion."""
    if fact.is_reversed:
        return Decision(
            Verdict.CONFLICT,
            "R",
            ("银行已冲正这笔来账", *decision.reasons),
            candidates=decision.candidates,
        )
    if fact.caution and decision.verdict == Verdict.MATCHED:
        return Decision(
            Verdict.SUGGESTED,
            decision.rule,
            (fact.caution, *decision.reasons),
            candidates=decision.candidates,
        )
    return decision


def _by_virtual_account(
    fact: Fact, intent: Intent, book: Book, coded: Sequence[Intent]
) -> Decision:
    others = [one for one in coded if one.order != intent.order]
    if others:
        return _conflict(
            [(intent, "专属账号"), *((one, "核对码") for one in others)],
            f"专属账号属于支付单 {intent.payment}，附言核对码属于支付单 {others[0].payment}",
        )
    if intent.account_id != fact.account_id:
        return _conflict([(intent, "专属账号")], "专属账号不属于本收款账户")
    return _by_amount(fact, intent, book.left[intent.payment_id])


def _by_amount(fact: Fact, intent: Intent, left: int) -> Decision:
    if left == 0:
        return _pays(fact, intent, "T1d", "专属账号一致；支付单已付清或已关闭，全部转为应退款")
    if fact.fen < left:
        short = yuan(left - fact.fen)
        return _pays(fact, intent, "T1b", f"专属账号一致；部分付款，还差 {short} 元")
    if fact.fen > left:
        over = yuan(fact.fen - left)
        return _pays(fact, intent, "T1c", f"专属账号一致；多付 {over} 元，转为应退款")
    return _pays(fact, intent, "T1a", "专属账号一致，金额等于应付")


def _by_code(fact: Fact, codes: Codes, book: Book, coded: Sequence[Intent]) -> Decision:
    payments = {intent.payment_id: intent for intent in coded}
    if not payments:
        return Decision(Verdict.UNMATCHED, "", (_why_unmatched(fact, codes),))
    if len(payments) > 1:
        return _suggests(fact, list(payments.values()), "T3", "附言中有多个支付单的核对码")
    (intent,) = payments.values()
    if why := _elsewhere(fact, intent):
        return _conflict([(intent, "核对码")], why)
    if codes.is_joined and len(codes.found) > 1:
        return _suggests(fact, [intent], "T2a", "附言中拼接出多个可能的核对码")
    return _by_one_code(fact, intent, book)


def _elsewhere(fact: Fact, intent: Intent) -> str:
    """Why money with a sound code did not come to where it was expected."""
    if fact.virtual_account:
        return f"到账的专属账号 {fact.virtual_account} 未分配，附言核对码属于 {intent.payment}"
    if intent.account_id != fact.account_id:
        return "核对码对应的支付单在另一个收款账户"
    return ""


def _by_one_code(fact: Fact, intent: Intent, book: Book) -> Decision:
    left = book.left[intent.payment_id]
    if left == 0:
        return _suggests(fact, [intent], "T2a", "核对码一致，但支付单已付清或已关闭")
    if fact.fen == left:
        return _pays(fact, intent, "T2a", "核对码一致，金额等于应付")
    differs = f"应付 {yuan(left)} 元，到账 {yuan(fact.fen)} 元"
    if book.knows(fact, intent):
        return _pays(fact, intent, "T2b", f"核对码一致，付款人曾为该买家付款；{differs}")
    return _suggests(fact, [intent], "T2b", f"核对码一致，金额不符：{differs}")


def _why_unmatched(fact: Fact, codes: Codes) -> str:
    if fact.virtual_account:
        return f"专属账号 {fact.virtual_account} 未分配给任何支付单"
    if codes.found:
        return f"核对码 {'、'.join(sorted(codes.found))} 不属于任何支付单"
    return "附言中没有核对码"


def _pays(fact: Fact, intent: Intent, rule: str, reason: str) -> Decision:
    return Decision(Verdict.MATCHED, rule, (reason,), payment_id=intent.payment_id)


def _suggests(fact: Fact, intents: Sequence[Intent], rule: str, reason: str) -> Decision:
    candidates = tuple(
        Candidate(
            intent.payment,
            intent.order,
            90 if intent.left_fen == fact.fen else 70,
            "核对码一致" + ("，金额一致" if intent.left_fen == fact.fen else ""),
        )
        for intent in intents
    )
    return Decision(Verdict.SUGGESTED, rule, (reason,), candidates=candidates)


def _conflict(named: Sequence[tuple[Intent, str]], reason: str) -> Decision:
    candidates = tuple(
        Candidate(intent.payment, intent.order, 50, f"{by}一致") for intent, by in named
    )
    return Decision(Verdict.CONFLICT, "W", (reason,), candidates=candidates)


# --- for the clerk ------------------------------------------------------------------------------

_CODE, _NEAR_CODE, _VIRTUAL, _AMOUNT, _PAYER = 50, 25, 45, 30, 20  # points


def rank(fact: Fact, intents: Iterable[Intent], known: dict[int, set[str]]) -> list[Candidate]:
    """Payments a line may be for, the likeliest first, each with what speaks for it."""
    book = Book(known_payers=known)
    codes, near = codes_in(fact.texts).found, near_codes(fact.texts)
    ranked = []
    for intent in intents:
        signs = (
            (fact.virtual_account == intent.virtual_account != "", _VIRTUAL, "专属账号一致"),
            (intent.code in codes, _CODE, "核对码一致"),
            (intent.code in near, _NEAR_CODE, f"附言与核对码 {intent.code} 只差一处"),
            (fact.fen == intent.left_fen and intent.is_open, _AMOUNT, "金额等于应付"),
            (book.knows(fact, intent), _PAYER, "付款人曾为该买家付款"),
        )
        score = sum(points for holds, points, _ in signs if holds)
        why = [words for holds, _, words in signs if holds]
        if not intent.is_open:
            score, why = score // 2, [*why, "支付单已付清或已关闭"]
        if score:
            ranked.append(Candidate(intent.payment, intent.order, min(score, 99), "；".join(why)))
    return sorted(ranked, key=lambda one: (-one.score, one.payment))
