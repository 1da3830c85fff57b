"""Decides which merchants may promise the guarantee, and what the promise is worth on a shelf."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import NamedTuple

from django.db import models


class Status(models.TextChoices):
    APPLIED = "APPLIED", "已申请"
    ACTIVE = "ACTIVE", "保障中"
    SUSPENDED = "SUSPENDED", "已暂停"
    LEFT = "LEFT", "已退出"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.APPLIED: frozenset({Status.ACTIVE, Status.LEFT}),
    Status.ACTIVE: frozenset({Status.SUSPENDED, Status.LEFT}),
    Status.SUSPENDED: frozenset({Status.ACTIVE, Status.LEFT}),
    Status.LEFT: frozenset({Status.APPLIED}),
}

# S002.23: in a search, goods of a guaranteed shop rank as if they were so much newer.
BOOST = timedelta(days=7)


class Criterion(NamedTuple):
    """A counter of settings.GUARANTEE_COUNTERS, and the bounds between which it has to be."""

    code: str
    name: str
    least: int | None = None
    most: int | None = None


# What holds unless a row of the table says otherwise of the same code.
DEFAULTS = (
    Criterion("TRADING", "正常营业", least=1),
    Criterion("OPEN_CASES", "没有冻结或纠纷中的订单", most=0),
)


def unmet(criteria: Iterable[Criterion], counted: Mapping[str, int]) -> list[str]:
    """Names of the criteria that these figures do not meet; what was not counted is not met."""
    return [one.name for one in criteria if not _is_met(one, counted.get(one.code))]


def _is_met(one: Criterion, figure: int | None) -> bool:
    if figure is None:
        return False
    return (one.least is None or figure >= one.least) and (one.most is None or figure <= one.most)
