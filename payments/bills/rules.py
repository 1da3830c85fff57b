"""Which days' bills are due, what a movement in a channel's account is, and how a day is booked."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from typing import NamedTuple, Self
from zoneinfo import ZoneInfo

from django.db import models

from payments.ledger.rules import Draft

SHANGHAI = ZoneInfo("Asia/Shanghai")
READY = timedelta(hours=10)  # after midnight: the bill of the day before is made
MOST_DAYS = 7  # new ones at once, and of those that were tried in vain
KEPT_DAYS = timedelta(days=89)  # channels hand out no older bills


class Name(models.TextChoices):
    """A channel's or an account's of it; and the carrier, who holds what is paid."""

    WECHAT = "WECHAT", "微信支付"
    ALIPAY = "ALIPAY", "支付宝"
    WECHAT_OPERATION = "WECHAT_OPERATION", "微信支付运营账户"
    WECHAT_FEES = "WECHAT_FEES", "微信支付手续费账户"
    CARRIER = "CARRIER", "资金存管"


class DayStatus(models.TextChoices):
    WAITING = "WAITING", "待取账单"
    EVEN = "EVEN", "相符"
    DIFFERS = "DIFFERS", "不符"
    SETTLED = "SETTLED", "已处理"  # it differed, and every difference is closed


class Kind(models.TextChoices):
    MISSING_HERE = "MISSING_HERE", "本店没有"
    MISSING_THERE = "MISSING_THERE", "渠道没有"
    AMOUNT = "AMOUNT", "金额不同"
    FEE = "FEE", "手续费不同"
    STATE = "STATE", "状态不同"
    BALANCE = "BALANCE", "余额不同"


class Subject(models.TextChoices):
    TRADE = "TRADE", "收款"
    REFUND = "REFUND", "退款"
    # The channel's two bills against each other: one of them is not whole.
    TRADE_SUM = "TRADE_SUM", "收款合计"
    REFUND_SUM = "REFUND_SUM", "退款合计"
    # The carrier's: a leg of what was booked, and a sub-account at the end of the day.
    MOVE = "MOVE", "存管动账"
    ACCOUNT = "ACCOUNT", "存管子账户"


class Moved(NamedTuple):
    """What the channel's own account moved, in fen, + is into it; a refund is gross.

    `paid`: of trades; `refunded`: of refunds, below zero; `returned`: of refunds that came to
    nothing; `fee`: below zero where it was kept.
    """

    paid_fen: int = 0
    refunded_fen: int = 0
    returned_fen: int = 0
    fee_fen: int = 0
    other_fen: int = 0

    def plus(self, other: Self) -> "Moved":
        return Moved(*(one + more for one, more in zip(self, other, strict=True)))

    @property
    def total_fen(self) -> int:
        return sum(self)


def begins(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=SHANGHAI)


def newest(at: datetime) -> date:
    """The last day whose bills are made."""
    return (at - READY).astimezone(SHANGHAI).date() - timedelta(days=1)


def due(*, last: date | None, waiting: Collection[date], at: datetime) -> list[date]:
    """Days whose bills to ask for now: those that were tried in vain, then new ones, oldest first.

    `last` is the latest day that was ever asked for; a new channel begins with yesterday.
    `waiting` in the order in which they are to be tried.
    """
    until = newest(at)
    first = max(last + timedelta(days=1), until - KEPT_DAYS) if last else until
    new = [first + timedelta(days=n) for n in range((until - first).days + 1)]
    again = [day for day in waiting if until - KEPT_DAYS <= day <= until]
    return [*again[:MOST_DAYS], *new[:MOST_DAYS]]


def code(name: str, account_no: str, which: str) -> str:
    """The ledger's account, such as wechat:1900000109 or wechat:1900000109:OPERATION."""
    return ":".join(part for part in (name, account_no, which) if part)


def reference(name: str, day: date, which: str = "") -> str:
    """CHANNEL_DAY and this name the posting of a day."""
    return ":".join(part for part in (name, f"{day}", which) if part)


def posting(*, name: str, account: str, day: date, moved: Moved, which: str = "") -> Draft | None:
    """What the account moved against what waited in clearing, the channel's fees, and the rest.

    `account` is the ledger's (`code`); None where nothing moved.
    """
    legs = {
        account: moved.total_fen,
        f"clearing:{name}": -moved.paid_fen - moved.refunded_fen - moved.returned_fen,
        f"channel_fee:{name}": -moved.fee_fen,
        f"elsewhere:{name}": -moved.other_fen,
    }
    return _draft("CHANNEL_DAY", reference(name, day, which), legs)


def opening(*, name: str, account: str, fen: int, earlier: int) -> Draft | None:
    """What was in the account before its first bill, or a correction of it by so many fen."""
    told = f"{account}:{earlier + 1}" if earlier else account
    return _draft("OPENING", told, {account: fen, f"opening:{name}": -fen})


def _draft(kind: str, reference: str, legs: dict[str, int]) -> Draft | None:
    debits = {code: fen for code, fen in legs.items() if fen > 0}
    credits = {code: -fen for code, fen in legs.items() if fen < 0}
    return Draft(kind, reference, debits, credits) if debits else None
