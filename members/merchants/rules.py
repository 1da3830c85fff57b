"""Decides who may do what at a merchant, and on which terms a merchant trades."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.db import models

from config.kit import numbers


class Status(models.TextChoices):
    ACTIVE = "ACTIVE", "营业"
    SUSPENDED = "SUSPENDED", "停业"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.ACTIVE: frozenset({Status.SUSPENDED}),
    Status.SUSPENDED: frozenset({Status.ACTIVE}),
}


class JoinPolicy(models.TextChoices):
    OPEN = "OPEN", "凭会员号直接加入"
    APPROVAL = "APPROVAL", "需商家审核"


class StaffRole(models.TextChoices):
    """The owner counts as the other two (accounts.rules.HELD_BY)."""

    OWNER = "OWNER", "店主"
    OPERATOR = "OPERATOR", "运营"
    FINANCE = "FINANCE", "财务"


@dataclass(frozen=True)
class Terms:
    """How a merchant trades.  Rates are per cent, the rest says its unit."""

    join_policy: str = JoinPolicy.OPEN
    commission_rate: Decimal = Decimal(5)
    bond_days: int = 30
    auto_receive_days: int = 10  # of parcels; the platform's days are the least
    after_sale_days: int = 7
    pay_within_minutes: int = 30
    transfer_working_days: int = 3


@dataclass(frozen=True)
class Target:
    """What a share code opens: a page of the mini program (no leading slash) and whose it is.

    `merchant` is the merchant's public number.
    """

    title: str
    path: str
    merchant: str


def fresh_member_no() -> str:
    """Eight signs that a person can read over the phone; the last one checks the others."""
    return numbers.fresh("", 7)


def tidy_member_no(typed: str) -> str:
    """As people type it: small letters, spaces, hyphens."""
    return re.sub(r"[\s-]", "", typed).upper()


def is_member_no(number: str) -> bool:
    return numbers.is_sound(number, prefix_length=0)
