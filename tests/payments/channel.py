"""A way of paying without a bank: it sends every refund, from one account."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payments.cashier.models import Payment, RefundPart

ACCOUNT = "bank:755900000110"


def opened(payment: Payment, *, at: datetime) -> None:
    pass


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    return {}


def send_back(part: RefundPart) -> str | None:
    return f"OUT-{part.number}"


def left_from(part: RefundPart, channel_txn: str) -> str:
    return ACCOUNT
