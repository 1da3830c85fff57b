"""Bank lines under concurrency: each race beside a control that shows it without its guard."""

import time
from collections import Counter
from dataclasses import replace

import pytest
from django.db import connection, transaction

from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.receiving.models import TransferIntent, VirtualAccount
from payments.transfers import desk, matching, services
from payments.transfers.models import Allocation, Statement, StatementLine
from payments.transfers.screening import keys
from tests.concurrency.together import together
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    account,
    booking,
    ccb_csv,
    code_of,
    expected,
    push,
    virtual_of,
)
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900


@pytest.fixture
def own():
    yield account(units=40)
    assert ledger.audit() == []


def stored(own, *rows):
    """Lines that are in and not judged."""
    lines = list(zip(keys(ACCOUNT, rows), rows, strict=True))
    return services.intake(account=own, lines=lines, reference="X1", at=NOON).waiting


def test_a_line_is_judged_by_one_of_many_workers(own):
    payments = [expected() for _ in range(10)]
    ids = stored(own, *(booking(PRICE, virtual_account=virtual_of(row)) for row in payments))

    endings = together(6, lambda i: matching.match(line_ids=ids, at=NOON))

    assert endings == {"ok": 6}
    assert Allocation.objects.count() == Receipt.objects.count() == 10
    assert not Refund.objects.exists()
    assert sorted(payable.told.paid) == sorted(row.reference for row in payments)


def test_without_the_claim_two_workers_judge_the_same_line(own):
    """If this ever fails, the test above proves nothing."""
    ids = stored(own, booking(PRICE))
    judged = []

    def careless(i):
        if StatementLine.objects.filter(pk=ids[0], verdict="NEW").exists():
            time.sleep(0.05)
            StatementLine.objects.filter(pk=ids[0]).update(verdict="UNMATCHED")
            judged.append(i)

    together(4, careless)

    assert len(judged) > 1


def test_one_payment_paid_by_many_lines_at_once_is_full_once(own):
    payment = expected()
    row = booking(PRICE, virtual_account=virtual_of(payment))
    rows = [replace(row, serial=f"{row.serial}-{i}") for i in range(8)]

    endings = together(8, lambda i: push(rows[i]))

    payment.refresh_from_db()
    assert endings == {"ok": 8}
    assert (payment.status, payment.received_fen) == ("CONFIRMED", PRICE)
    assert payable.told.paid == [payment.reference]
    assert sum(Refund.objects.values_list("amount_fen", flat=True)) == 7 * PRICE
    assert Counter(StatementLine.objects.values_list("rule", flat=True)) == {"T1a": 1, "T1d": 7}


def test_one_code_paid_by_many_lines_at_once_takes_one(own):
    payment = expected()
    rows = [booking(PRICE, remark=code_of(payment)) for _ in range(6)]

    together(6, lambda i: push(rows[i]))

    assert Counter(StatementLine.objects.values_list("verdict", flat=True)) == {
        "MATCHED": 1,
        "SUGGESTED": 5,
    }


def test_without_the_lock_many_lines_see_the_same_outstanding_amount(own):
    """If this ever fails, the two tests above prove nothing."""
    payment = expected()

    def careless(i):
        seen = Payment.objects.get(pk=payment.pk)
        if seen.outstanding_fen == PRICE:
            time.sleep(0.05)
            Payment.objects.filter(pk=payment.pk).update(received_fen=PRICE)
            return "paid"
        return "too late"

    assert together(6, careless)["paid"] > 1
    Payment.objects.filter(pk=payment.pk).update(received_fen=0)


def test_the_same_push_at_once_is_stored_once(own):
    row = booking(PRICE)

    endings = together(8, lambda i: push(row))

    assert endings == {"ok": 8}
    assert StatementLine.objects.count() == 1
    assert books.balance(f"bank:{ACCOUNT}") == PRICE


def test_the_same_file_uploaded_at_once_is_taken_once(own):
    content = ccb_csv([booking(PRICE), booking(200)])
    people = [make_user() for _ in range(6)]

    def upload(i):
        services.upload(
            content=content,
            filename="a.csv",
            account_no="",
            tenants=None,
            uploaded_by_id=people[i].pk,
            at=NOON,
        )

    assert together(6, upload) == {"ok": 1, "ALREADY_IMPORTED": 5}
    assert Statement.objects.count() == 1


def test_without_the_constraint_the_same_file_is_taken_twice(own):
    """If this ever fails, the test above proves nothing."""
    person = make_user()

    def careless(i):
        if not Statement.objects.filter(filename="a.csv").exists():
            time.sleep(0.05)
            Statement.objects.create(
                number=f"B{i}",
                receiving_account=own,
                filename="a.csv",
                file_sha256=f"{i}",  # what the constraint compares
                uploaded_by=person,
                uploaded_at=NOON,
            )

    together(6, careless)

    assert Statement.objects.count() > 1


