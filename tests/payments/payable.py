"""Something to be paid for, without a shop: it keeps what the cashier tells it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from config.kit.errors import Refusal
from payments.cashier.rules import Due


class Shipped(Refusal):
    message = "已发货"


@dataclass
class Told:
    amounts: dict[str, int] = field(default_factory=dict)
    paid: list[str] = field(default_factory=list)
    unpaid: list[str] = field(default_factory=list)
    refunded: list[str] = field(default_factory=list)
    reversed: dict[str, bool] = field(default_factory=dict)
    reopens: bool = False  # whether what closed can be opened again
    released: dict[str, int] = field(default_factory=dict)  # fen the merchant has already
    poisonous: set[str] = field(default_factory=set)  # paying these crashes


told = Told()
MERCHANT = "M0000000000000"


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    return Due(told.amounts[reference], MERCHANT, at + timedelta(days=3))


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    if told.poisonous & set(references):
        raise RuntimeError("poison")
    twice = set(references) & set(told.paid)
    told.paid.extend(sorted(set(references) - twice))
    return twice


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    told.unpaid.extend(reference for reference, was_paid in references.items() if was_paid)
    told.paid = [reference for reference in told.paid if reference not in references]


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    opened = set(references) if told.reopens else set()
    told.paid.extend(sorted(opened))
    return opened


def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
    told.reversed |= references
    told.paid = [reference for reference in told.paid if not references.get(reference)]
    return {name: fen for name, fen in told.released.items() if name in references}


def refunded(*, references: Sequence[str], at: datetime) -> None:
    told.refunded.extend(references)
