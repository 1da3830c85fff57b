"""The one place that opens connections to Redis; every call is bounded in time."""

from functools import cache

import redis
from django.conf import settings


@cache
def connection() -> "redis.Redis":
    """A pooled client of this process; bytes in, bytes out.  Errors are `redis.RedisError`."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=settings.REDIS_TIMEOUT,
        socket_connect_timeout=settings.REDIS_TIMEOUT,
        health_check_interval=30,
    )
