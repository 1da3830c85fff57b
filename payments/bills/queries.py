from collections.abc import Iterator
from datetime import date, datetime, timedelta
from itertools import groupby, pairwise

from django.db.models import Count, Q, QuerySet

from config.kit.money import yuan
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import DayStatus, newest
from payments.ledger import queries as books

SHOWN = 20


def open_differences() -> QuerySet[ChannelDifference]:
    return ChannelDifference.objects.filter(closed_at=None)


def late_days(at: datetime) -> int:
    """Days whose bills are made, were asked for in vain, and are not in."""
    waiting = ChannelDay.objects.filter(status=DayStatus.WAITING).exclude(problem="")
    return waiting.filter(day__lte=newest(at)).count()


def findings() -> Iterator[str]:
    """The channels' accounts in the ledger against their last bills, gaps, and what is open."""
    # A day that is to be compared again stays booked meanwhile.
    days = ChannelDay.objects.filter(fetched_at__isnull=False).order_by("account", "day")
    rows = days.values_list("account", "day", "opening_fen", "closing_fen")
    for account, told in groupby(rows.iterator(), key=lambda row: row[0]):
        yield from _of_account(account, [(day, first, last) for _, day, first, last in told])
    is_open = Q(differences__closed_at=None)
    differing = ChannelDay.objects.filter(status=DayStatus.DIFFERS)
    for row in differing.annotate(open=Count("differences", filter=is_open)).order_by("-day", "pk")[
        :SHOWN
    ]:
        yield f"{row} 的账单有 {row.open} 处差异未处理"


def _of_account(account: str, days: list[tuple[date, int | None, int | None]]) -> Iterator[str]:
    for (before, _, _), (day, _, _) in pairwise(days):
        if day != before + timedelta(days=1):
            yield f"{account} 缺少 {before + timedelta(days=1)} 至 {day - timedelta(days=1)} 的账单"
    told = [(day, first, last) for day, first, last in days if first is not None]
    for (before, _, last), (day, first, _) in pairwise(told):
        if first != last:
            yield (
                f"{account} {before} 的账户结余 {yuan(last or 0)} 元，"
                f"{day} 的期初余额 {yuan(first or 0)} 元"
            )
    if told and (balance := books.balance(account)) != told[-1][2]:
        yield (
            f"{account} 账面 {yuan(balance)} 元，"
            f"{told[-1][0]} 的账户结余 {yuan(told[-1][2] or 0)} 元"
        )
