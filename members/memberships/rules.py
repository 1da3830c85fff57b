"""Decides who is a member of a merchant, and who may read what it posts."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import models

from members.merchants.rules import JoinPolicy

JOINS_PER_MINUTE = 20  # tries per person: member numbers must not be found by guessing


class Status(models.TextChoices):
    PENDING = "PENDING", "待审核"
    ACTIVE = "ACTIVE", "会员"
    BLOCKED = "BLOCKED", "已屏蔽"
    LEFT = "LEFT", "已退出"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.PENDING: frozenset({Status.ACTIVE, Status.BLOCKED, Status.LEFT}),
    Status.ACTIVE: frozenset({Status.BLOCKED, Status.LEFT}),
    Status.BLOCKED: frozenset({Status.ACTIVE}),
    Status.LEFT: frozenset({Status.PENDING, Status.ACTIVE, Status.BLOCKED}),
}


class Kind(models.TextChoices):
    """What happened to a membership."""

    JOINED = "JOINED", "加入"
    APPROVED = "APPROVED", "审核通过"
    BLOCKED = "BLOCKED", "屏蔽"
    UNBLOCKED = "UNBLOCKED", "解除屏蔽"
    LEFT = "LEFT", "退出"
    LEVEL = "LEVEL", "调整等级"


class Audience(models.TextChoices):
    PUBLIC = "PUBLIC", "所有人"
    MEMBERS = "MEMBERS", "仅会员"


@dataclass(frozen=True)
class Standing:
    """What an active member is to a merchant; prices and visibility ask for it."""

    level_id: int | None


# By merchant key: where a person is an active member now.
Standings = Mapping[int, Standing]


def on_joining(policy: str) -> str:
    return Status.ACTIVE if policy == JoinPolicy.OPEN else Status.PENDING


def may(action: str, status: str) -> bool:
    """Whether the member can do it now; the same table that the services move along."""
    target = {"leave": Status.LEFT}[action]
    return target in TRANSITIONS[status]
