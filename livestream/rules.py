"""What a live session and its lots may become, what a ticket is, and who gets a piece.

Pure: no tables, no clock.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import models
from django.utils.crypto import salted_hmac

from config.kit.numbers import ALPHABET

SOURCE = "LIVE"  # of the offers, and what orders of a session are placed through
PAY_WITHIN_MINUTES = 10  # an unpaid claim gives its piece back after that
STOCK_EVERY = timedelta(milliseconds=250)  # at most four `lot.stock` a second and lot
TICKER_LENGTH = 50  # `order.placed` events of one batch; the last one says how many more there were
ORIGIN = "LIVE:"  # + ticket: the origin of a claim's order


class SessionStatus(models.TextChoices):
    SCHEDULED = "SCHEDULED", "未开播"
    LIVE = "LIVE", "直播中"
    ENDED = "ENDED", "已结束"


SESSION_MOVES: Mapping[str, frozenset[str]] = {
    SessionStatus.SCHEDULED: frozenset({SessionStatus.LIVE, SessionStatus.ENDED}),
    SessionStatus.LIVE: frozenset({SessionStatus.ENDED}),
    SessionStatus.ENDED: frozenset(),
}


class LotStatus(models.TextChoices):
    READY = "READY", "待上架"
    DROPPED = "DROPPED", "抢购中"
    CLOSED = "CLOSED", "已结束"


LOT_MOVES: Mapping[str, frozenset[str]] = {
    LotStatus.READY: frozenset({LotStatus.DROPPED, LotStatus.CLOSED}),
    LotStatus.DROPPED: frozenset({LotStatus.CLOSED}),
    LotStatus.CLOSED: frozenset(),
}


class ClaimStatus(models.TextChoices):
    """A QUEUED claim is in the gate only; its row is written together with its outcome."""

    QUEUED = "QUEUED", "排队中"
    ORDERED = "ORDERED", "已下单"
    REFUSED = "REFUSED", "未抢到"


class EventType(models.TextChoices):
    SESSION_STARTED = "session.started", "开播"
    SESSION_ENDED = "session.ended", "下播"
    LOT_DROPPED = "lot.dropped", "上架"
    LOT_STOCK = "lot.stock", "余量"
    LOT_SOLD_OUT = "lot.sold_out", "抢光"
    LOT_CLOSED = "lot.closed", "下架"
    ORDER_PLACED = "order.placed", "下单"


@dataclass(frozen=True, slots=True)
class Entry:
    """One admitted claim in the gate's stream.

    `asked` is what the request said; the same Idempotency-Key must always ask the same.
    """

    id: str
    ticket: str
    buyer_id: int
    quantity: int
    address: str
    request_id: str
    position: int
    epoch: int

    @property
    def asked(self) -> str:
        return asked(self.quantity, self.address)


@dataclass(frozen=True, slots=True)
class Allotment:
    """All that the gate needs to know about a lot, as PostgreSQL has it.

    `left`: pieces nobody has.  `held`: pieces by buyer that count towards the limit.  `tickets`:
    what each ticket that has a row asked for.  `members_of`: the merchant whose members alone may
    know this lot; None when it is public.
    """

    lot: str
    status: str
    is_paused: bool
    ends_at: datetime
    per_buyer_limit: int
    left: int
    epoch: int
    last_position: int = 0
    members_of: int | None = None
    held: Mapping[int, int] = field(default_factory=dict)
    tickets: Mapping[str, str] = field(default_factory=dict)


def asked(quantity: int, address: str) -> str:
    return f"{quantity}:{address}"


# --- tickets ------------------------------------------------------------------------------------


def ticket(lot: str, buyer_id: int, request_id: str) -> str:
    """`T…-<lot>`: the same request of the same buyer always has the same ticket.

    So no lost gate can give one click two tickets; and its second half is a signature, so that
    whose it is can be told where nothing is stored any more.
    """
    body = _signs(f"{lot}\0{buyer_id}\0{request_id}", "livestream.ticket", 12)
    return f"T{body}{_seal(lot, buyer_id, body)}-{lot}"


def is_ticket_of(number: str, buyer_id: int) -> bool:
    """Whether this installation would have given this ticket to this person."""
    head, dash, lot = number.partition("-")
    if not (dash and head.startswith("T") and len(head) == 21):
        return False
    return hmac.compare_digest(head[13:].encode(), _seal(lot, buyer_id, head[1:13]).encode())


def lot_of(number: str) -> str:
    """The number of the lot that a ticket is for."""
    return number.partition("-")[2]


def _seal(lot: str, buyer_id: int, body: str) -> str:
    return _signs(f"{lot}\0{buyer_id}\0{body}", "livestream.ticket.owner", 8)


def _signs(value: str, salt: str, length: int) -> str:
    rest = int.from_bytes(salted_hmac(salt, value, algorithm="sha256").digest())
    signs = ""
    for _ in range(length):
        rest, place = divmod(rest, len(ALPHABET))
        signs += ALPHABET[place]
    return signs


# --- the room -----------------------------------------------------------------------------------


def masked(nickname: str) -> str:
    """A name in front of strangers: 王小美 is 王**."""
    return f"{nickname[:1] or '*'}**"


def is_time_to_tell(
    left: int, told_left: int | None, told_at: datetime | None, at: datetime
) -> bool:
    """Whether a batch tells the room the pieces left: changes only, and not too often.

    Nothing left is told at once; whatever is held back here, the next sweep tells.
    """
    if left == told_left:
        return False
    return left == 0 or told_at is None or at - told_at >= STOCK_EVERY
