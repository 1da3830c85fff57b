"""How often: counted in Redis, per fixed window.

When Redis does not answer, counting goes on inside this process.  Refusing everyone would turn
a lost cache into an outage, letting everyone pass would invite guessing at that very moment; so
for that time the limit holds per process instead of per installation.
"""

import time
from threading import Lock
from typing import cast

from django.conf import settings
from django.http import HttpRequest
from redis import RedisError
from rest_framework.request import Request

from config.kit import redis
from config.kit.errors import Refusal

PAUSE = 5.0  # seconds without Redis after it failed, so that its time-out is not paid each time
MOST_KEYS = 10_000  # of the counts kept in this process

_lock = Lock()
_counts: dict[tuple[str, int], int] = {}
_redis_silent_until = 0.0


class TooManyRequests(Refusal):
    status = 429
    message = "操作过于频繁，请稍后重试"


def allow(key: str, limit: int, seconds: int) -> None:
    """Count one use of `key`; TooManyRequests(retry_after=seconds) above `limit` in a window.

    A call to Redis: not inside a transaction that holds locks.
    """
    count, wait = _count(key, seconds)
    if count > limit:
        raise TooManyRequests(retry_after=max(1, wait))


def address_of(request: HttpRequest | Request) -> str:
    """The client's network address; X-Forwarded-For counts only behind our own proxies."""
    proxies = settings.AXES_IPWARE_PROXY_COUNT
    hops = request.META.get("HTTP_X_FORWARDED_FOR", "").split(",")
    if proxies and len(hops) >= proxies:
        return str(hops[-proxies].strip())
    return str(request.META.get("REMOTE_ADDR", ""))


def _count(key: str, seconds: int) -> tuple[int, int]:
    """How many uses in the present window, and the seconds until it ends."""
    global _redis_silent_until  # noqa: PLW0603  the breaker of this process
    if time.monotonic() >= _redis_silent_until:
        try:
            return _count_in_redis(f"siyu:limit:{key}", seconds)
        except RedisError:
            _redis_silent_until = time.monotonic() + PAUSE
    return _count_here(key, seconds)


def _count_in_redis(key: str, seconds: int) -> tuple[int, int]:
    """One MULTI: the count never exists without its end."""
    pipe = redis.connection().pipeline(transaction=True)
    pipe.set(key, 0, ex=seconds, nx=True)
    pipe.incr(key)
    pipe.ttl(key)
    _, count, wait = cast(tuple[object, int, int], tuple(pipe.execute()))
    return count, wait


def _count_here(key: str, seconds: int) -> tuple[int, int]:
    window, into = divmod(int(time.time()), seconds)
    with _lock:
        if len(_counts) >= MOST_KEYS:
            _counts.clear()
        _counts[key, window] = count = _counts.get((key, window), 0) + 1
    return count, seconds - into
