"""What money does to a payment: how much of an arrival is kept, how much is owed back."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import models


class Status(models.TextChoices):
    WAITING = "WAITING", "待支付"
    CONFIRMED = "CONFIRMED", "已到账"
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS = {
    Status.WAITING: frozenset({Status.CONFIRMED, Status.CLOSED}),
    # Undoing a wrong match takes the money away again, as does a bank's reversal; where nothing
    # is to be paid any more, it is closed.
    Status.CONFIRMED: frozenset({Status.WAITING, Status.CLOSED}),
    # Late money made it whole, and what it pays for could be opened again.
    Status.CLOSED: frozenset({Status.CONFIRMED}),
}


class RefundStatus(models.TextChoices):
    OWED = "OWED", "待处理"
    APPROVED = "APPROVED", "待退回"
    SENDING = "SENDING", "退回中"
    DONE = "DONE", "已退回"
    FAILED = "FAILED", "退回失败"
    VOID = "VOID", "已作废"  # the money is a payment's after all, or the bank took it back


REFUND_TRANSITIONS = {
    RefundStatus.OWED: frozenset({RefundStatus.APPROVED, RefundStatus.VOID}),
    RefundStatus.APPROVED: frozenset({RefundStatus.SENDING, RefundStatus.VOID}),
    # Void: the channel has sent nothing, and the bank took back what was to be sent.
    RefundStatus.SENDING: frozenset({RefundStatus.DONE, RefundStatus.FAILED, RefundStatus.VOID}),
    RefundStatus.FAILED: frozenset({RefundStatus.APPROVED, RefundStatus.VOID}),
    RefundStatus.DONE: frozenset({RefundStatus.SENDING}),  # sent back (退汇): it has not left
    RefundStatus.VOID: frozenset[RefundStatus](),
}


class PartStatus(models.TextChoices):
    SENDING = "SENDING", "退回中"
    DONE = "DONE", "已退回"
    REFUSED = "REFUSED", "渠道拒绝"  # until its refund is over; then VOID
    VOID = "VOID", "未退出"


class Reason(models.TextChoices):
    EXCESS = "EXCESS", "多付"
    LATE = "LATE", "逾期到账"
    TWICE = "TWICE", "重复支付"
    UNFINISHED = "UNFINISHED", "未付足"
    CANCELLED = "CANCELLED", "取消订单"
    UNUSED = "UNUSED", "退卡"  # what is left on a gift card


# The way to pay whose money never leaves the house: it goes back by itself, whoever decides.
WALLET = "WALLET"
# Money that came and was not kept: its payer says where it goes.
OWED_REASONS = (Reason.EXCESS, Reason.LATE, Reason.TWICE, Reason.UNFINISHED)


def may_move(status: str, asked_by: str, hand_txn: str) -> bool:
    """Whether what is owed still is its payer's to send elsewhere: nobody decided, or in vain.

    What a clerk says he has paid back in net banking (`hand_txn`) may have left already.
    """
    is_undecided = status == RefundStatus.OWED and not asked_by
    return not hand_txn and (is_undecided or status == RefundStatus.FAILED)


@dataclass(frozen=True)
class Due:
    """What a payable answers when it is asked what is to be paid.

    `categories`: of what is paid, each with those above it, nearest first; () for what has none.
    """

    amount_fen: int
    merchant: str
    pay_before: datetime
    categories: Sequence[Sequence[str]] = ()


class Arrival(NamedTuple):
    """Money that is here for a payment.

    `channel_txn` is the channel's own number of it, unique per method; `source` the ledger
    account that is debited: where the money waited until now.  `method` where it is not the
    payment's own: a part that its payer's wallet pays.
    """

    payment_id: int
    channel_txn: str
    fen: int
    source: str
    method: str = ""


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
    covered_fen: int
    wallet_fen: int
    status: str

    @property
    def guaranteed_fen(self) -> int:
        """What is held for it, until the thing is finished."""
        return self.received_fen - self.refunded_fen

    @property
    def of_wallet_fen(self) -> int:
        """What of that its payer's wallet has paid."""
        return self.guaranteed_fen if self.method == WALLET else self.wallet_fen


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
    """Fen that were kept for a payment and are its payer's again.

    `way`: only what came by this method; all of it without.
    """

    payment: Locked
    fen: int
    way: str = ""


