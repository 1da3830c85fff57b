"""A booking that was first told with a date nobody can believe, and then as it was."""

from dataclasses import replace
from datetime import timedelta

import pytest

from payments.ledger import queries as books
from payments.transfers.models import LineEvent, StatementLine
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    expected,
    push,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900
BANK = f"bank:{ACCOUNT}"


@pytest.fixture
def payment(account):
    return expected(PRICE)


@pytest.fixture
def true(payment):
    return booking(PRICE, virtual_account=virtual_of(payment))


def in_another_year(row):
    return replace(row, booked_at=row.booked_at + timedelta(days=30 * 365))


def end(payment) -> dict[str, object]:
    payment.refresh_from_db()
    return {
        "payment": (payment.status, payment.received_fen),
        "bank": books.balance(BANK),
        "lines": sorted(
            StatementLine.objects.values_list("key", "verdict", "is_posted", "allocated_fen")
        ),
    }


def test_the_true_booking_pays_and_the_other_is_kept_apart(payment, true):
    push(in_another_year(true))
    push(true)

    payment.refresh_from_db()
    line, apart = StatementLine.objects.order_by("-is_posted")
    assert (line.verdict, line.rule, line.key) == ("MATCHED", "T1a", true.serial)
    assert (apart.verdict, apart.is_posted) == ("CONFLICT", False)
    assert payment.status == "CONFIRMED"
    assert books.balance(BANK) == PRICE
    assert LineEvent.objects.filter(line=apart, kind="CONTRADICTED").count() == 1


@pytest.mark.parametrize("names", [True, False], ids=["names a payment", "names nothing"])
def test_whichever_is_told_first_and_however_often_it_ends_the_same(payment, true, names):
    if not names:
        true = replace(true, virtual_account=None, amount_fen=1)
    wrong = in_another_year(true)
    for row in (true, wrong, true, wrong):
        push(row)
    right_first = end(payment)
    other = expected(PRICE)

    told = {"virtual_account": virtual_of(other) if names else None}
    true = booking(true.amount_fen, **told)
    wrong = in_another_year(true)
    for row in (wrong, true, wrong, true):
        push(row)

    both = end(other)
    assert both["payment"] == right_first["payment"]
    assert both["bank"] == 2 * true.amount_fen
    mine = [rest for key, *rest in both["lines"] if key.startswith(true.serial)]
    assert mine == [rest for _, *rest in right_first["lines"]]


def test_money_out_that_was_told_so_enters_the_books_too(account):
    row = booking(-PRICE)
    push(in_another_year(row))
    assert books.balance(BANK) == 0

    push(row)

    assert books.balance(BANK) == -PRICE


def test_a_booking_ahead_of_its_time_is_believed_when_its_day_has_come(payment, true):
    ahead = replace(true, booked_at=NOON + timedelta(days=5))
    push(ahead)
    assert not StatementLine.objects.get().is_posted

    push(ahead, at=NOON + timedelta(days=5))
    push(ahead, at=NOON + timedelta(days=5))

    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"
    assert books.balance(BANK) == PRICE


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": PRICE + 1},
        {"payer_account": "6217009988776655"},
        {"booked_at": NOON - timedelta(days=40 * 365)},
    ],
    ids=["another amount", "another payer", "another year that is none"],
)
def test_where_more_than_the_date_differs_or_it_is_no_better_a_person_decides(
    payment, true, changes
):
    push(in_another_year(true))

    push(replace(true, **changes))

    assert end(payment)["payment"] == ("WAITING", 0)
    assert books.balance(BANK) == 0
    assert {line.verdict for line in StatementLine.objects.all()} == {"CONFLICT"}


def test_a_line_that_is_in_the_books_gives_its_place_to_nobody(payment, true):
    arrive(true)

    push(replace(true, booked_at=NOON - timedelta(days=9)))

    assert books.balance(BANK) == PRICE
    assert StatementLine.objects.filter(is_posted=True).get().key == true.serial
