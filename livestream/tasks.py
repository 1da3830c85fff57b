import logging

from celery import shared_task
from django.utils.timezone import now
from redis import RedisError

from config.kit.errors import StaleState
from livestream import claims, queries, services

logger = logging.getLogger(__name__)


@shared_task
def write_claims(lot: str = "") -> None:
    """Turn admitted claims of one lot into orders at once; without a lot, look after all of them.

    The sweep also makes the gates agree with PostgreSQL, so that returned pieces can be claimed.
    """
    for number in [lot] if lot else queries.to_serve():
        try:
            while claims.write(lot=number, at=now()):
                pass
            if not lot:
                claims.look_after(lot=number, at=now())
        except RedisError:
            logger.warning("gate of lot %s: Redis is silent", number)
        except Exception:
            # One lot's trouble must not keep the others waiting.
            logger.exception("claims of lot %s were not written", number)


@shared_task
def close_overdue() -> None:
    """End sessions whose time is over, and close their lots."""
    at = now()
    for session in queries.overdue(at):
        try:
            services.end(session=session, at=at)
        except StaleState:
            continue  # the host was first
