"""Decides to which guide a customer belongs, and what a guide earns."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from django.db import models

from config.kit import numbers
from config.kit.money import percent


class GuideStatus(models.TextChoices):
    ACTIVE = "ACTIVE", "在岗"
    CLOSED = "CLOSED", "已离岗"


GUIDE_TRANSITIONS: Mapping[str, frozenset[str]] = {
    GuideStatus.ACTIVE: frozenset({GuideStatus.CLOSED}),
    GuideStatus.CLOSED: frozenset({GuideStatus.ACTIVE}),
}


class TargetKind(models.TextChoices):
    PRODUCT = "PRODUCT", "商品"
    MERCHANT = "MERCHANT", "商家"
    LIVE = "LIVE", "直播"
    COUPON = "COUPON", "优惠券"


class Status(models.TextChoices):
    """Of a commission."""

    PENDING = "PENDING", "待结算"
    EARNED = "EARNED", "已结算"
    VOID = "VOID", "已作废"
    REVERSED = "REVERSED", "已冲回"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.PENDING: frozenset({Status.EARNED, Status.VOID}),
    Status.EARNED: frozenset({Status.REVERSED}),
    Status.VOID: frozenset({Status.PENDING}),  # a match was undone, then the order paid again
    Status.REVERSED: frozenset(),
}


@dataclass(frozen=True)
class Bond:
    """A customer belongs to a guide since a moment."""

    guide_id: int
    since: datetime


def rebond(
    current: Bond | None, guide_id: int, *, is_own: bool, at: datetime, protection: timedelta
) -> Bond | None:
    """The first guide keeps the customer until the protection ends; nobody is their own guide.

    `current` is None also when its guide has left; `is_own`: the code is the customer's own.
    """
    if is_own:
        return current
    if current and at < current.since + protection:
        return current
    return Bond(guide_id, at)


def commission_of(base_fen: int, rate: Decimal) -> int:
    """What a line brings its guide, `rate` in per cent."""
    return percent(base_fen, rate)


class Due(NamedTuple):
    """What an order line will bring its guide; `base_fen` is what was paid for the line."""

    guide_id: int
    order_number: str
    line: int
    base_fen: int
    rate: Decimal  # per cent

    @property
    def amount_fen(self) -> int:
        return commission_of(self.base_fen, self.rate)


SCENE_PREFIX = "g="


def fresh_code() -> str:
    """Nine signs; the last one checks the others."""
    return numbers.fresh("", 8)


def scene(code: str) -> str:
    """For getwxacodeunlimit: at most 32 signs of a small set (reference/wechat.md 1.5)."""
    return SCENE_PREFIX + code


def code_in(told: str) -> str | None:
    """The code in what a client sends: bare, or the whole scene; None if it cannot be one."""
    code = told.strip().removeprefix(SCENE_PREFIX)
    return code if len(code) <= 10 and numbers.is_sound(code, prefix_length=0) else None
