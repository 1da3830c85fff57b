"""Days that the bank did not give, in what clerks upload."""

from collections.abc import Sequence
from datetime import date, datetime

from config.kit.db import joined
from payments.receiving import days
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import Statement
from payments.transfers.rules import StatementStatus


@joined
def fill(*, account: ReceivingAccount, at: datetime) -> int:
    """Close every missing day that an imported upload has whole; answers how many.

    Whole: it lies between the file's first and last booking, and the file was taken when the
    bank's night was over.  Of several files the first counts.  Not within a transaction that has a
    statement's lock: whoever fetches a day takes the two the other way round.
    """
    closed = 0
    if open_days := days.open_days(account=account):
        uploads = _uploads(account, open_days)
        for day in open_days:
            found = next((one for one in uploads if _has(one, day)), None)
            if found is not None and found.uploaded_by is not None:
                by = found.uploaded_by.number
                closed += days.close(account=account, day=day, statement=found.number, by=by, at=at)
    return closed


def _uploads(account: ReceivingAccount, open_days: Sequence[date]) -> list[Statement]:
    uploads = Statement.objects.filter(
        receiving_account=account,
        status=StatementStatus.DONE,
        pays=True,
        uploaded_by__isnull=False,
        booked_from__lte=open_days[-1],
        booked_until__gt=open_days[0],
    )
    return list(uploads.select_related("uploaded_by").order_by("uploaded_at", "pk"))


def _has(upload: Statement, day: date) -> bool:
    if upload.booked_from is None or upload.booked_until is None:
        return False
    return upload.booked_from <= day < upload.booked_until and days.is_over(
        day, at=upload.uploaded_at
    )
