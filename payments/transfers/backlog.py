"""The lines that wait for a person: narrowed, counted, and read page by page from the oldest."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from django.db.models import Count, Q, QuerySet, TextChoices
from django.utils.timezone import localtime, make_aware

from payments.transfers.models import StatementLine
from payments.transfers.rules import OPEN

PAGE = 50
UNCLAIMED = timedelta(days=75)  # then the money is offered back to where it came from


class Age(TextChoices):
    TODAY = "today", "今天"
    RECENT = "1-3", "1–3 天"
    OLD = "3+", ">3 天"
    STALE = "7+", ">7 天"
    UNCLAIMED = "75+", "75 天未认领"


class Sort(TextChoices):
    OLDEST = "oldest", "最早的在前"
    NEWEST = "newest", "最近的在前"
    LARGEST = "largest", "金额从大到小"
    SMALLEST = "smallest", "金额从小到大"


_ORDER = {
    Sort.OLDEST: ("booked_at", ""),
    Sort.NEWEST: ("booked_at", "-"),
    Sort.LARGEST: ("amount_fen", "-"),
    Sort.SMALLEST: ("amount_fen", ""),
}
# Some of the columns that a person may remember a transfer by.
_SEARCHED = ("number", "serial", "payer_name", "payer_account", "remark")


@dataclass(frozen=True)
class Asked:
    """How a clerk narrows and sorts the queue; amounts in fen, `account` is an account number."""

    verdict: str = ""
    age: str = ""
    least_fen: int | None = None
    most_fen: int | None = None
    account: str = ""
    words: str = ""
    sort: Sort = Sort.OLDEST


@dataclass(frozen=True)
class Page:
    lines: Sequence[StatementLine]
    has_before: bool
    has_after: bool


def aged(age: str, at: datetime) -> Q:
    """Booked so long ago, in whole days of Shanghai; any other word: whenever.

    75 days are 75 times 24 hours, as the metric and the API's `age_days` count them.
    """
    today = make_aware(datetime.combine(localtime(at).date(), time.min))
    three, seven = today - timedelta(days=3), today - timedelta(days=7)
    return {
        Age.TODAY.value: Q(booked_at__gte=today),
        Age.RECENT.value: Q(booked_at__lt=today, booked_at__gte=three),
        Age.OLD.value: Q(booked_at__lt=three),
        Age.STALE.value: Q(booked_at__lt=seven),
        Age.UNCLAIMED.value: Q(booked_at__lte=at - UNCLAIMED),
    }.get(age, Q())


def of_verdict(verdict: str) -> Q:
    return Q(verdict=verdict) if verdict in OPEN else Q()


def found(lines: QuerySet[StatementLine], asked: Asked) -> QuerySet[StatementLine]:
    """The open ones of these that the clerk asks for, whatever their verdict and age."""
    lines = lines.filter(verdict__in=OPEN)
    if asked.least_fen is not None:
        lines = lines.filter(amount_fen__gte=asked.least_fen)
    if asked.most_fen is not None:
        lines = lines.filter(amount_fen__lte=asked.most_fen)
    if asked.account:
        lines = lines.filter(receiving_account__account_no=asked.account)
    for word in asked.words.split()[:5]:
        named = Q()
        for column in _SEARCHED:
            named |= Q(**{f"{column}__icontains": word})
        lines = lines.filter(named)
    return lines


def counts(lines: QuerySet[StatementLine], asked: Asked, at: datetime) -> dict[str, int]:
    """How many are behind each tab, "" all of them, and behind each age; in one query."""
    of_age, of_tab = aged(asked.age, at), of_verdict(asked.verdict)
    every = {str(verdict): of_age & Q(verdict=verdict) for verdict in OPEN}
    every |= {str(age): of_tab & aged(age, at) for age in Age}
    names = {f"n{i}": key for i, key in enumerate(every)}
    told = found(lines, asked).aggregate(
        total=Count("pk", filter=of_age) if of_age else Count("pk"),
        **{name: Count("pk", filter=every[key]) for name, key in names.items()},
    )
    return {"": told["total"], **{key: told[name] for name, key in names.items()}}


def page(
    lines: QuerySet[StatementLine],
    asked: Asked,
    at: datetime,
    *,
    after: str = "",
    before: str = "",
    limit: int = PAGE,
) -> Page:
    """Lines from just after (or before) the one with that number; a keyset, so any page costs
    the same and a decided line leaves no hole."""
    rows = found(lines, asked).filter(aged(asked.age, at), of_verdict(asked.verdict))
    column, sign = _ORDER[asked.sort]
    mark = lines.filter(number=after or before).values_list(column, "pk").first()
    backwards = bool(before) and mark is not None
    if mark is not None:
        rows = rows.filter(_beyond(column, mark, upwards=(sign == "") != backwards))
    if backwards:
        sign = "" if sign else "-"
    read = list(rows.order_by(f"{sign}{column}", f"{sign}pk")[: limit + 1])
    more, read = len(read) > limit, read[:limit]
    if backwards:
        return Page(read[::-1], more, has_after=True)
    return Page(read, mark is not None, more)


def _beyond(column: str, mark: tuple[object, int], *, upwards: bool) -> Q:
    value, pk = mark
    side = "gt" if upwards else "lt"
    # The first condition alone is enough to be true; with it the index knows where to begin.
    begins = Q(**{f"{column}__{side}e": value})
    return begins & (Q(**{f"{column}__{side}": value}) | Q(**{f"pk__{side}": pk}))


def following(
    lines: QuerySet[StatementLine], asked: Asked, at: datetime, *, line: StatementLine
) -> StatementLine | None:
    """What to decide after this line: the next one, or at the end the first."""
    for after in (line.number, ""):
        next_ones = page(lines, asked, at, after=after, limit=2).lines
        if others := [one for one in next_ones if one.pk != line.pk]:
            return others[0]
    return None
