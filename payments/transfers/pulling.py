"""Statements fetched from the banks that hand them out: each day once, today whenever asked."""

import io
import logging
from datetime import date, datetime

from django.db import transaction
from django.utils.timezone import localtime

from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.channels import transfer
from payments.receiving import days
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.transfers import filling, services

logger = logging.getLogger(__name__)


class PaymentOver(Refusal):
    message = "支付单已关闭，请不要再转账；已转出的款项到账后会记为应退"


def days_to_fetch(*, account: ReceivingAccount, at: datetime) -> list[date]:
    """Days that are over and not asked for yet, oldest first, then those that are missing."""
    return [*days.unasked(account=account, at=at), *days.missing(account=account, at=at)]


def pull_day(*, account: ReceivingAccount, day: date, at: datetime) -> None:
    """A whole day's statement, imported exactly once, or a MissingDay that says why not.

    The file and the mark that it is in are committed together; whoever finds the mark set lets
    his own file go.  Without the file the mark goes on all the same, so that one day holds up no
    other.
    """
    try:
        file, own = _fetched(account, day, at)
    except (transfer.BankRefused, transfer.BankUnknown) as failed:
        code = failed.code if isinstance(failed, transfer.BankRefused) else ""
        said = f"银行拒绝提供：{failed}" if code else "银行没有给出可信的答复"
        _miss(account, day, said, at)
        logger.warning("statement of %s for %s: %s", account, day, failed)
        return
    except Refusal as refused:
        left = refused.details.get("statement")
        said = f"{refused}（流水文件 {left}）" if left else str(refused)
        _miss(account, day, said, at)
        logger.warning("statement of %s for %s: %s", account, day, refused)
        return
    with transaction.atomic():
        if days.take(account=account, day=day, at=at):
            _keep(own, file, at, day=day)


@transaction.atomic
def _miss(account: ReceivingAccount, day: date, reason: str, at: datetime) -> None:
    """Put down, unless a clerk has uploaded it before the bank was asked."""
    days.miss(account=account, day=day, reason=reason, at=at)
    filling.fill(account=account, at=at)


def pull_today(*, account: ReceivingAccount, at: datetime) -> None:
    """What was booked today so far; what is known already is a duplicate, as in any statement.

    Raises BankRefused, BankUnknown, and what `services.examine` refuses.
    """
    file, own = _fetched(account, localtime(at).date(), at)
    _keep(own, file, at)


def _fetched(
    account: ReceivingAccount, day: date, at: datetime
) -> tuple[transfer.StatementFile, ReceivingAccount]:
    file = transfer.bank(account.provider).statement(account.account_no, day)
    own = services.examine(
        file=io.BytesIO(file.content),
        filename=file.filename,
        account_no=account.account_no,
        tenants=None,
        uploaded_by_id=None,
        at=at,
    )
    return file, own


def _keep(
    account: ReceivingAccount, file: transfer.StatementFile, at: datetime, day: date | None = None
) -> None:
    try:
        with transaction.atomic():
            services.keep(
                file=io.BytesIO(file.content),
                filename=file.filename,
                account=account,
                uploaded_by_id=None,
                at=at,
                day=day,
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
