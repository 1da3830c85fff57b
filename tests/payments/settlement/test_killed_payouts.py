"""A worker killed with -9 anywhere on the road of a payout: the next one ends it, once."""

import os
import signal
import socket
from contextlib import contextmanager

import pytest

from payments.channels import transfer
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.payouts import tasks
from payments.payouts.models import Payout
from tests.livestream.processes import await_true, running
from tests.payments.settlement.scene import NOON, earned, fresh, payee, request, there
from tests.payments.transfers.bank import ACCOUNT, account
from tests.payments.transfers.test_killed_imports import held, waits_for_a_lock

pytestmark = pytest.mark.django_db(transaction=True)

WORKER = """
import django; django.setup()
from django.conf import settings
from payments.payouts import tasks
settings.BANK_PROVIDERS = {{"sandbox": {told!r}}}
tasks.send_payouts()
"""


@pytest.fixture
def payout(sandbox):
    sandbox.open_account(ACCOUNT, 10_000_000)
    account()
    earned()
    payee()
    return request()


@contextmanager
def killed_when(is_there, told):
    with running(["-c", WORKER.format(told=told)]) as worker:
        await_true(lambda: is_there() or worker.poll() is not None, 60)
        assert worker.poll() is None
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        yield


def the_next_one_ends_it(payout):
    Payout.objects.filter(status="SENDING").update(sent_at=NOON)
    tasks.send_payouts()
    tasks.send_payouts()

    assert fresh(payout).status == "DONE"
    assert there() == (0, 0)
    assert books.balance(f"bank:{ACCOUNT}") == 0
    assert Posting.objects.filter(kind="PAYOUT_PAID").count() == 1
    told = transfer.bank("sandbox").payout(payout.number)
    assert told is not None
    assert told.serial == fresh(payout).serial
    assert ledger.audit() == []


def test_killed_between_the_hold_and_the_call(payout, sandbox):
    """The sweep has taken its turn; what it writes down next waits for our lock."""
    with (
        held("LOCK payments_payoutevent IN SHARE MODE"),
        killed_when(waits_for_a_lock, sandbox.provider()),
    ):
        pass
    await_true(lambda: not waits_for_a_lock())

    assert (fresh(payout).status, there()) == ("APPROVED", (0, payout.amount_fen))
    assert sandbox.journal("/bank/payouts") == []
    the_next_one_ends_it(payout)


def test_killed_when_it_was_written_down_and_the_bank_has_heard_nothing(payout, sandbox):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        told = sandbox.provider() | {"base_url": f"http://127.0.0.1:{deaf.getsockname()[1]}"}
        with killed_when(lambda: fresh(payout).status == "SENDING", told):
            pass

    assert there() == (0, payout.amount_fen)
    assert sandbox.journal("/bank/payouts") == []
    the_next_one_ends_it(payout)


def test_killed_while_the_bank_that_has_paid_is_about_to_answer(payout, sandbox):
    sandbox.faults("/bank/payouts", "slow", seconds=4)
    with killed_when(lambda: sandbox.journal("/bank/payouts"), sandbox.provider()):
        pass

    assert fresh(payout).status == "SENDING"
    the_next_one_ends_it(payout)


def test_killed_between_the_answer_and_the_commit(payout, sandbox):
    lock = "SELECT pg_advisory_xact_lock(hashtextextended('payouts ' || %s, 0))"
    with held(lock, ACCOUNT), killed_when(waits_for_a_lock, sandbox.provider()):
        pass
    await_true(lambda: not waits_for_a_lock())

    assert len(sandbox.journal("/bank/payouts")) == 1
    assert fresh(payout).status == "SENDING"
    the_next_one_ends_it(payout)
