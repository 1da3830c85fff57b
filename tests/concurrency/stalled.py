"""Makes a race certain: threads start while rows that they all need in the end are locked."""

import time
from collections import Counter
from collections.abc import Callable
from threading import Thread
from typing import Any

from django.db import transaction
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
