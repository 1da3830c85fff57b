"""Payments that a line may be for, the likeliest first: for the clerk, never for the cashier."""

from collections.abc import Iterable, Mapping

from config.kit.money import yuan
from payments.transfers.ladder.facts import Book, Candidate, Fact, Intent
from payments.transfers.remarks import near_codes

_CODE, _NEAR_CODE, _VIRTUAL, _AMOUNT, _PAYER = 50, 25, 45, 30, 20  # points


def rank(fact: Fact, intents: Iterable[Intent], payers: Mapping[int, set[str]]) -> list[Candidate]:
    """Those for which anything speaks, each with what speaks for it and what against."""
    book = Book()
    book.payers = payers
    near = near_codes(fact.texts)
    weighed = (
        weigh(
            fact,
            intent,
            left_fen=intent.left_fen if intent.is_open else 0,
            is_known=book.knows(fact, intent),
            near=near,
        )
        for intent in intents
    )
    return sorted((one for one in weighed if one.score), key=lambda one: (-one.score, one.payment))


def weigh(
    fact: Fact,
    intent: Intent,
    *,
    left_fen: int,
    is_known: bool,
    near: frozenset[str] = frozenset(),
    why_not: str = "",
) -> Candidate:
    """One candidate; `left_fen` is what the payment asks for now, 0 when it is full or closed."""
    signs = (
        (fact.virtual_account == intent.virtual_account != "", _VIRTUAL, "专属账号一致"),
        (intent.code in fact.codes.found, _CODE, "核对码一致"),
        (intent.code in near, _NEAR_CODE, f"附言与核对码 {intent.code} 只差一处"),
        (fact.fen == left_fen, _AMOUNT, "金额等于应付"),
        (is_known, _PAYER, "付款人曾为该买家付款"),
    )
    score = sum(points for holds, points, _ in signs if holds)
    why = "；".join(words for holds, _, words in signs if holds)
    if not left_fen:
        score //= 2
    return Candidate(
        intent.payment,
        intent.order,
        min(score, 99),
        why,
        why_not or _against(fact, intent, left_fen),
    )


def _against(fact: Fact, intent: Intent, left_fen: int) -> str:
    if not left_fen:
        return "支付单已付清或已关闭"
    if intent.account_id != fact.account_id:
        return "支付单在另一个收款账户"
    if fact.fen != left_fen:
        return f"应付 {yuan(left_fen)} 元，到账 {yuan(fact.fen)} 元"
    return ""
