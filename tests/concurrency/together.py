"""Threads that start at one instant, each with its own database connection."""

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

from django.db import connection

from config.kit.errors import Refusal


def together(n: int, job: Callable[[int], Any]) -> Counter[str]:
    """Run `job(i)` in n threads at once; how many ended "ok" or with which refusal or error."""
    barrier, endings = Barrier(n), []

    def run(i: int) -> None:
        barrier.wait()
        try:
            answer = job(i)
            endings.append(answer if isinstance(answer, str) else "ok")
        except Refusal as refusal:
            endings.append(refusal.code)
        except Exception as error:
            endings.append(type(error).__name__)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Counter(endings)
