"""A clerk with a line and an intake with its payment: lines are locked before payments.

The payment is held until both have come as far as they can: first the intake, then the clerk.
"""

import io
from collections import Counter
from dataclasses import replace

import pytest

from payments.cashier.models import Payment
from payments.ledger import services as ledger
from payments.transfers import desk, intake, known, services
from payments.transfers.models import LineEvent, StatementLine
from tests.concurrency.stalled import in_turn
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    arrive,
    booking,
    ccb_csv,
    expected,
    push,
    virtual_of,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def own():
    yield account()
    assert ledger.audit() == []


@pytest.fixture
def waits(own):
    """A booking that the bank has pushed; the clerk is to give it to a payment."""
    row = booking(PRICE, remark="货款")
    push(row)
    return row


def both(waits, come) -> Counter[str]:
    """The clerk and `come(a row that names the payment)`, at the moment that hurts."""
    payment = expected(PRICE)
    line = StatementLine.objects.select_related("receiving_account").get(serial=waits.serial)
    named = booking(100, virtual_account=virtual_of(payment))

    def assign():
        shares, everyone = {payment.number: PRICE}, Payment.objects.all()
        desk.assign(line=line, shares=shares, payments=everyone, actor="U1", at=NOON)

    return in_turn(Payment.objects.filter(pk=payment.pk), lambda: come(named), assign)


def statement_with(waits, named):
    taken = services.upload(
        file=io.BytesIO(ccb_csv([waits, named])),
        filename="",
        account_no=ACCOUNT,
        tenants=None,
        uploaded_by_id=make_user().pk,
        at=NOON,
    )
    services.import_statement(statement=taken, at=NOON)


def test_a_statement_confirms_a_push_that_a_clerk_is_at(waits):
    endings = both(waits, lambda named: statement_with(waits, named))

    line = StatementLine.objects.get(serial=waits.serial)
    assert endings == {"ok": 2}
    assert (line.verdict, line.balance_fen) == ("MATCHED", PRICE)
    assert LineEvent.objects.filter(line=line, kind="CONFIRMED").count() == 1
    assert Payment.objects.get().status == "CONFIRMED"


def test_a_reversal_takes_back_a_line_that_a_clerk_is_at(waits):
    back = booking(-PRICE, is_reversal=True, reverses=waits.serial)

    endings = both(waits, lambda named: arrive(back, named))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}
    assert StatementLine.objects.get(serial=waits.serial).verdict == "REVERSED"
    assert Payment.objects.get().received_fen == 100


def test_a_line_is_contradicted_while_a_clerk_is_at_it(waits):
    other = replace(waits, amount_fen=PRICE + 1)

    endings = both(waits, lambda named: arrive(other, named))

    assert endings == {"ok": 1, "DECIDED_MEANWHILE": 1}
    assert StatementLine.objects.get(key=waits.serial).verdict == "CONFLICT"


def test_without_the_lock_before_payments_one_of_them_is_killed(waits, monkeypatch):
    """If this ever fails, the tests above prove nothing."""
    monkeypatch.setattr(known, "_LOCKED", known._KNOWN)
    monkeypatch.setattr(intake, "TRIES", 1)  # a killed intake would only be run again

    endings = both(waits, lambda named: statement_with(waits, named))

    assert endings == {"ok": 1, "OperationalError": 1}
