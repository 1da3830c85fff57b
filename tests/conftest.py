"""What every test has.  The engines are started earlier, by `tests/engines.py`."""

import os
from collections.abc import Iterator

import pytest
import redis

import config.celery  # noqa: F401  services nudge the worker through this app

pytest_plugins = ["tests.sandbox_fixtures"]


@pytest.fixture(scope="session")
def redis_client() -> Iterator[redis.Redis]:
    """This xdist worker's own Redis database."""
    with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
        yield client


@pytest.fixture(autouse=True)
def _empty_redis(redis_client: redis.Redis) -> None:
    redis_client.flushdb()
