"""Threads that start at one instant, each with its own database connection."""

from collections import Counter
from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

from django.db import connection

from config.kit.errors import Refusal


def at_once(n: int, job: Callable[[int], Any]) -> list[Any]:
    """Run `job(i)` in n threads at once; what each answered or raised, in the order they ended."""
    barrier, endings = Barrier(n), []

    def run(i: int) -> None:
        barrier.wait()
        try:
            endings.append(job(i))
        except Exception as error:
            endings.append(error)
        finally:
            connection.close()

    threads = [Thread(target=run, args=(i,)) for i in range(n)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return endings


def together(n: int, job: Callable[[int], Any]) -> Counter[str]:
    """The same, counted: "ok" (or the text answered), a refusal's code, an error's name."""
    return Counter(_how(ending) for ending in at_once(n, job))


def _how(ending: Any) -> str:
    if isinstance(ending, Refusal):
        return ending.code
    if isinstance(ending, Exception):
        return type(ending).__name__
    return ending if isinstance(ending, str) else "ok"
