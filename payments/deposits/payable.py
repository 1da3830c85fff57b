"""What the cashier asks about deposits (settings.PAYABLES["DEPOSIT"])."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from payments.cashier.rules import Due
from payments.deposits import paying


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    return paying.due(reference=reference, payer_id=payer_id, method=method, at=at)


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    return paying.receive(numbers=references, at=at)


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    paying.unpay(numbers=references, at=at)


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    return paying.reopen(closed_since=references, at=at)


def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
    """All of it is taken out of the deposit, or is the merchant's debt: nothing has gone."""
    paying.take_back(numbers=references, at=at)
    return {}


def refunded(*, references: Sequence[str], at: datetime) -> None:
    """Nothing: what is given back never was a deposit."""
