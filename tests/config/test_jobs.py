"""A nudge may be lost; it must never hold the one who gives it."""

import socket
import time
from threading import Thread

import pytest
from django.db import transaction

from config.celery import app
from config.kit import jobs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def broker():
    """Points nudges at another broker for one test."""
    before = app.conf.broker_url

    def point(url):
        app.conf.broker_url = url
        jobs._broker.cache_clear()
        jobs._silent_until = 0.0

    yield point
    point(before)


@pytest.fixture
def black_hole():
    """Accepts, reads, never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = []

        def accept():
            while True:
                try:
                    taken.append(server.accept()[0])
                except OSError:
                    return

        Thread(target=accept, daemon=True).start()
        yield f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        for one in taken:
            one.close()
        server.shutdown(socket.SHUT_RDWR)


def nudge():
    began = time.monotonic()
    with transaction.atomic():
        jobs.later("config.kit.tasks.beat")
    return time.monotonic() - began


def test_a_nudge_reaches_the_queue(redis_client):
    nudge()

    assert redis_client.llen("siyu:celery:celery") == 1


def test_a_broker_that_never_answers_holds_nobody(broker, black_hole):
    broker(black_hole)

    assert nudge() < 3
    assert nudge() < 0.1  # for a while it is not even tried


def test_a_broker_that_is_gone_holds_nobody(broker):
    broker("redis://127.0.0.1:9/0")

    assert nudge() < 3


def test_nothing_is_started_when_the_transaction_fails(redis_client):
    with transaction.atomic():
        jobs.later("config.kit.tasks.beat")
        transaction.set_rollback(True)

    assert redis_client.llen("siyu:celery:celery") == 0
