"""An order is not closed before the statement of its last day was read, or two working days."""

import io
from datetime import UTC, date, datetime, timedelta

import pytest

from payments.calendar import services as calendar
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount
from payments.transfers import services as transfers
from payments.transfers import tasks as transfer_tasks
from payments.transfers.method import LOOK_AGAIN
from payments.transfers.models import Statement
from shop.inventory.models import Stock
from shop.orders import services, tasks
from shop.orders.models import Order
from tests.factories import client_of, make_merchant, make_sku, make_user, open_payment, place
from tests.payments.transfers.bank import ACCOUNT, booking, ccb_csv, virtual_of

pytestmark = pytest.mark.django_db
# Three working days after Thursday, 18 June 2026, whose Friday is a holiday: 24:00 on Wednesday.
END = datetime(2026, 6, 24, 16, tzinfo=UTC)
EVENING = END - timedelta(hours=3)
MORNING = END + timedelta(hours=9)
CEILING = END + timedelta(days=2)  # Thursday and Friday


@pytest.fixture
def order(time_machine):
    calendar.declare(day=date(2026, 6, 19), kind="REST", name="端午节")
    order = place(make_user(), make_sku(make_merchant()))
    open_payment(order)
    ReceivingAccount.objects.update(provider="")
    assert Payment.objects.get().pay_before == END
    return order


def uploaded(time_machine, *rows, at=MORNING):
    """A statement of these bookings, not imported yet."""

    time_machine.move_to(at)
    return transfers.upload(
        file=io.BytesIO(ccb_csv(list(rows))),
        filename="流水.csv",
        account_no=ACCOUNT,
        tenants=None,
        uploaded_by_id=None,
        at=at,
    )


def imported(time_machine, *rows, at=MORNING):
    statement = uploaded(time_machine, *rows, at=at)
    transfer_tasks.import_statement(statement_id=statement.pk)
    assert Statement.objects.get(pk=statement.pk).status == "DONE"


def swept(time_machine, at):
    time_machine.move_to(at)
    tasks.expire_unpaid()
    return Order.objects.order_by("pk").first().status


def other(day):
    return booking(100, booked_at=day)


def test_last_evenings_transfer_in_next_mornings_file_pays(order, time_machine):
    assert swept(time_machine, END) == "UNPAID"
    assert Stock.objects.get().promised == 1

    paid = booking(100_00, virtual_account=virtual_of(Payment.objects.get()), booked_at=EVENING)
    imported(time_machine, paid)

    assert swept(time_machine, MORNING + LOOK_AGAIN) == "PAID"


def test_it_is_closed_once_the_last_days_statement_is_in_without_it(order, time_machine):
    swept(time_machine, END)
    uploaded(time_machine, other(EVENING))
    assert swept(time_machine, MORNING) == "UNPAID"  # it is not read yet

    transfer_tasks.import_statement(statement_id=Statement.objects.get().pk)

    assert swept(time_machine, MORNING + LOOK_AGAIN) == "CLOSED"
    assert Stock.objects.get().promised == 0


@pytest.mark.parametrize(
    ("day", "at"),
    [
        (EVENING, EVENING + timedelta(minutes=1)),  # exported before the day was over
        (EVENING - timedelta(days=1), MORNING),  # of the day before
        (MORNING - timedelta(hours=1), MORNING),  # of the day after
    ],
    ids=["too early", "day before", "day after"],
)
def test_another_statement_says_nothing_of_the_last_day(order, time_machine, day, at):
    imported(time_machine, other(day), at=at)

    assert swept(time_machine, MORNING) == "UNPAID"


def test_without_any_statement_it_is_closed_after_two_working_days(order, time_machine):
    assert swept(time_machine, CEILING - timedelta(seconds=1)) == "UNPAID"

    assert swept(time_machine, CEILING + LOOK_AGAIN) == "CLOSED"


def test_a_bank_that_pushes_holds_nobody_up(order, time_machine):
    """The control: of such an account everything is heard at once."""
    ReceivingAccount.objects.update(provider="sandbox")

    assert swept(time_machine, END) == "CLOSED"


def test_an_order_without_a_transfer_is_closed_at_once(order, time_machine):
    place(make_user(), make_sku(make_merchant()))
    time_machine.move_to(END)

    tasks.expire_unpaid()

    assert list(Order.objects.order_by("pk").values_list("status", flat=True)) == [
        "UNPAID",
        "CLOSED",
    ]


def test_held_orders_hold_nobody_up(order, time_machine, monkeypatch):
    """A whole batch is held back; the ones behind it are closed by the same run."""
    monkeypatch.setattr(tasks, "BATCH", 1)
    behind = place(make_user(), make_sku(make_merchant()))
    Order.objects.filter(pk=behind.pk).update(pay_before=END + timedelta(minutes=1))

    swept(time_machine, END + timedelta(minutes=2))

    behind.refresh_from_db()
    order.refresh_from_db()
    assert (order.status, behind.status) == ("UNPAID", "CLOSED")
    assert order.held_until == END + timedelta(minutes=2) + LOOK_AGAIN


def test_the_buyer_is_told_the_same_deadline(order, time_machine):
    path = f"/api/v1/orders/{order.number}"
    buyer = client_of(order.buyer)
    before = buyer.get(path).json()

    swept(time_machine, END)

    assert client_of(order.buyer).get(path).json() == before
    assert before["pay_before"]


def test_holding_costs_a_constant_number_of_statements(
    order, time_machine, django_assert_max_num_queries
):
    time_machine.move_to(END - timedelta(days=3))
    sku = make_sku(make_merchant(), on_hand=50)
    for _ in range(20):
        open_payment(place(make_user(), sku))
    numbers = list(Order.objects.values_list("number", flat=True))

    with django_assert_max_num_queries(12):
        assert services.expire(order_numbers=numbers, at=END) == 0
