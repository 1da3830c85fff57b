from celery import shared_task
from django.utils.timezone import now

from shop.orders import services
from shop.orders.models import Order

BATCH = 500


@shared_task
def expire_unpaid() -> None:
    """Close orders whose time to pay is over, a batch a transaction."""
    at = now()
    rows = Order.objects.overdue(at).order_by("pay_before", "pk").values_list("number", flat=True)
    if due := list(rows[:BATCH]):
        services.expire(order_numbers=due, at=at)


@shared_task
def finish_received() -> None:
    """Release money and commissions of orders whose after-sale window is over."""
    at = now()
    rows = Order.objects.to_finish(at).order_by("finish_at", "pk").values_list("number", flat=True)
    if due := list(rows[:BATCH]):
        services.finish(order_numbers=due, at=at)
