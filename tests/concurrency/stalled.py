"""Makes a race certain: threads start while rows that they all need in the end are locked."""

import time
from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

from django.db import connection, transaction
from django.db.models import QuerySet

from tests.concurrency.together import together


def stalled(
    rows: QuerySet[Any], n: int, job: Callable[[int], Any], seconds: float = 0.4
) -> Counter[str]:
    """`together(n, job)`, where whoever needs these rows goes on only after so many seconds."""
    endings: list[Counter[str]] = []
    others = Thread(target=lambda: endings.append(together(n, job)))
    with transaction.atomic():
        list(rows.select_for_update().order_by("pk"))
        others.start()
        time.sleep(seconds)
    others.join()
    return endings[0]


def in_turn(rows: QuerySet[Any], *jobs: Callable[[], Any]) -> Counter[str]:
    """`together`, in a known order: each job begins when those before it wait for a lock.

    While these rows are locked, which all of them need in the end; they go on when all wait.
    """

    def job(i: int) -> Any:
        until_waiting(i)
        return jobs[i]()

    endings: list[Counter[str]] = []
    others = Thread(target=lambda: endings.append(together(len(jobs), job)))
    with transaction.atomic():
        list(rows.select_for_update().order_by("pk"))
        others.start()
        until_waiting(len(jobs))
    others.join()
    return endings[0]


def until_waiting(n: int) -> None:
    """So many connections wait for a lock."""
    for _ in range(1000):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_stat_clear_snapshot()")  # as it is now
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            (found,) = cursor.fetchone()
        if found >= n:
            return
        time.sleep(0.01)
    raise AssertionError(f"{found} of {n} wait")
