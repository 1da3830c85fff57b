from datetime import datetime

from payments.calendar.models import BankDay
from payments.calendar.rules import SHANGHAI, Kind, after_working_days


def deadline(*, start: datetime, working_days: int) -> datetime:
    """The end of the n-th working day after `start`; one query."""
    day = start.astimezone(SHANGHAI).date()
    kinds = dict(BankDay.objects.filter(day__gt=day).values_list("day", "kind"))
    rest = {day for day, kind in kinds.items() if kind == Kind.REST}
    return after_working_days(start, working_days, rest, kinds.keys() - rest)
