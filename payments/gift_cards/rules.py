"""Decides what a gift card may be: its states and limits, and what its link is made of."""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from django.db import models

PURPOSE = "GIFT_CARD"
POT = "GIFT_CARDS"  # whose the money is until it is on a card: no merchant's
# What cards pay for: never another card, a deposit, or anything else that may become cash.
PAYS_FOR = frozenset({"ORDER"})
LINK_LIVES = timedelta(hours=72)


class Status(models.TextChoices):
    OPEN = "OPEN", "待支付"
    HELD = "HELD", "未使用"
    GIVING = "GIVING", "赠送中"
    ACTIVE = "ACTIVE", "已兑换"
    REFUNDED = "REFUNDED", "已退卡"
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.OPEN: frozenset({Status.HELD, Status.CLOSED}),
    # All its money came, but late.
    Status.CLOSED: frozenset({Status.HELD}),
    Status.HELD: frozenset({Status.GIVING, Status.ACTIVE, Status.REFUNDED}),
    # Claimed, taken back, or nobody came in time.
    Status.GIVING: frozenset({Status.HELD}),
    # Empty or not: what an order gives back is on it again.
    Status.ACTIVE: frozenset(),
    Status.REFUNDED: frozenset(),
}
UNPAID = (Status.OPEN, Status.CLOSED)


class GiftStatus(models.TextChoices):
    OPEN = "OPEN", "待领取"
    CLAIMED = "CLAIMED", "已领取"
    TAKEN_BACK = "TAKEN_BACK", "已撤回"
    EXPIRED = "EXPIRED", "已过期"


# One end, whoever comes first.
GIFT_TRANSITIONS: Mapping[str, frozenset[str]] = {
    GiftStatus.OPEN: frozenset({GiftStatus.CLAIMED, GiftStatus.TAKEN_BACK, GiftStatus.EXPIRED}),
    GiftStatus.CLAIMED: frozenset(),
    GiftStatus.TAKEN_BACK: frozenset(),
    GiftStatus.EXPIRED: frozenset(),
}

# What the holder reads beside each movement of a card, by kind of posting.
WORDS: Mapping[str, str] = {
    "GIFT_CARD_PAID": "购卡",
    "GIFT_CARD_TAKEN": "购卡款被撤回",
    "GIFT_CARD_REFUNDED": "退卡",
    "RECEIPT": "支付",
    "REFUND_PAID": "退款",
}


@dataclass(frozen=True)
class Limits:
    """In fen; a day is one of Asia/Shanghai.

    Nobody proves who he is to hold one, so that the limits are those of anonymous cards: at most
    1,000 yuan each, and who buys for 10,000 yuan at once would have to show papers
    (单用途商业预付卡管理办法 15, 18).  They never expire, which it asks of named ones only (19).
    """

    least_fen: int
    most_fen: int
    day_fen: int
    held_fen: int


def is_face(fen: int, limits: Limits) -> bool:
    """Whether there are cards of this value: whole yuan, within the limits."""
    return fen % 100 == 0 and limits.least_fen <= fen <= limits.most_fen


def account_of(number: str) -> str:
    """The account of what is on a card."""
    return f"gift_card:{number}"


def code_of(gift: str, key: str) -> str:
    """What the link of a gift holds: nobody finds it, and nobody keeps it.

    Of the gift's public number and the installation's key, so that the giver's repeated request
    is answered the same.
    """
    made = hmac.new(key.encode(), f"gift card {gift}".encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(made).decode().rstrip("=")


def hash_of(code: str) -> str:
    """What is kept of a code: who reads our tables can claim nothing."""
    return hashlib.sha256(code.encode()).hexdigest()


def named(kind: str, reference: str, card: str) -> str:
    """The number that the holder knows of a posting: of the payment, the refund, or the card."""
    if kind == "RECEIPT":
        return reference.partition(":")[2].removesuffix(f"-{card}")
    return card if kind.startswith("GIFT_CARD_") else reference


def spent(*, face_fen: int, refunded_fen: int, unpaid_fen: int, left_fen: int) -> int:
    """What orders have of a card that was paid for."""
    return face_fen - refunded_fen - unpaid_fen - left_fen
