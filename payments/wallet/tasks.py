from celery import shared_task
from django.utils.timezone import now

from payments.wallet import top_ups
from payments.wallet.models import TopUp
from payments.wallet.rules import TopUpStatus

BATCH = 200


@shared_task
def expire_top_ups() -> None:
    """Every minute: close top-ups that nobody paid in time."""
    at = now()
    due = TopUp.objects.filter(status=TopUpStatus.OPEN, look_at__lte=at).order_by("look_at", "pk")
    if numbers := list(due.values_list("number", flat=True)[:BATCH]):
        top_ups.expire(numbers=numbers, at=at)