def test_one_statement_imported_by_many_workers_counts_once(own, monkeypatch):
    monkeypatch.setattr(services, "CHUNK", 3)
    payments = [expected() for _ in range(12)]
    rows = [booking(PRICE, virtual_account=virtual_of(row)) for row in payments]
    statement = services.upload(
        content=ccb_csv(rows),
        filename="",
        account_no="",
        tenants=None,
        uploaded_by_id=make_user().pk,
        at=NOON,
    )
    held = Statement.objects.select_related("receiving_account").get(pk=statement.pk)

    together(4, lambda i: services.import_statement(statement=held, at=NOON))
    if Statement.objects.get().status == "RUNNING":  # all but one gave up; the sweep finishes
        services.import_statement(statement=held, at=NOON)

    done = Statement.objects.get()
    assert (done.status, done.lines, done.matched, done.duplicates) == ("DONE", 12, 12, 0)
    assert len(payable.told.paid) == 12


def test_overlapping_statements_in_opposite_order_do_not_deadlock(own):
    rows = [booking(PRICE + i) for i in range(200)]
    named = list(zip(keys(ACCOUNT, rows), rows, strict=True))

    def take(i):
        lines = named if i % 2 else named[::-1]
        services.intake(account=own, lines=lines, reference=f"X{i}", at=NOON)

    assert together(4, take) == {"ok": 4}
    assert StatementLine.objects.count() == 200
    assert books.balance(f"suspense:{ACCOUNT}") == sum(row.amount_fen for row in rows)


def test_a_virtual_account_is_given_to_one_payment(own):
    buyers = [make_user() for _ in range(12)]

    endings = together(12, lambda i: expected(payer=buyers[i]))

    given = TransferIntent.objects.values_list("virtual_account_id", flat=True)
    assert endings == {"ok": 12}
    assert None not in given
    assert len(set(given)) == 12


def test_the_last_virtual_account_is_given_once_and_nobody_waits(own):
    VirtualAccount.objects.exclude(number__endswith="0000000001").delete()
    buyers = [make_user() for _ in range(6)]

    assert together(6, lambda i: expected(payer=buyers[i])) == {"ok": 6}
    assert TransferIntent.objects.filter(virtual_account=None).count() == 5


def test_without_the_row_lock_one_virtual_account_is_given_twice(own):
    """If this ever fails, the two tests above prove nothing."""
    given = []

    def careless(i):
        free = VirtualAccount.objects.filter(state="FREE").order_by("pk")[0]
        time.sleep(0.05)
        VirtualAccount.objects.filter(pk=free.pk).update(state="ASSIGNED")
        given.append(free.pk)

    together(4, careless)

    assert len(set(given)) < len(given)


def test_two_clerks_give_one_line_to_different_payments_and_one_succeeds(own):
    payments = [expected() for _ in range(4)]
    (line_id,) = stored(own, booking(PRICE))
    matching.match(line_ids=[line_id], at=NOON)

    def give(i):
        line = StatementLine.objects.select_related("receiving_account").get(pk=line_id)
        time.sleep(0.05)
        desk.assign(
            line=line,
            shares={payments[i].number: PRICE},
            payments=Payment.objects.all(),
            actor=f"U{i}",
            at=NOON,
        )

    assert together(4, give) == {"ok": 1, "DECIDED_MEANWHILE": 3}
    assert sum(Payment.objects.values_list("received_fen", flat=True)) == PRICE


def test_a_line_that_another_worker_holds_is_left_to_it(own):
    payment = expected()
    ids = stored(own, booking(PRICE, virtual_account=virtual_of(payment)))

    with transaction.atomic():
        list(StatementLine.objects.select_for_update().filter(pk__in=ids))
        # Another connection does not wait for this one.
        started = time.monotonic()
        assert together(1, lambda i: matching.match(line_ids=ids, at=NOON)) == {"ok": 1}
        assert time.monotonic() - started < 2

    assert StatementLine.objects.get().verdict == "NEW"
    matching.match(line_ids=ids, at=NOON)
    assert StatementLine.objects.get().verdict == "MATCHED"
    assert connection.in_atomic_block is False


def test_two_clerks_give_two_lines_to_one_payment(own):
    payments = [expected(), expected()]
    ids = stored(own, booking(PRICE), booking(PRICE), booking(PRICE), booking(PRICE))
    matching.match(line_ids=ids, at=NOON)

    def give(i):
        line = StatementLine.objects.select_related("receiving_account").get(pk=ids[i])
        ours = payments if i % 2 else payments[::-1]
        desk.assign(
            line=line,
            shares={ours[0].number: PRICE - 100, ours[1].number: 100},
            payments=Payment.objects.all(),
            actor=f"U{i}",
            at=NOON,
        )

    assert together(4, give) == {"ok": 4}
    assert sum(Payment.objects.values_list("received_fen", flat=True)) == 2 * PRICE
    assert sum(Refund.objects.values_list("amount_fen", flat=True)) == 2 * PRICE
