"""A credit and what takes it back are pushed at the same moment: neither sees the other."""

from threading import Event

import pytest
from django.db import transaction

from payments.ledger import services as ledger
from payments.transfers import tasks
from payments.transfers.models import StatementLine
from tests.concurrency.together import at_once
from tests.payments.transfers.bank import account, booking, expected, push, virtual_of
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def pushed():
    """Both were taken in before either was committed, as after a shop's first day."""
    account()
    push(booking(1, virtual_account=virtual_of(expected(1))))  # the ledger has its accounts
    push(booking(-1))
    payment = expected(PRICE)
    credit = booking(PRICE, virtual_account=virtual_of(payment))
    back = booking(-PRICE, is_reversal=True, reverses=credit.serial)
    seen, gone = Event(), Event()

    def one(i):
        if i:
            seen.wait(10)
            push(back)
            gone.set()
            return
        with transaction.atomic():
            push(credit)
            seen.set()
            assert gone.wait(10)

    endings = at_once(2, one)
    assert endings == [None, None]
    payment.refresh_from_db()
    return payment, credit.serial, back.serial


def verdicts(*serials):
    lines = StatementLine.objects.filter(serial__in=serials)
    return dict(lines.values_list("serial", "verdict"))


def test_they_find_each_other_afterwards(pushed):
    payment, credit, back = pushed
    assert verdicts(credit, back) == {credit: "MATCHED", back: "CONFLICT"}  # the control

    tasks.settle_reversals()

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
    assert verdicts(credit, back) == {credit: "REVERSED", back: "REVERSED"}
    assert ledger.audit() == []
