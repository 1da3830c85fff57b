"""What a person has with us: which accounts hold it, what each movement is called, and limits."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import models

METHOD = "WALLET"
PURPOSE = "TOPUP"
PLATFORM = "PLATFORM"  # whose a top-up is until it is in the wallet: no merchant's

# What the owner reads beside each movement of his wallet, by kind of posting.
WORDS: Mapping[str, str] = {
    "RECEIPT": "支付",
    "REFUND_PAID": "退款",
    "OWED_TO_WALLET": "应退款转入",
    "TOPUP": "充值",
    "TOPUP_UNDONE": "充值撤回",
}


class TopUpStatus(models.TextChoices):
    OPEN = "OPEN", "待支付"
    PAID = "PAID", "已充值"
    CLOSED = "CLOSED", "已关闭"


TOP_UP_TRANSITIONS = {
    TopUpStatus.OPEN: frozenset({TopUpStatus.PAID, TopUpStatus.CLOSED}),
    # A wrong match was undone, or the bank took its money back: it waits for it again.
    TopUpStatus.PAID: frozenset({TopUpStatus.OPEN}),
    # All its money came, but late.
    TopUpStatus.CLOSED: frozenset({TopUpStatus.PAID}),
}


@dataclass(frozen=True)
class TopUpLimits:
    """In fen.  A named prepaid card holds at most 5,000 yuan (单用途商业预付卡管理办法 18)."""

    least_fen: int
    most_fen: int
    balance_fen: int


def wallet_of(number: str) -> str:
    """The account of what this user may spend."""
    return f"wallet:{number}"


def withdrawing_of(number: str) -> str:
    """The account of what this user's withdrawals in flight have frozen."""
    return f"withdrawing:{number}"


def named(kind: str, reference: str) -> str:
    """The number that the owner knows of a posting: a receipt's begins with its method."""
    return reference.partition(":")[2] if kind == "RECEIPT" else reference
