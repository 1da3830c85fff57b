from celery import shared_task
from django.utils.timezone import now

from payments.deposits import paying
from payments.deposits.models import DepositPayment
from payments.deposits.rules import PaymentStatus

BATCH = 200


@shared_task
def expire_payments() -> None:
    """Every minute: close deposits that nobody paid in time."""
    at = now()
    due = DepositPayment.objects.filter(status=PaymentStatus.OPEN, look_at__lte=at)
    if numbers := list(due.order_by("look_at", "pk").values_list("number", flat=True)[:BATCH]):
        paying.expire(numbers=numbers, at=at)