def ways_back(rows: Iterable[Locked]) -> tuple[list[Owed], list[Owed]]:
    """All that is kept for these: what came from outside, and what came from wallets."""
    outside, wallets = [], []
    for row in rows:
        own = min(row.of_wallet_fen, row.guaranteed_fen)
        if rest := row.guaranteed_fen - own:
            outside.append(Owed(row, rest, row.method if own else ""))
        if own:
            wallets.append(Owed(row, own, WALLET))
    return outside, wallets


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
        key = (arrival.method or row.method, row.merchant, arrival.source)
        place = found.get(key)
        if place is None:
            place = found[key] = len(bundles)
            bundles.append(Bundle(f"{key[0]}:{arrival.channel_txn}", *key))
        bundles[place].kept_fen += kept
        bundles[place].owed_fen += owed
        places.append(place)
    return bundles, places


class Claim(NamedTuple):
    """Money owed back of a payment: of one receipt, or (None) of what had been kept."""

    pk: int
    number: str
    payment_id: int
    receipt_id: int | None
    fen: int
    reason: str
    status: str
    way: str


def makes_whole(row: Locked, arrived_fen: int, owed: Iterable[Claim]) -> list[Claim] | None:
    """Which claims to take back so that a closed payment has all its money; None: it has not.

    `owed`: what is owed back of it and not yet approved.  What had been kept must all be there;
    earlier late money counts only where it is needed, and then all of it.
    """
    kept: list[Claim] = []
    late: list[Claim] = []
    for claim in owed:
        (kept if claim.receipt_id is None else late).append(claim)
    missing = row.amount_fen - row.received_fen - arrived_fen
    if row.guaranteed_fen or sum(claim.fen for claim in kept) != row.received_fen:
        return None
    if missing == 0:
        return kept
    return [*kept, *late] if missing == sum(claim.fen for claim in late) else None


def divide(fen: int, sources: Iterable[tuple[int, int]]) -> list[tuple[int, int]] | None:
    """A refund among the arrivals that it gives back (id, fen that are there), in their order.

    None: so much is not there.
    """
    found = []
    for pk, there in sources:
        if take := min(fen, there):
            found.append((pk, take))
            fen -= take
    return None if fen else found


VOIDABLE = frozenset({RefundStatus.OWED, RefundStatus.APPROVED, RefundStatus.FAILED})


@dataclass(slots=True)
class Unwound:
    """Where the money of a reversed receipt is found, in fen: all of it is taken from somewhere.

    In guarantee, among what is owed back (`voided` claims, of which `rest_fen` stays owed), or it
    is gone: to the merchant, or back to a buyer who now has it twice.
    """

    held_fen: int = 0
    owed_fen: int = 0
    gone_fen: int = 0
    gone_of_owed_fen: int = 0
    voided: list[Claim] = field(default_factory=list)
    rest: list[tuple[Claim, int]] = field(default_factory=list)

    @property
    def is_short(self) -> bool:
        return self.gone_fen + self.gone_of_owed_fen > 0


def unwind(
    kept_fen: int,
    owed_fen: int,
    receipt_id: int,
    guaranteed_fen: int,
    claims: Iterable[Claim],
    *,
    sent_fen: int = 0,
) -> Unwound:
    """Take a receipt back: first from guarantee, then from what is owed back and has not left.

    `sent_fen`: how much of what was kept of this very receipt has left, or may have: that is gone,
    and what came with other receipts does not pay for it.
    """
    sent = min(sent_fen, kept_fen)
    found = Unwound(held_fen=min(kept_fen - sent, guaranteed_fen))
    left, left_of_owed = kept_fen - sent - found.held_fen, owed_fen
    for claim in claims:
        if claim.status not in VOIDABLE:
            continue
        if claim.receipt_id == receipt_id:
            found.voided.append(claim)
            left_of_owed -= claim.fen
        elif claim.receipt_id is None and left:
            found.voided.append(claim)
            taken = min(left, claim.fen)
            left -= taken
            if claim.fen > taken:
                found.rest.append((claim, claim.fen - taken))
    found.gone_fen, found.gone_of_owed_fen = sent + left, left_of_owed
    found.owed_fen = kept_fen - found.held_fen - found.gone_fen
    return found
