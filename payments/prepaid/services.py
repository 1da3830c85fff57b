"""What the house itself collects money for: top-ups, gift cards, deposits; how long each waits.

Their rows have `number`, `status` (OPEN, PAID, CLOSED), `opened_at`, `pay_before`, `closed_at`, and
`look_at`: when somebody looks whether it is to be closed.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from config.kit.db import joined
from config.kit.errors import NotFound, StaleState
from payments.calendar import queries as calendar
from payments.cashier import queries as payments
from payments.cashier import services as cashier
from payments.cashier.rules import Due

PAY_WITHIN = timedelta(minutes=30)
TRANSFER_WITHIN = 3  # working days


@joined
def due(rows: QuerySet[Any], *, pot: str, method: str, at: datetime, fen: str) -> Due:
    """The one row's amount, its field `fen`; a transfer gets working days.

    Method "": only looked at.  Raises NotFound, StaleState.
    """
    row = (rows.select_for_update() if method else rows).first()
    if row is None:
        raise NotFound
    if row.status != "OPEN" or row.pay_before <= at:
        raise StaleState
    until = row.pay_before
    if method == "BANK_TRANSFER":
        until = calendar.deadline(start=row.opened_at, working_days=TRANSFER_WITHIN)
        rows.model._default_manager.filter(pk=row.pk).update(pay_before=until, look_at=until)
    return Due(getattr(row, fen), pot, until)


@joined
def expire(rows: QuerySet[Any], *, purpose: str, numbers: Sequence[str], at: datetime) -> int:
    """Close what nobody paid in time, unless its money may be here unheard; how many.

    A part that came is owed back.
    """
    cashier.hold(purpose=purpose, references=numbers)
    overdue = rows.filter(number__in=numbers, status="OPEN", pay_before__lte=at)
    found = list(overdue.select_for_update().order_by("pk"))
    unheard = payments.unheard(purpose=purpose, references=[one.number for one in found], at=at)
    for number, again in unheard.items():
        rows.filter(number=number).update(look_at=again)
    closing = [one for one in found if one.number not in unheard]
    cashier.close(purpose=purpose, references=[one.number for one in closing], at=at)
    rows.filter(pk__in=[one.pk for one in closing]).update(status="CLOSED", closed_at=at)
    return len(closing)
