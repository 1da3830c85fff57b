from collections.abc import Collection, Mapping
from datetime import datetime

from payments.calendar.models import BankDay
from payments.calendar.rules import SHANGHAI, Kind, after_working_days


def deadline(*, start: datetime, working_days: int) -> datetime:
    """The end of the n-th working day after `start`; one query."""
    return deadlines(starts=[start], working_days=working_days)[start]


def deadlines(*, starts: Collection[datetime], working_days: int) -> Mapping[datetime, datetime]:
    """The end of the n-th working day after each; one query, none for none."""
    if not starts:
        return {}
    day = min(starts).astimezone(SHANGHAI).date()
    kinds = dict(BankDay.objects.filter(day__gt=day).values_list("day", "kind"))
    rest = {day for day, kind in kinds.items() if kind == Kind.REST}
    work = kinds.keys() - rest
    return {start: after_working_days(start, working_days, rest, work) for start in starts}
