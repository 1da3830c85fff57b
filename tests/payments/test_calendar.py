"""Time to transfer is counted in days on which banks work."""

from datetime import UTC, date, datetime
from importlib import import_module

import pytest

from payments.calendar import queries, services
from payments.calendar.models import BankDay
from payments.calendar.rules import SHANGHAI, after_working_days, is_working
from shop.orders.models import Order
from tests.factories import make_merchant, make_sku, make_user, open_payment, place

YEAR = import_module("payments.migrations.0003_bank_days").rows()
REST = {day for day, kind, _ in YEAR if kind == "REST"}
WORK = {day for day, kind, _ in YEAR if kind == "WORK"}


def shanghai(*moment):
    return datetime(*moment, tzinfo=SHANGHAI)


@pytest.mark.parametrize(
    ("start", "days", "until"),
    [
        (shanghai(2026, 11, 2, 10), 3, shanghai(2026, 11, 6)),  # Monday to the end of Thursday
        (shanghai(2026, 11, 6, 10), 1, shanghai(2026, 11, 10)),  # Friday, over the weekend
        (shanghai(2026, 11, 7, 10), 1, shanghai(2026, 11, 10)),  # Saturday
        (
            shanghai(2026, 9, 30, 10),
            3,
            shanghai(2026, 10, 11),
        ),  # Saturday 10.10 works
        (shanghai(2026, 2, 13, 10), 1, shanghai(2026, 2, 15)),  # Saturday 2.14 is made up
        (shanghai(2026, 2, 14, 10), 1, shanghai(2026, 2, 25)),
        (shanghai(2026, 6, 18, 12), 3, shanghai(2026, 6, 25)),
        (datetime(2026, 11, 2, 16, tzinfo=UTC), 1, shanghai(2026, 11, 5)),  # Tuesday in Shanghai
    ],
)
def test_the_end_of_the_nth_working_day(start, days, until):
    assert after_working_days(start, days, REST, WORK) == until


def test_the_arrangement_of_2026_is_33_days_of_rest_and_6_of_work():
    assert (len(REST), len(WORK)) == (33, 6)
    assert all(day.weekday() >= 5 for day in WORK)
    assert not is_working(date(2026, 2, 15), REST, WORK)


@pytest.mark.django_db
def test_a_day_is_what_was_said_last():
    friday = date(2027, 1, 1)
    services.declare(day=friday, kind="REST", name="元旦")
    start = shanghai(2026, 12, 31, 9)
    assert queries.deadline(start=start, working_days=1) == shanghai(2027, 1, 5)

    services.declare(day=friday, kind="WORK", name="元旦")

    assert queries.deadline(start=start, working_days=1) == shanghai(2027, 1, 2)
    assert BankDay.objects.filter(day=friday).count() == 1


@pytest.mark.django_db
def test_a_transfer_has_until_the_end_of_the_merchants_last_working_day():
    services.declare(day=date(2026, 6, 19), kind="REST", name="端午节")
    merchant = make_merchant(transfer_working_days=2)
    order = place(make_user(), make_sku(merchant))

    payment = open_payment(order)

    assert payment.pay_before == shanghai(2026, 6, 24)
    assert Order.objects.get().pay_before == payment.pay_before
