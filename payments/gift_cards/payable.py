"""What the cashier asks about gift cards (settings.PAYABLES["GIFT_CARD"])."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from payments.cashier.rules import Due
from payments.gift_cards import buying


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    return buying.due(reference=reference, payer_id=payer_id, method=method, at=at)


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    return buying.receive(numbers=references, at=at)


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    buying.unpay(numbers=references, at=at)


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    return buying.reopen(closed_since=references, at=at)


def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
    return buying.take_back(numbers=references, at=at)


def refunded(*, references: Sequence[str], at: datetime) -> None:
    """Nothing: what is given back left the card when it was asked for."""
