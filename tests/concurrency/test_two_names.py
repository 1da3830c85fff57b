"""One booking under two names, stored at one instant: neither transaction sees the other's."""

import time
from dataclasses import replace
from threading import Event, Thread

import pytest
from django.db import connection, transaction

from payments.cashier import refunds
from payments.cashier.models import Refund, RefundPart
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import desk, second_look
from payments.transfers.models import LineEvent, Statement, StatementLine
from tests.concurrency.together import together
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    booking,
    ccb_csv,
    expected,
    icbc_csv,
    imported,
    push,
    virtual_of,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture(autouse=True)
def own():
    yield account()
    assert ledger.audit() == []


def at_one_instant(row, content=None, first=None):
    """The push (or `first`) is stored and not committed yet while the file is imported.

    It commits when the file is in, or waits for it.
    """
    stored, is_in = Event(), Event()

    def storing():
        with transaction.atomic():
            (first or push)(row)
            stored.set()
            until = time.monotonic() + 60
            while not is_in.wait(0.05) and not somebody_waits() and time.monotonic() < until:
                pass
        connection.close()

    thread = Thread(target=storing)
    thread.start()
    assert stored.wait(60)
    statement = imported(icbc_csv([row]) if content is None else content)
    is_in.set()
    thread.join()
    return statement


def somebody_waits():
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_clear_snapshot()")  # else it is as it was at the first look
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock')"
        )
        return cursor.fetchone()[0]


def in_books():
    return books.balance(f"bank:{ACCOUNT}"), books.balance(f"suspense:{ACCOUNT}")


def look(statement):
    return second_look.look_again(statement=statement, at=NOON)


def verdicts():
    return sorted(StatementLine.objects.values_list("verdict", "is_posted"))


def test_without_a_second_look_both_names_are_booked():
    """The control: if this ever fails, the tests below prove nothing."""
    at_one_instant(booking(PRICE))

    assert in_books() == (2 * PRICE, 2 * PRICE)
    assert verdicts() == [("UNMATCHED", True), ("UNMATCHED", True)]


def test_a_second_look_holds_the_younger_of_the_two():
    statement = at_one_instant(booking(PRICE))

    assert look(statement) == 1

    assert in_books() == (PRICE, PRICE)
    assert verdicts() == [("CONFLICT", False), ("UNMATCHED", True)]
    older, younger = StatementLine.objects.order_by("pk")
    assert younger.facts == {"held_as": older.number}
    assert "疑似已收录" in younger.reasons[0]
    event = LineEvent.objects.get(line=younger, kind="HELD_BACK")
    assert event.facts["judged"]["verdict"] == "UNMATCHED"
    assert look(statement) == 0


def test_an_order_that_the_push_has_paid_is_paid_once_and_nothing_is_owed_to_its_buyer():
    payment = expected(PRICE)
    statement = at_one_instant(booking(PRICE, virtual_account=virtual_of(payment), remark="货款"))
    assert Refund.objects.get().status == "OWED"  # as paid twice

    assert look(statement) == 1

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen, payment.refunded_fen) == ("CONFIRMED", PRICE, 0)
    assert not Refund.objects.exclude(status="VOID").exists()
    assert verdicts() == [("CONFLICT", False), ("MATCHED", True)]
    assert in_books() == (PRICE, 0)


def test_where_the_second_money_has_gone_on_people_are_told_and_nothing_is_changed():
    statement = at_one_instant(booking(PRICE, virtual_account=virtual_of(expected(PRICE))))
    refund = Refund.objects.select_related("payment").get()
    refunds.approve(refund=refund, actor="U1", at=NOON)
    (pk,) = refunds._begin(refund, NOON)
    part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=pk)
    refunds._leave(part, "OUT1", NOON)
    refunds.conclude(refund, NOON)
    before = verdicts(), in_books()

    assert look(statement) == look(statement) == 0

    assert (verdicts(), in_books()) == before
    numbers = set(StatementLine.objects.values_list("number", flat=True))
    told = LineEvent.objects.filter(kind="TWIN")
    assert {(one.line.number, one.facts["line"]) for one in told} == {
        (one, other) for one in numbers for other in numbers - {one}
    }


def test_two_workers_who_look_at_once_hold_it_once_and_tell_nobody():
    statement = at_one_instant(booking(PRICE, virtual_account=virtual_of(expected(PRICE))))

    endings = together(2, lambda i: look(statement))

    assert endings == {"ok": 2}
    assert in_books() == (PRICE, 0)
    assert LineEvent.objects.filter(kind="HELD_BACK").count() == 1
    assert not LineEvent.objects.filter(kind="TWIN").exists()


def test_of_one_that_the_bank_has_taken_back_the_other_is_held():
    row = booking(PRICE)
    statement = at_one_instant(row)
    push(booking(-PRICE, is_reversal=True, reverses=row.serial, remark="冲正"))
    assert in_books() == (PRICE, PRICE)

    assert look(statement) == 1

    assert in_books() == (0, 0)


def test_two_forms_of_file_at_one_instant_are_looked_at_too():
    statement = at_one_instant(booking(PRICE), first=lambda row: imported(ccb_csv([row])))
    assert in_books() == (2 * PRICE, 2 * PRICE)

    assert look(statement) == 1

    assert in_books() == (PRICE, PRICE)


def test_money_out_is_booked_once():
    statement = at_one_instant(booking(-PRICE))
    assert in_books() == (-2 * PRICE, 0)

    assert look(statement) == 1

    assert (in_books(), books.balance(f"elsewhere:{ACCOUNT}")) == ((-PRICE, 0), -PRICE)


def test_two_payments_that_both_sources_have_stay_two():
    first, second = booking(PRICE), booking(PRICE)
    push(first)
    statement = at_one_instant(second, icbc_csv([first, second]))
    assert in_books() == (3 * PRICE, 3 * PRICE)

    assert look(statement) == 1

    assert in_books() == (2 * PRICE, 2 * PRICE)


@pytest.mark.parametrize("serials", ["same", "none"])
def test_a_payment_whose_push_was_lost_is_not_held(serials):
    first, second = booking(PRICE), booking(PRICE)
    rows = [first, second]
    statement = at_one_instant(booking(1), ccb_csv(rows) if serials == "same" else icbc_csv(rows))
    push(replace(first, booked_at=NOON))

    assert look(statement) == 0

    assert in_books() == (2 * PRICE + 1, 2 * PRICE + 1)


def test_what_a_person_has_said_to_be_new_stays():
    statement = at_one_instant(booking(PRICE))
    look(statement)
    line = StatementLine.objects.select_related("receiving_account").get(verdict="CONFLICT")
    desk.take_in(line=line, actor="U1", at=NOON)

    assert look(statement) == 0

    assert in_books() == (2 * PRICE, 2 * PRICE)


def test_only_what_was_imported_a_moment_ago_is_looked_at_again():
    statement = at_one_instant(booking(PRICE))
    assert second_look.due(at=NOON) == [statement.pk]
    assert second_look.due(at=NOON + second_look.LOOKED_AT) == []
    Statement.objects.update(pays=False)
    assert second_look.due(at=NOON) == []
