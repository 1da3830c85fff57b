"""What money does to a payment: how much of an arrival is kept, how much is owed back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

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


@dataclass(frozen=True)
class Arrival:
    """Money that is here for a payment.

    `channel_txn` is the channel's own number of it, unique per method; `source` the ledger
    account that is debited: where the money waited until now.
    """

    payment_id: int
    channel_txn: str
    fen: int
    source: str


@dataclass(frozen=True)
class Share:
    """How one arrival is divided; kept + owed is the whole."""

    arrival: Arrival
    kept_fen: int
    owed_fen: int
    reason: Reason = Reason.EXCESS


@dataclass
class Till:
    """One payment while a batch of arrivals is shared out."""

    amount_fen: int
    received_fen: int
    status: Status
    shares: list[Share] = field(default_factory=list)

    @property
    def is_full(self) -> bool:
        return self.received_fen >= self.amount_fen

    def take(self, arrival: Arrival) -> None:
        """Up to what is outstanding is kept; the rest, and all that is late, is the payer's."""
        room = self.amount_fen - self.received_fen if self.status == Status.WAITING else 0
        kept = min(max(room, 0), arrival.fen)
        reason = Reason.LATE if self.status == Status.CLOSED else Reason.EXCESS
        self.shares.append(Share(arrival, kept, arrival.fen - kept, reason))
        self.received_fen += kept


def share_out(tills: dict[int, Till], arrivals: Iterable[Arrival]) -> list[Share]:
    """Divide arrivals in their order among their payments' tills."""
    for arrival in arrivals:
        tills[arrival.payment_id].take(arrival)
    return [share for till in tills.values() for share in till.shares]
