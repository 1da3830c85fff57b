"""What of the ledger a licensed carrier holds, and how much of it may be told at once."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models

# Kinds of the chart whose money is a person's, or the platform's out of it: each such account is a
# sub-account at the carrier, of the same code.  Not there: what is nobody's yet (`suspense`,
# `set_aside`), claims (`receivable`: what covers one is the platform's own money, paid in), and the
# mirrors of accounts elsewhere (`bank`, `clearing`, `wechat`, fees, `elsewhere`, `opening`).
KEPT = (
    "held",
    "refund_payable",
    "platform",
    "merchant",
    "paying_out",
    "deposit",
    "deposit_frozen",
    "penalties",
    "wallet",
    "gift_card",
    "withdrawing",
    "guide",
)
AT_ONCE = 1_000  # postings in a batch
LATE = timedelta(hours=1)  # what is not told by then is a finding
# Sub-accounts by what they hold; the rest of the chart is the other side of money in and out.
Legs = Mapping[str, int]


class BatchStatus(models.TextChoices):
    SENDING = "SENDING", "待确认"
    BOOKED = "BOOKED", "已入账"


@dataclass(frozen=True)
class Move:
    """One posting as the carrier is told it: fen by sub-account, + into it.

    Legs that add up to more than zero bring money in from outside, to less take it out; zero is a
    transfer between sub-accounts.
    """

    number: str
    kind: str
    legs: Legs


def move_number(batch: str, n: int) -> str:
    """Given once and for life; `n` counts from 1 within its batch."""
    return f"{batch}-{n}"


def covered(postings: Sequence[int], legs: Mapping[int, Legs], told: Mapping[str, int]) -> int:
    """How many of the postings, from the first on, leave no sub-account below zero.

    Postings are numbered before their accounts are locked, so one that spends may stand before what
    it spends.  Whoever sees the first sees the second too, but maybe not among the next thousand: a
    batch ends where all is covered.
    """
    balances = defaultdict(int, told)
    below: set[str] = set()
    most = 0
    for count, posting in enumerate(postings, 1):
        for code, fen in legs.get(posting, {}).items():
            balances[code] += fen
            (below.add if balances[code] < 0 else below.discard)(code)
        if not below:
            most = count
    return most


def added_up(moves: Iterable[Legs]) -> dict[str, int]:
    total: dict[str, int] = defaultdict(int)
    for legs in moves:
        for code, fen in legs.items():
            total[code] += fen
    return dict(total)


# --- until where all is told --------------------------------------------------------------------

# A statement that has drawn a posting's id has written it by then, or was given up (30 seconds).
DRAWN = timedelta(minutes=1)


class Step(models.TextChoices):
    """What the mark does next.  Ids are drawn in order, but committed in any.

    MARK the highest posting that is told; when every id below it was written down for certain, NOTE
    which transactions are running; when all of those have ended, GO_ON: nothing below can come.
    """

    MARK = "MARK"
    NOTE = "NOTE"
    GO_ON = "GO_ON"
    WAIT = "WAIT"


def step(
    *, marked_at: datetime | None, is_noted: bool, are_over: bool, is_told: bool, at: datetime
) -> Step:
    """`are_over`: what was running then has ended.  `is_told`: all that is seen below the mark."""
    if marked_at is None:
        return Step.MARK
    if not is_noted:
        return Step.NOTE if at - marked_at >= DRAWN else Step.WAIT
    return Step.GO_ON if are_over and is_told else Step.WAIT
