from celery import shared_task
from django.utils.timezone import now

from members.guarantee import services

BATCH = 500
MOST = 200  # batches of a run


@shared_task
def suspend_by_rule() -> None:
    """S002.21: who meets the criteria no more loses badge and boost by itself."""
    at, after = now(), 0
    for _ in range(MOST):
        _, after = services.suspend_by_rule(limit=BATCH, after=after, at=at)
        if not after:
            return
