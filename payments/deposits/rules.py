"""Decides how much a merchant leaves as a deposit (保证金), by category, and its moves."""

from collections.abc import Iterable, Mapping

from django.db import models

# By code of a category, for all below it, in fen; a row of the table goes before it (S001.2).
REQUIRED: Mapping[str, int] = {"virtual": 10_000_00}


class Kind(models.TextChoices):
    TOP_UP = "TOP_UP", "缴纳"
    PENALTY = "PENALTY", "违规扣除"
    REFUND = "REFUND", "退还"


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
