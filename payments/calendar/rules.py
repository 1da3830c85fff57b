"""Which days banks work in China: weekdays, but for holidays and the days made up for them."""

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import models

SHANGHAI = ZoneInfo("Asia/Shanghai")
_DAY = timedelta(days=1)


class Kind(models.TextChoices):
    REST = "REST", "休息"
    WORK = "WORK", "上班"


def is_working(day: date, rest: Collection[date], work: Collection[date]) -> bool:
    return day in work or (day.weekday() < 5 and day not in rest)


def after_working_days(
    start: datetime, days: int, rest: Collection[date], work: Collection[date]
) -> datetime:
    """The end (24:00 in Shanghai) of the n-th working day after the day of `start`.

    `rest` and `work` are the days that differ from plain weeks.
    """
    day = start.astimezone(SHANGHAI).date()
    while days > 0:
        day += _DAY
        days -= is_working(day, rest, work)
    return datetime.combine(day + _DAY, time.min, SHANGHAI)
