from celery import shared_task
from django.utils.timezone import now

from shop.orders import holding, services
from shop.orders.models import Order

BATCH = 500
MOST_HELD = 20  # batches of a run
RELEASE_BATCH = 5000
MOST_RELEASES = 40  # batches of a run


@shared_task
def expire_unpaid() -> None:
    """Close orders whose time to pay is over, a batch a transaction.

    Of a batch that is held back as a whole nothing is closed: the next one has its turn at once.
    """
    at = now()
    rows = Order.objects.to_expire(at).order_by("pay_before", "pk").values_list("number", flat=True)
    for _ in range(MOST_HELD):
        due = list(rows[:BATCH])
        if services.expire(order_numbers=due, at=at) or len(due) < BATCH:
            return


@shared_task
def finish_received() -> None:
    """Release money and commissions of lines whose after-sale window is over, in batches.

    Bounded: what is left of a very long list is the next run's.
    """
    at = now()
    for _ in range(MOST_RELEASES):
        if not holding.release_due(at=at, limit=RELEASE_BATCH):
            return
