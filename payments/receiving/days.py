"""Days whose statements were asked of the bank: each once, and those that are missing again."""

from datetime import date, datetime, timedelta

from django.db.models import Q
from django.utils.timezone import localtime

from config.kit.db import joined
from payments.receiving.models import MissingDay, ReceivingAccount

DAY_ENDS = timedelta(hours=2)  # after midnight: the bank's own bookings of the night are in
ASKED_FOR = timedelta(days=90)  # banks hardly keep older files, and a clerk has uploaded by then
MOST_DAYS = 7  # asked for at once: new ones, and missing ones


def unasked(*, account: ReceivingAccount, at: datetime) -> list[date]:
    """Days that are over and were not asked for, oldest first; of a new account, yesterday."""
    yesterday = localtime(at - DAY_ENDS).date() - timedelta(days=1)
    first = account.pulled_until + timedelta(days=1) if account.pulled_until else yesterday
    return [first + timedelta(days=n) for n in range(min((yesterday - first).days + 1, MOST_DAYS))]


def missing(*, account: ReceivingAccount, at: datetime) -> list[date]:
    """Days that were asked for in vain, the longest untried first."""
    rows = MissingDay.objects.filter(
        receiving_account=account, fetched_at=None, day__gt=localtime(at).date() - ASKED_FOR
    )
    return list(rows.order_by("tried_at", "day").values_list("day", flat=True)[:MOST_DAYS])


def is_over(day: date, *, at: datetime) -> bool:
    """Whether whoever asks the bank at that moment gets all of the day."""
    return localtime(at - DAY_ENDS).date() > day


def open_days(*, account: ReceivingAccount) -> list[date]:
    """Days that nobody has had yet, however old, in their order."""
    rows = MissingDay.objects.filter(receiving_account=account, fetched_at=None)
    return list(rows.order_by("day").values_list("day", flat=True))


@joined
def take(*, account: ReceivingAccount, day: date, at: datetime) -> bool:
    """Mark a day as fetched; False when another has done so."""
    lost = MissingDay.objects.filter(receiving_account=account, day=day, fetched_at=None)
    return lost.update(fetched_at=at) == 1 or _ask(account, day)


@joined
def close(*, account: ReceivingAccount, day: date, statement: str, by: str, at: datetime) -> bool:
    """A missing day stands in a statement (number) that this person uploaded; False: not now."""
    lost = MissingDay.objects.filter(receiving_account=account, day=day, fetched_at=None)
    return lost.update(fetched_at=at, statement=statement, closed_by=by) == 1


@joined
def miss(*, account: ReceivingAccount, day: date, reason: str, at: datetime) -> None:
    """It could not be had this time: the mark goes on, and the day is asked for again."""
    if _ask(account, day):
        _put_down(account, day, reason, at)
        return
    # Where it is missing still: another worker may have it by now.
    MissingDay.objects.filter(receiving_account=account, day=day, fetched_at=None).update(
        reason=reason[:300], tried_at=at
    )


@joined
def lose(*, account: ReceivingAccount, day: date, reason: str, at: datetime) -> None:
    """It was fetched, and its file is refused after all."""
    _put_down(account, day, reason, at)


def _put_down(account: ReceivingAccount, day: date, reason: str, at: datetime) -> None:
    MissingDay.objects.bulk_create(
        [MissingDay(receiving_account=account, day=day, reason=reason[:300], tried_at=at)],
        update_conflicts=True,
        unique_fields=["receiving_account", "day"],
        update_fields=["reason", "tried_at", "fetched_at", "statement", "closed_by"],
    )


def _ask(account: ReceivingAccount, day: date) -> bool:
    """Move the mark over a day, once."""
    earlier = Q(pulled_until=None) | Q(pulled_until__lt=day)
    return ReceivingAccount.objects.filter(earlier, pk=account.pk).update(pulled_until=day) == 1
