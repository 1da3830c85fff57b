import logging
from datetime import date, datetime
from typing import Protocol

from celery import shared_task
from django.db.models import Max
from django.utils.timezone import now

from config.kit.errors import Refusal, TryAgain
from payments.bills import services
from payments.bills.channels import CHANNELS
from payments.bills.models import ChannelDay
from payments.bills.rules import DayStatus, due, newest
from payments.channels.answers import ChannelRefused

logger = logging.getLogger(__name__)


@shared_task
def fetch_bills() -> None:
    """Every hour from ten in the morning: the days of every channel that are not in yet.

    A day that cannot be had leaves the others, and a channel in trouble the other channels.
    """
    for name, channel in CHANNELS.items():
        try:
            for day in days_due(name) if channel.is_on() else []:
                fetch(name, day, services.take_in)
        except Exception:
            logger.exception("the bills of %s could not be fetched", name)


def days_due(name: str) -> list[date]:
    rows = ChannelDay.objects.filter(channel=name)
    last: date | None = rows.aggregate(last=Max("day"))["last"]
    waiting = rows.filter(status=DayStatus.WAITING).order_by("tried_at", "day")
    return due(last=last, waiting=list(waiting.values_list("day", flat=True)), at=now())


class TakesIn(Protocol):
    """Has a day and compares it; raises ChannelSilent, ChannelRefused, Unreadable."""

    def __call__(self, *, name: str, day: date, at: datetime) -> ChannelDay: ...


def fetch(name: str, day: date, take_in: TakesIn) -> None:
    """One day; where it cannot be had, it waits with the reason."""
    try:
        row = take_in(name=name, day=day, at=now())
    except TryAgain as silent:
        level = logging.ERROR if day < newest(now()) else logging.WARNING
        logger.log(level, "bills of %s, %s: %s", name, day, silent)
        services.miss(name=name, day=day, reason=str(silent), at=now())
    except (Refusal, ChannelRefused) as no:
        logger.error("bills of %s, %s: %s", name, day, no)
        services.miss(name=name, day=day, reason=str(no), at=now())
    except Exception:
        logger.exception("bills of %s, %s", name, day)
        services.miss(name=name, day=day, reason="系统出错，请查看日志", at=now())
    else:
        if row.status == DayStatus.DIFFERS:
            logger.error("bills of %s, %s differ from our trades", name, day)
