import logging

from celery import shared_task
from django.utils.timezone import now

from payments.wallet import top_ups, withdrawals
from payments.wallet.models import TopUp, Withdrawal
from payments.wallet.rules import TopUpStatus, WithdrawalStatus

BATCH = 200
logger = logging.getLogger(__name__)


@shared_task
def expire_top_ups() -> None:
    """Every minute: close top-ups that nobody paid in time."""
    at = now()
    due = TopUp.objects.filter(status=TopUpStatus.OPEN, look_at__lte=at).order_by("look_at", "pk")
    if numbers := list(due.values_list("number", flat=True)[:BATCH]):
        top_ups.expire(numbers=numbers, at=at)


@shared_task
def send_withdrawal(*, number: str) -> None:
    withdrawals.send(number=number, at=now())


@shared_task
def send_withdrawals() -> None:
    """Every ten seconds: what is to be sent, and what is on its way; whoever is asked goes last."""
    due = Withdrawal.objects.filter(status=WithdrawalStatus.SENDING, ask_at__lte=now())
    for number in due.order_by("ask_at").values_list("number", flat=True)[:BATCH]:
        try:
            withdrawals.send(number=number, at=now())
        except Exception:
            logger.exception("withdrawal %s failed; the sweep goes on", number)
