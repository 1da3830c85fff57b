"""A statement brings a payout of ours, without a word of ours, while we book the bank's answer."""

from threading import Event, Thread

import pytest
from django.db import connection, transaction

from payments.cashier import refunds
from payments.cashier.models import Refund, RefundPart
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import queries, returns
from payments.transfers.models import LineReturn
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    arrive,
    booking,
    expected,
    push,
    transfer_in,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900
SERIAL = "OUT77"


@pytest.fixture
def own():
    yield account()
    assert ledger.audit() == []
    assert books.balance(f"bank:{ACCOUNT}") == 0


def of_a_return():
    (line,) = arrive(booking(PRICE))
    asked = returns.give_back(line=line, actor="U1", at=NOON)
    found = LineReturn.objects.select_related("line__receiving_account").get(pk=asked.pk)
    return lambda: returns.returned(found, SERIAL, NOON)


def of_a_refund():
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE)
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)
    (pk,) = refunds._begin(Refund.objects.get(), NOON)
    part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=pk)
    return lambda: refunds._leave(part, SERIAL, NOON)


def booked():
    push(booking(-PRICE, serial=SERIAL, payer_account="6222"))


def behind(first, second):
    """`second` begins when `first` has done its work, and before that is committed."""
    is_done, may_end = Event(), Event()
    errors = []

    def run(job, *, waits):
        try:
            with transaction.atomic():
                job()
                if waits:
                    is_done.set()
                    may_end.wait(0.5)  # the other one stands at its door by then
        except Exception as error:
            errors.append(error)
        finally:
            is_done.set()
            connection.close()

    threads = [Thread(target=run, args=(first,), kwargs={"waits": True})]
    threads[0].start()
    is_done.wait(10)
    threads.append(Thread(target=run, args=(second,), kwargs={"waits": False}))
    threads[1].start()
    threads[1].join(0.2)
    may_end.set()
    for thread in threads:
        thread.join()
    assert errors == []


@pytest.mark.parametrize("ours", [of_a_return, of_a_refund])
@pytest.mark.parametrize("is_statement_first", [True, False])
def test_it_leaves_the_account_once_whoever_is_first(own, ours, is_statement_first):
    answered = ours()

    behind(*((booked, answered) if is_statement_first else (answered, booked)))

    assert books.balance(f"elsewhere:{ACCOUNT}") == 0


def test_without_the_lock_it_would_leave_twice(monkeypatch):
    """If this ever fails, the tests above prove nothing."""
    account()
    answered = of_a_refund()
    monkeypatch.setattr(queries, "_alone", lambda *_: None)

    behind(booked, answered)

    assert books.balance(f"bank:{ACCOUNT}") == -PRICE
