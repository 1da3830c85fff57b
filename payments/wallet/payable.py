"""What the cashier asks about top-ups (settings.PAYABLES["TOPUP"])."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from payments.cashier.rules import Due
from payments.wallet import top_ups


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    return top_ups.due(reference=reference, payer_id=payer_id, method=method, at=at)


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    return top_ups.receive(numbers=references, at=at)


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    top_ups.unpay(numbers=references, at=at)


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    return top_ups.reopen(closed_since=references, at=at)


def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
    return top_ups.take_back(numbers=references, at=at)


def refunded(*, references: Sequence[str], at: datetime) -> None:
    """Nothing: what is given back of a top-up never was in the wallet."""
