import logging
from datetime import date, timedelta

from celery import shared_task
from django.db.models import Min, Q
from django.utils.timezone import localdate, now

from payments.closing import services
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import Statement

logger = logging.getLogger(__name__)

LOOK_BACK = timedelta(days=35)
JUST_NOW = timedelta(minutes=3)


@shared_task
def close_days() -> None:
    """Every night: the last five weeks of every account, as they stand now."""
    since = localdate() - LOOK_BACK
    for account_id in ReceivingAccount.objects.order_by("pk").values_list("pk", flat=True):
        _close(account_id, since)


@shared_task
def close_imported() -> None:
    """Every minute: days of the statements that have just come in, or been handed out again.

    The night sees to lost ones.
    """
    since = now() - JUST_NOW
    fresh = Statement.objects.filter(
        Q(imported_at__gte=since) | Q(confirmed_at__gte=since),
        status="DONE",
        booked_from__isnull=False,
    )
    by_account = fresh.order_by().values("receiving_account").annotate(since=Min("booked_from"))
    for one in by_account.order_by("receiving_account"):
        _close(one["receiving_account"], one["since"])


def _close(account_id: int, since: date) -> None:
    account = ReceivingAccount.objects.get(pk=account_id)
    try:
        services.close_days(account=account, since=since, at=now())
    except Exception:
        # One account that cannot be compared does not hide the others.
        logger.exception("the days of account %d could not be closed", account_id)
