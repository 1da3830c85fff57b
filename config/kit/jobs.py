"""Starting background work.  A nudge may be lost; the sweep in config/schedule.py is kept."""

import logging
import time
from functools import cache, partial
from typing import Any

from celery import current_app
from django.db import transaction
from django.utils.module_loading import import_string
from kombu import Connection
from kombu.pools import producers

logger = logging.getLogger(__name__)

BOUND = 0.2  # seconds that a request may lose to a broker that does not answer
PAUSE = 5.0  # seconds without nudges after such a loss
_silent_until = 0.0


def later(task: str, **kwargs: Any) -> None:
    """Run a Celery task, named by its dotted path, soon after the present transaction commits.

    Arguments are ids, never rows.  Losing the nudge costs time only.
    """
    transaction.on_commit(partial(_nudge, task, kwargs))


def _nudge(task: str, kwargs: dict[str, Any]) -> None:
    global _silent_until  # noqa: PLW0603  the breaker of this process
    if time.monotonic() < _silent_until:
        return
    try:
        with producers[_broker()].acquire(block=True, timeout=BOUND) as producer:
            import_string(task).apply_async(kwargs=kwargs, producer=producer, retry=False)
    except Exception:
        # Whatever the broker's trouble is, the caller's work is done and committed.
        _silent_until = time.monotonic() + PAUSE
        logger.warning("nudge lost: %s", task, exc_info=True)


@cache
def _broker() -> Connection:
    """A connection for nudges only: unlike a worker's, it gives up after milliseconds."""
    bounded = {"socket_timeout": BOUND, "socket_connect_timeout": BOUND, "max_retries": 0}
    return current_app.connection_for_write(transport_options=bounded)
