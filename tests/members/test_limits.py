"""config/kit/limits.py, which guards logins and joining."""

import pytest
from django.test import RequestFactory

from config.kit import limits, redis
from config.kit.limits import TooManyRequests, address_of, allow
from members.accounts.rules import STAFF_LOGINS
from tests.concurrency.together import at_once
from tests.members.people import client_of


def passed(key, tries, limit=5):
    count = 0
    for _ in range(tries):
        try:
            allow(key, limit, 60)
        except TooManyRequests:
            continue
        count += 1
    return count


@pytest.fixture
def no_redis(settings, monkeypatch):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    redis.connection.cache_clear()
    monkeypatch.setattr(limits, "_redis_silent_until", 0.0)
    monkeypatch.setattr(limits, "_counts", {})
    yield
    redis.connection.cache_clear()


def test_so_many_pass_and_the_next_waits_for_the_window_to_end():
    assert passed("a", 5) == 5

    with pytest.raises(TooManyRequests) as refused:
        allow("a", 5, 60)
    assert 1 <= refused.value.details["retry_after"] <= 60


def test_keys_do_not_share_their_count():
    assert passed("a", 5) + passed("b", 5) == 10


def test_a_count_always_ends():
    allow("a", 5, 60)

    assert 0 < redis.connection().ttl("siyu:limit:a") <= 60


def test_the_limit_holds_for_many_at_once():
    endings = at_once(20, lambda i: passed("a", 1))

    assert sum(endings) == 5


def test_control_reading_before_counting_lets_more_pass():
    def careless(i):
        count = int(redis.connection().get("c") or 0)
        redis.connection().ping()
        redis.connection().set("c", count + 1)
        return count < 5

    assert sum(at_once(20, careless)) > 5


def test_without_redis_the_limit_holds_in_this_process(no_redis):
    assert passed("a", 20) == 5
    assert sum(at_once(20, lambda i: passed("b", 1))) == 5


def test_without_redis_counts_do_not_grow_without_bound(no_redis, monkeypatch):
    monkeypatch.setattr(limits, "MOST_KEYS", 10)
    for i in range(100):
        allow(f"k{i}", 5, 60)

    assert len(limits._counts) <= 10


def test_a_forwarded_address_counts_only_behind_our_own_proxies(settings):
    request = RequestFactory().get("/", HTTP_X_FORWARDED_FOR="6.6.6.6, 1.2.3.4")

    assert address_of(request) == "127.0.0.1"
    settings.AXES_IPWARE_PROXY_COUNT = 1
    assert address_of(request) == "1.2.3.4"


@pytest.mark.django_db
def test_logins_from_one_address_are_limited():
    body = {"username": "", "password": ""}
    for _ in range(STAFF_LOGINS):
        assert client_of().post("/api/v1/auth/staff", body, format="json").status_code == 400

    answer = client_of().post("/api/v1/auth/staff", body, format="json")

    assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert 1 <= int(answer["Retry-After"]) <= 60
