from datetime import timedelta

from celery import shared_task
from django.utils.timezone import now

from config.kit.models import Heartbeat, IdempotencyKey

KEEP_KEYS = timedelta(days=2)


@shared_task
def beat() -> None:
    """The whole chain (beat, broker, worker) is alive when this row is young."""
    at = now()
    Heartbeat.objects.bulk_create(
        [Heartbeat(name="worker", beat_at=at)],
        update_conflicts=True,
        unique_fields=["name"],
        update_fields=["beat_at"],
    )


@shared_task
def forget_old_keys() -> None:
    """Clients retry for minutes; a key older than two days answers nobody."""
    IdempotencyKey.objects.filter(created_at__lt=now() - KEEP_KEYS).delete()
