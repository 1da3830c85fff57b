"""A worker killed with -9 anywhere between the ledger and the carrier: the next one ends it, once.

It dies inside the transaction that writes a batch down (a lock holds it there), before its call has
arrived (a port that never answers stands for the carrier), or when the carrier has booked and the
answer is still on its way (the sandbox holds it back).
"""

import os
import signal
from contextlib import contextmanager

import pytest
from django.db import connection, transaction

from payments.carrier.models import CarrierAccount, CarrierBatch, CarrierMove
from tests.chaos.test_wechat_kills import HELD_BACK, deaf, somebody_waits
from tests.livestream.processes import await_true, environment, running
from tests.payments.carrier.scene import compared, found, here, moved, night, statuses, tell_all
from tests.sandbox import keys

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = """
import django; django.setup()
from payments.carrier.tasks import tell_carrier
tell_carrier()
"""
BATCHES = "/carrier/batches"


def told(carrier, base_url=""):
    """The same installation for a process of its own."""
    held = keys.ensure(carrier.home)
    return {
        "CARRIER": "sandbox",
        "CARRIER_URL": base_url or carrier.base_url,
        "CARRIER_PUBLIC_KEY": str(held.carrier_public),
        "CARRIER_PRIVATE_KEY": str(held.shop_private),
    }


@contextmanager
def killed(env, *, when):
    """A worker that is killed as soon as `when()` is so."""
    with running(["-c", WORKER], environment(**env)) as worker:
        await_true(lambda: when() or worker.poll() is not None, 60)
        assert worker.poll() is None, "it ended before it could be killed"
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    yield


def the_next_one_ends_it(carrier):
    tell_all()
    assert [status for status, _ in statuses()] == ["BOOKED"]
    numbers = {entry["body"]["number"] for entry in carrier.journal(BATCHES)}
    assert numbers == {CarrierBatch.objects.get().number}
    day = compared(night(carrier))
    assert (day.status, day.trades, found()) == ("EVEN", 2, [])
    assert here() == {"held:M1": 300, "wallet:U1": 700}


@pytest.fixture(autouse=True)
def _two_facts(carrier):
    moved(1_000)
    moved(300, to="held:M1", source="wallet:U1")
    moved(1, to="held:M1")
    moved(1, to="bank:1", source="held:M1")


def test_killed_while_it_writes_the_batch_down(carrier):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("LOCK payments_carriermove IN SHARE MODE")
        with killed(told(carrier), when=somebody_waits):
            pass
    await_true(lambda: not somebody_waits())

    assert not CarrierBatch.objects.exists()
    assert not CarrierMove.objects.exists()
    assert not CarrierAccount.objects.exists()
    the_next_one_ends_it(carrier)


def test_killed_between_commit_and_call(carrier):
    with deaf() as (url, callers), killed(told(carrier, url), when=lambda: callers):
        pass

    assert statuses() == [("SENDING", 4)]
    assert carrier.journal(BATCHES) == []
    the_next_one_ends_it(carrier)


def test_killed_between_call_and_commit(carrier):
    carrier.faults(BATCHES, "slow", seconds=HELD_BACK)
    with killed(told(carrier), when=lambda: carrier.journal(BATCHES)):
        pass

    assert statuses() == [("SENDING", 4)]
    the_next_one_ends_it(carrier)
    assert len(carrier.journal(BATCHES)) == 2
