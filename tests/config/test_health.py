from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from config.kit import tasks
from config.kit.models import Heartbeat, IdempotencyKey
from payments.bills.models import ChannelDay, ChannelDifference
from payments.transfers.models import Statement
from tests.factories import make_sku, make_user, place
from tests.payments.transfers.bank import account, arrive, booking

pytestmark = pytest.mark.django_db


def ready():
    answer = Client().get("/readyz")
    return answer.status_code, answer.json()


def test_the_process_answers_without_asking_anybody(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert Client().get("/healthz").status_code == 200


def test_a_probe_need_not_know_the_host_name():
    assert Client().get("/healthz", headers={"Host": "10.0.0.7:8000"}).status_code == 200
    assert Client().get("/api/v1/products", headers={"Host": "10.0.0.7:8000"}).status_code == 400


def test_ready_when_every_part_works():
    tasks.beat()
    tasks.beat()

    assert ready() == (
        200,
        {"database": "ok", "migrations": "ok", "redis": "ok", "worker": "ok"},
    )
    assert Heartbeat.objects.count() == 1


def test_not_ready_when_the_worker_is_silent():
    assert ready()[0] == 503
    tasks.beat()
    Heartbeat.objects.update(beat_at=now() - timedelta(minutes=2))

    assert ready() == (
        503,
        {"database": "ok", "migrations": "ok", "redis": "ok", "worker": "silent"},
    )


def test_not_ready_without_redis(settings):
    from config.kit import redis

    tasks.beat()
    settings.REDIS_URL = "redis://127.0.0.1:9/0"
    redis.connection.cache_clear()
    try:
        assert ready()[1]["redis"] == "down"
    finally:
        redis.connection.cache_clear()


def test_figures_are_not_public(settings):
    place(make_user(), make_sku())

    here = Client().get("/metrics")
    assert 'siyu_orders{state="UNPAID"} 1.0' in here.content.decode()
    assert Client().get("/metrics", headers={"X-Forwarded-For": "1.2.3.4"}).status_code == 404
    settings.METRICS_TOKEN = "for-prometheus"
    assert Client().get("/metrics").status_code == 404
    token = {"Authorization": "Bearer for-prometheus"}
    assert Client().get("/metrics", headers=token).status_code == 200


def test_reconciliation_is_measured():
    own = account()
    at = now()
    rows = [booking(100, booked_at=at - timedelta(days=days)) for days in (0, 2, 5, 80)]
    arrive(*rows, at=at)
    arrive(booking(-300, is_reversal=True, booked_at=at), at=at)
    Statement.objects.create(
        number="F1", receiving_account=own, file_sha256="1", uploaded_at=at - timedelta(minutes=5)
    )
    done = {"status": "DONE", "imported_at": at, "lines": 9, "duplicates": 7, "matched": 2}
    Statement.objects.create(
        number="F2", receiving_account=own, file_sha256="2", uploaded_at=at, **done
    )
    refused = {"status": "REFUSED", "reason": "余额不连续"}
    Statement.objects.create(
        number="F3", receiving_account=own, file_sha256="3", uploaded_at=at, **refused
    )

    told = Client().get("/metrics").content.decode()
    found = dict(line.rsplit(" ", 1) for line in told.splitlines() if line[0] != "#")

    ages = {"0-1": 1, "1-3": 1, "3-7": 1, "75+": 1}
    for age, count in ages.items():
        lines = count + (age == "0-1")  # the reversal
        assert float(found[f'siyu_suspense_lines{{state="{age}"}}']) == lines
    assert float(found['siyu_suspense_fen{state="75+"}']) == 100
    assert float(found['siyu_reversals{state="CONFLICT"}']) == 1
    assert {
        state: float(found[f'siyu_statements{{state="{state}"}}'])
        for state in ("RUNNING", "DONE", "REFUSED")
    } == {"RUNNING": 1, "DONE": 1, "REFUSED": 1}
    assert float(found['siyu_statement_rows{state="read"}']) == 9
    assert float(found['siyu_statement_rows{state="duplicate"}']) == 7
    assert 240 <= float(found["siyu_import_oldest_seconds"]) < 400


def test_without_an_import_its_age_is_none():
    assert "siyu_import_oldest_seconds -1.0" in Client().get("/metrics").content.decode()


def test_old_idempotency_keys_are_forgotten():
    user = make_user()
    for days in (1, 3):
        IdempotencyKey.objects.create(
            user=user, key=str(days), fingerprint="", created_at=now() - timedelta(days=days)
        )

    tasks.forget_old_keys()

    assert list(IdempotencyKey.objects.values_list("key", flat=True)) == ["1"]


@pytest.mark.django_db
def test_days_and_differences_of_payment_channels_are_measured():
    at = now()
    day = ChannelDay.objects.create(channel="WECHAT", day=at.date(), tried_at=at)
    seen = {"subject": "TRADE", "our_fen": 0, "their_fen": 5, "found_at": at, "seen_at": at}
    for number, closed in (("1", {}), ("2", {"closed_at": at, "reason": "已核实"})):
        ChannelDifference.objects.create(
            channel_day=day, kind="MISSING_HERE", their_number=number, **seen, **closed
        )

    told = Client().get("/metrics").content.decode()

    assert 'siyu_channel_days{state="WAITING"} 1.0' in told
    assert 'siyu_channel_differences{state="MISSING_HERE"} 1.0' in told
