"""The bank takes money back at the moment when people send it back, or say what was taken."""

import time
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from payments.ledger import services as ledger
from payments.transfers import returns, reversals
from payments.transfers.models import LineReturn, Policy, StatementLine
from tests.payments.transfers.bank import NOON, account, arrive, booking
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def line():
    account()
    Policy.objects.create(merchant="", check_above_fen=0)
    yield seen(arrive(booking(PRICE))[0].pk)
    assert ledger.audit() == []


def seen(pk):
    return StatementLine.objects.select_related("receiving_account").get(pk=pk)


def arriving(line, fen=PRICE):
    """An import that has stored the reversal of a line and has not committed yet."""
    stored = Event()

    def run():
        with transaction.atomic():
            arrive(booking(-fen, is_reversal=True, reverses=line.serial, remark="冲正"))
            stored.set()
            time.sleep(0.4)
        connection.close()

    importing = Thread(target=run)
    importing.start()
    assert stored.wait(10)
    return importing


def test_who_approves_while_the_reversal_is_stored_waits_for_it_and_is_refused(line):
    asked = returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing = arriving(line)

    with pytest.raises(reversals.TakenBack):
        returns.check(asked=asked, approve=True, actor="U1", at=NOON)
    importing.join()

    assert LineReturn.objects.get().status == "ASKED"


def test_who_asks_to_return_the_rest_while_a_part_is_reversed_is_refused_too(line):
    importing = arriving(line, PRICE - 1)

    with pytest.raises(reversals.TakenBack):
        returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing.join()

    assert not LineReturn.objects.exists()


def test_without_the_lines_lock_the_reversal_is_not_seen(line):
    """If this ever fails, the two tests above prove nothing."""
    returns.give_back(line=line, actor="UMAKER", at=NOON)
    importing = arriving(line)

    reversals.refuse_taken_back(line)

    importing.join()
    with pytest.raises(reversals.TakenBack):
        reversals.refuse_taken_back(line)
