"""Statements fetched from the banks that hand them out: each day once, today whenever asked."""

import io
import logging
from datetime import date, datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils.timezone import localtime

from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.channels import transfer
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.transfers import services

logger = logging.getLogger(__name__)

DAY_ENDS = timedelta(hours=2)  # after midnight: the bank's own bookings of the night are in
MOST_DAYS = 7  # caught up per run, when it had stood still


class PaymentOver(Refusal):
    message = "支付单已关闭，请不要再转账；已转出的款项到账后会记为应退"


def days_missing(*, account: ReceivingAccount, at: datetime) -> list[date]:
    """Days that are over and not fetched, oldest first; of an account never fetched, yesterday."""
    yesterday = localtime(at - DAY_ENDS).date() - timedelta(days=1)
    first = account.pulled_until + timedelta(days=1) if account.pulled_until else yesterday
    return [first + timedelta(days=n) for n in range(min((yesterday - first).days + 1, MOST_DAYS))]


def pull_day(*, account: ReceivingAccount, day: date, at: datetime) -> None:
    """A whole day's statement, imported exactly once.

    The file and the mark that it is in are committed together; whoever finds the mark set lets
    his own file go.  Raises BankRefused, BankUnknown, and what `services.upload` refuses.
    """
    file = transfer.bank(account.provider).statement(account.account_no, day)
    with transaction.atomic():
        earlier = Q(pulled_until=None) | Q(pulled_until__lt=day)
        mine = ReceivingAccount.objects.filter(earlier, pk=account.pk).update(pulled_until=day)
        if mine:
            _take(account, file, at)


def pull_today(*, account: ReceivingAccount, at: datetime) -> None:
    """What was booked today so far; what is known already is a duplicate, as in any statement."""
    file = transfer.bank(account.provider).statement(account.account_no, localtime(at).date())
    _take(account, file, at)


def _take(account: ReceivingAccount, file: transfer.StatementFile, at: datetime) -> None:
    try:
        with transaction.atomic():
            services.upload(
                file=io.BytesIO(file.content),
                filename=file.filename,
                account_no=account.account_no,
                tenants=None,
                uploaded_by_id=None,
                at=at,
            )
    except services.AlreadyImported as same:
        # A clerk was first, or nothing was booked since: the bank says it again, as of now.
        services.seen_again(statement=str(same.details["statement"]), at=at)


@joined
def hint(*, payment: Payment, at: datetime) -> None:
    """The payer says that the money is on its way: look sooner, change nothing.

    A word or a screenshot is no money (reconciliation.md: 已转账 is a hint).
    """
    if payment.status == Status.CLOSED:
        raise PaymentOver(payment=payment.number)
    if payment.status != Status.WAITING:
        return
    intent = TransferIntent.objects.get(payment=payment)
    TransferIntent.objects.filter(pk=intent.pk, hinted_at=None).update(hinted_at=at)
    later("payments.transfers.tasks.look_sooner", account_id=intent.receiving_account_id)
