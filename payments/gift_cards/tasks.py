from celery import shared_task
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.gift_cards import buying, services
from payments.gift_cards.models import Gift, GiftCard
from payments.gift_cards.rules import GiftStatus, Status

BATCH = 200


@shared_task
def expire_gift_cards() -> None:
    """Every minute: close cards that nobody paid in time."""
    at = now()
    due = GiftCard.objects.filter(status=Status.OPEN, look_at__lte=at).order_by("look_at", "pk")
    if numbers := list(due.values_list("number", flat=True)[:BATCH]):
        buying.expire(numbers=numbers, at=at)


@shared_task
def end_gift_links() -> None:
    """Every minute: cards that nobody claimed in time are their givers' again."""
    at = now()
    over = Gift.objects.filter(status=GiftStatus.OPEN, expires_at__lte=at).select_related("card")
    for gift in over.order_by("expires_at", "pk")[:BATCH]:
        try:
            services.end_link(gift=gift, at=at)
        except StaleState:
            continue  # claimed or taken back a moment ago
