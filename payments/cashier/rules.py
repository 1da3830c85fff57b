"""What money does to a payment: how much of an arrival is kept, how much is owed back."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import models


class Status(models.TextChoices):
    WAITING = "WAITING", "待支付"
    CONFIRMED = "CONFIRMED", "已到账"
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS = {
    Status.WAITING: frozenset({Status.CONFIRMED, Status.CLOSED}),
    # Undoing a wrong match takes the money away again.
    Status.CONFIRMED: frozenset({Status.WAITING}),
    Status.CLOSED: frozenset[Status](),
}


class RefundStatus(models.TextChoices):
    OWED = "OWED", "待处理"
    APPROVED = "APPROVED", "待退回"
    SENDING = "SENDING", "退回中"
    DONE = "DONE", "已退回"
    FAILED = "FAILED", "退回失败"


REFUND_TRANSITIONS = {
    RefundStatus.OWED: frozenset({RefundStatus.APPROVED}),
    RefundStatus.APPROVED: frozenset({RefundStatus.SENDING}),
    RefundStatus.SENDING: frozenset({RefundStatus.DONE, RefundStatus.FAILED}),
    RefundStatus.FAILED: frozenset({RefundStatus.APPROVED}),
    RefundStatus.DONE: frozenset[RefundStatus](),
}


class Reason(models.TextChoices):
    EXCESS = "EXCESS", "多付"
    LATE = "LATE", "逾期到账"
    TWICE = "TWICE", "重复支付"
    UNFINISHED = "UNFINISHED", "未付足"
    CANCELLED = "CANCELLED", "取消订单"


# Money that came and was not kept: its payer says where it goes.
OWED_REASONS = (Reason.EXCESS, Reason.LATE, Reason.TWICE, Reason.UNFINISHED)


@dataclass(frozen=True)
class Due:
    """What a payable answers when it is asked what is to be paid."""

    amount_fen: int
    merchant: str
    pay_before: datetime


class Arrival(NamedTuple):
    """Money that is here for a payment.

    `channel_txn` is the channel's own number of it, unique per method; `source` the ledger
    account that is debited: where the money waited until now.
    """

    payment_id: int
    channel_txn: str
    fen: int
    source: str


class Locked(NamedTuple):
    """A payment as its lock found it: what it is, and where its money stands, in fen."""

    pk: int
    number: str
    method: str
    merchant: str
    purpose: str
    reference: str
    amount_fen: int
    received_fen: int
    refunded_fen: int
    status: str


class Share(NamedTuple):
    """How one arrival is divided; kept + owed is the whole."""

    arrival: Arrival
    kept_fen: int
    owed_fen: int
    reason: Reason = Reason.EXCESS


@dataclass(slots=True)
class Till:
    """One payment while a batch of arrivals is shared out; only one that waits has room."""

    room_fen: int
    is_closed: bool = False
    kept_fen: int = 0

    @property
    def is_filled(self) -> bool:
        """By this very batch."""
        return self.kept_fen > 0 and self.room_fen == 0

    def take(self, arrival: Arrival) -> Share:
        """Up to what is outstanding is kept; the rest, and all that is late, is the payer's."""
        kept = min(self.room_fen, arrival.fen)
        self.room_fen -= kept
        self.kept_fen += kept
        reason = Reason.LATE if self.is_closed else Reason.EXCESS
        return Share(arrival, kept, arrival.fen - kept, reason)


def till_of(row: Locked) -> Till:
    if row.status != Status.WAITING:
        return Till(0, row.status == Status.CLOSED)
    return Till(row.amount_fen - row.received_fen)


def share_out(tills: Mapping[int, Till], arrivals: Iterable[Arrival]) -> list[Share]:
    """Divide arrivals in their order among their payments' tills."""
    return [tills[arrival.payment_id].take(arrival) for arrival in arrivals]


class Owed(NamedTuple):
    """Fen that were kept for a payment and are its payer's again."""

    payment: Locked
    fen: int


@dataclass(slots=True)
class Bundle:
    """Receipts of a batch that move money between the same accounts: one posting for all."""

    reference: str
    method: str
    merchant: str
    source: str
    kept_fen: int = 0
    owed_fen: int = 0


def bundle(
    shares: Iterable[Share], payments: Mapping[int, Locked]
) -> tuple[list[Bundle], list[int]]:
    """One bundle a method, merchant and source, named by its first arrival; and whose is whose."""
    found: dict[tuple[str, str, str], int] = {}
    bundles: list[Bundle] = []
    places = []
    for arrival, kept, owed, _ in shares:
        row = payments[arrival.payment_id]
        key = (row.method, row.merchant, arrival.source)
        place = found.get(key)
        if place is None:
            place = found[key] = len(bundles)
            bundles.append(Bundle(f"{row.method}:{arrival.channel_txn}", *key))
        bundles[place].kept_fen += kept
        bundles[place].owed_fen += owed
        places.append(place)
    return bundles, places
