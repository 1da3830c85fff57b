"""A worker killed with -9 between download and booking leaves nothing half, and nothing twice."""

import json
import os
import signal
from contextlib import contextmanager

import pytest
from django.conf import settings as told
from django.db import connection, transaction

from payments.bills.models import ChannelDay
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from tests.livestream.processes import await_true, environment, running
from tests.payments.bills.past import fee

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = """
import json, os
import django; django.setup()
from datetime import date
from django.conf import settings
for name, value in json.loads(os.environ["TOLD"]).items():
    setattr(settings, name, value)
from django.utils.timezone import now
from payments.bills import services
services.take_in(name=os.environ["CHANNEL"], day=date.fromisoformat(os.environ["DAY"]), at=now())
"""
NAMES = ("PAYABLES", "PAYMENT_METHODS")
# Where the worker is held: before it compares, and in the midst of its booking.
BEFORE = "SELECT pg_advisory_xact_lock(hashtextextended('channel bills ' || %s, 0))"
WITHIN = "INSERT INTO payments_account (code, is_guarded, balance_fen) VALUES (%s, false, 0)"


@contextmanager
def held(statement, name):
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(statement, [name])
        yield
        transaction.set_rollback(True)


def waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # we look from inside a transaction
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0] > 0


def staged():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM payments_billrow")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("where", [BEFORE, WITHIN], ids=["before comparing", "while booking"])
def test_a_killed_worker_leaves_the_day_to_the_next(either, where):
    past = either
    past.paid(9_900)
    healed = past.paid(5_000, told=False)
    past.back()
    given = {name: getattr(told, name) for name in (*NAMES, *past.told)}
    more = {"DAY": f"{past.day}", "CHANNEL": past.channel, "TOLD": json.dumps(given)}
    name = past.channel if where == BEFORE else past.account

    with held(where, name), running(["-c", WORKER], environment(**more)) as worker:
        await_true(lambda: waits() or worker.poll() is not None, 60)
        assert worker.poll() is None
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()

    healed.refresh_from_db()
    assert healed.status == "CONFIRMED"  # what was asked about is money already
    assert not ChannelDay.objects.exists()
    assert not Posting.objects.filter(kind__in=["CHANNEL_DAY", "OPENING"]).exists()
    assert staged() == 2

    assert past.taken_in().status == "EVEN"

    assert books.balance(past.account) == past.opening_fen + 14_900 - fee(9_900) - fee(5_000)
    assert Posting.objects.filter(kind="CHANNEL_DAY").count() == 1
    with connection.cursor() as cursor:  # a day later, what he had staged is gone too
        cursor.execute("UPDATE payments_billrow SET at = at - interval '2 days'")
    past.taken_in()
    assert staged() == 0
    assert ledger.audit() == []
