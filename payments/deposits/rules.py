"""Decides how much a merchant leaves as a deposit (保证金), by category, and its moves."""

from collections.abc import Iterable, Mapping

from django.db import models

# By code of a category, for all below it, in fen; a row of the table goes before it (S001.2).
REQUIRED: Mapping[str, int] = {"virtual": 10_000_00}


class Kind(models.TextChoices):
    TOP_UP = "TOP_UP", "缴纳"
    PENALTY = "PENALTY", "违规扣除"
    REFUND = "REFUND", "退还"
    REVERSED = "REVERSED", "付款被撤回"


class Status(models.TextChoices):
    """What is ASKED is frozen until another person has decided."""

    ASKED = "ASKED", "待复核"
    DONE = "DONE", "已完成"
    DECLINED = "DECLINED", "未通过"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.ASKED: frozenset({Status.DONE, Status.DECLINED}),
    Status.DONE: frozenset(),
    Status.DECLINED: frozenset(),
}


def required(categories: Iterable[str], told: Mapping[str, int]) -> int:
    """Fen for a thing in these categories, itself and those above it: the most of what they ask."""
    by_code = {**REQUIRED, **told}
    return max((by_code.get(code, 0) for code in categories), default=0)


# --- paid through the cashier ---------------------------------------------------------------------

PURPOSE = "DEPOSIT"
POT = "DEPOSITS"  # whose the money is until it is a deposit: neither the merchant's nor a buyer's
# A person's wallet must not leave the house as a merchant's payout, past its own limits.
NOT_BY = "WALLET"


class PaymentStatus(models.TextChoices):
    OPEN = "OPEN", "待支付"
    PAID = "PAID", "已缴纳"
    CLOSED = "CLOSED", "已关闭"


def debt(*, amount_fen: int, left_fen: int) -> int:
    """What a merchant owes when the bank takes back a deposit of which so much is free."""
    return max(amount_fen - left_fen, 0)
