"""Whether a receiving account's day is even, and what explains it where it is not."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django.db import models

from config.kit.money import yuan

SHANGHAI = ZoneInfo("Asia/Shanghai")
CONFIRMED_WITHIN = timedelta(days=2)  # a push is to be found in a statement by then
SHOWN = 50  # differences of one kind that are told line by line


class CloseStatus(models.TextChoices):
    EVEN = "EVEN", "相符"
    DIFFERS = "DIFFERS", "不符"


class Why(models.TextChoices):
    NOT_POSTED = "NOT_POSTED", "流水未记账"
    IN_TRANSIT = "IN_TRANSIT", "账上已付，流水未见"
    NOT_OURS_YET = "NOT_OURS_YET", "流水已付，账上未记"
    NOT_CONFIRMED = "NOT_CONFIRMED", "推送未经流水确认"
    GAP = "GAP", "缺少流水"
    SUSPENSE = "SUSPENSE", "待核销来账不符"
    UNEXPLAINED = "UNEXPLAINED", "无法解释"


@dataclass(frozen=True)
class Difference:
    """One reason why the bank has so many fen more (or, below zero, less) than the ledger.

    `is_settled`: the two have met since; a matter of which side wrote it first.
    """

    why: Why
    number: str  # of the line, return or refund that it is about
    text: str
    fen: int
    is_settled: bool = False

    def stored(self) -> dict[str, Any]:
        return {**asdict(self), "why": str(self.why)}


@dataclass(frozen=True)
class Ends:
    """What one statement says of an account: fen before its first day and after its last."""

    number: str
    first: date
    until: date  # the day after the last
    opening_fen: int
    closing_fen: int
    taken_at: datetime


@dataclass(frozen=True)
class Gap:
    """Days between two statements of which there is none; `fen` moved at the bank meanwhile."""

    first: date
    until: date
    fen: int


def gaps(statements: Iterable[Ends]) -> list[Gap]:
    """Where a closing balance is not the next one's opening, or days are missing between them.

    Statements that overlap are no gap: their lines are stored once.
    """
    found: list[Gap] = []
    last: Ends | None = None
    for one in sorted(statements, key=lambda each: (each.first, each.until, each.number)):
        moved = one.opening_fen - last.closing_fen if last else 0
        if last and one.first >= last.until and moved:
            found.append(Gap(last.until, one.first, moved))
        if last is None or one.until >= last.until:
            last = one
    return found


def begins(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=SHANGHAI)


def verdict(
    *, bank_fen: int, ledger_fen: int, is_suspense_even: bool, differences: Sequence[Difference]
) -> CloseStatus:
    """Even when nothing differs, or only by what the two sides have both written since."""
    settled = sum(one.fen for one in differences if one.is_settled)
    is_even = bank_fen - ledger_fen == settled and is_suspense_even
    return CloseStatus.EVEN if is_even else CloseStatus.DIFFERS


def rest(differ_fen: int, differences: Sequence[Difference]) -> list[Difference]:
    """What none of the reasons explains; [] when they explain all of it."""
    left = differ_fen - sum(one.fen for one in differences)
    if not left:
        return []
    return [Difference(Why.UNEXPLAINED, "", f"还有 {yuan(left)} 元无法解释", left)]


def shortened(differences: Sequence[Difference]) -> list[Difference]:
    """At most SHOWN of each kind, and one that stands for the others; the sum stays."""
    told: list[Difference] = []
    for why in Why:
        of_kind = [one for one in differences if one.why == why]
        told += of_kind[:SHOWN]
        for is_settled in (False, True):
            more = [one for one in of_kind[SHOWN:] if one.is_settled is is_settled]
            if more:
                fen = sum(one.fen for one in more)
                text = f"另有 {len(more)} 笔{why.label}，合计 {yuan(fen)} 元"
                told.append(Difference(why, "", text, fen, is_settled))
    return told
