"""From unpaid to done, and the ways an order ends early; the books are even after each."""

from datetime import UTC, date, datetime, timedelta

import pytest

from config.kit.errors import StaleState
from members.guides.models import Commission
from payments.calendar import services as calendar
from payments.cashier.models import Payment, Refund
from payments.ledger import services as ledger
from payments.ledger.queries import balance
from shop.fulfilment import tasks as fulfilment_tasks
from shop.inventory.models import Stock
from shop.orders import holding, services
from shop.orders.models import Order
from shop.orders.services import AlreadyShipped
from tests.factories import (
    NOON,
    make_guide,
    make_merchant,
    make_sku,
    make_user,
    open_payment,
    pay,
    place,
    ship,
)

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def books_are_even():
    yield
    assert ledger.audit() == []


@pytest.fixture
def merchant():
    return make_merchant(after_sale_days=7, auto_receive_days=15)


def bonded_buyer(merchant):
    from members.guides import services as guides

    guide, buyer = make_guide(merchant), make_user()
    code = guides.share(
        user=guide.user, merchant=merchant.number, kind="MERCHANT", target=merchant.number, at=NOON
    )
    guides.follow(customer=buyer, code=code.code, at=NOON)
    return buyer, guide


def status(order):
    order.refresh_from_db()
    return order.status


def test_paid_shipped_received_done_and_everybody_has_what_is_theirs(merchant):
    buyer, guide = bonded_buyer(merchant)
    sku = make_sku(merchant, on_hand=10)
    order = place(buyer, sku, quantity=2)
    pay(order)
    assert status(order) == "PAID"
    assert balance(f"held:{merchant.number}") == 200_00
    assert Commission.objects.get().status == "PENDING"

    ship(order)
    assert status(order) == "SHIPPED"
    assert (Stock.objects.get().on_hand, Stock.objects.get().promised) == (8, 0)

    holding.receive_one(order=order, actor=buyer.number, at=NOON + 2 * DAY)
    assert holding.finish(order_numbers=[order.number], at=NOON + 8 * DAY) == 0
    assert balance(f"merchant:{merchant.number}:available") == 0

    assert holding.finish(order_numbers=[order.number], at=NOON + 9 * DAY) == 1
    assert holding.finish(order_numbers=[order.number], at=NOON + 9 * DAY) == 0
    assert status(order) == "DONE"
    commission = Commission.objects.get()
    assert commission.status == "EARNED"
    assert balance(f"guide:{guide.user.number}:commission") == commission.amount_fen == 10_00
    assert balance(f"merchant:{merchant.number}:available") == 190_00
    assert balance(f"held:{merchant.number}") == 0


def test_receipt_confirms_itself_when_the_buyer_says_nothing(merchant, time_machine):
    order = place(make_user(), make_sku(merchant))
    pay(order)
    ship(order, at=NOON)
    time_machine.move_to(NOON + 15 * DAY - HOUR)
    fulfilment_tasks.receive_overdue()
    assert status(order) == "SHIPPED"

    time_machine.move_to(NOON + 15 * DAY)
    fulfilment_tasks.receive_overdue()

    assert status(order) == "RECEIVED"
    assert order.finish_at == NOON + 22 * DAY


def test_an_unpaid_order_closes_after_its_time_and_gives_the_pieces_back(merchant):
    order = place(make_user(), make_sku(merchant), quantity=3)
    assert services.expire(order_numbers=[order.number], at=order.pay_before - HOUR) == 0
    assert Stock.objects.get().promised == 3

    assert services.expire(order_numbers=[order.number], at=order.pay_before) == 1
    assert services.expire(order_numbers=[order.number], at=order.pay_before) == 0

    assert (status(order), order.close_reason) == ("CLOSED", "EXPIRED")
    assert Stock.objects.get().promised == 0


# Three working days after a Thursday whose Friday is a holiday.
END_OF_TRANSFER = datetime(2026, 6, 24, 16, tzinfo=UTC)


@pytest.fixture
def dragon_boat_festival():
    calendar.declare(day=date(2026, 6, 19), kind="REST", name="端午节")


@pytest.mark.usefixtures("dragon_boat_festival")
def test_a_transfer_gives_the_order_days_instead_of_minutes(merchant):
    order = place(make_user(), make_sku(merchant))
    payment = open_payment(order)

    order.refresh_from_db()
    assert order.pay_before == payment.pay_before == END_OF_TRANSFER


@pytest.mark.usefixtures("dragon_boat_festival")
def test_asking_for_the_payment_again_does_not_hold_the_pieces_longer(merchant):
    order = place(make_user(), make_sku(merchant))
    open_payment(order)

    again = open_payment(order, at=NOON + 70 * HOUR)

    order.refresh_from_db()
    assert order.pay_before == again.pay_before == END_OF_TRANSFER


def test_an_order_that_got_more_time_keeps_its_payment(merchant):
    """The sweep had seen it overdue; the buyer chose a transfer before the sweep came to it."""
    order = place(make_user(), make_sku(merchant))
    seen_overdue = order.pay_before
    payment = open_payment(order, at=seen_overdue - HOUR / 60)

    assert services.expire(order_numbers=[order.number], at=seen_overdue) == 0

    payment.refresh_from_db()
    assert (payment.status, status(order)) == ("WAITING", "UNPAID")


def test_money_long_after_the_close_is_kept_and_owed_back(merchant):
    order = place(make_user(), make_sku(merchant))
    payment = open_payment(order)
    late = payment.pay_before + HOUR
    services.expire(order_numbers=[order.number], at=late)

    from tests.payments.transfers.bank import transfer_in

    transfer_in(payment, fen=100_00, at=late + timedelta(days=8))

    assert status(order) == "CLOSED"
    refund = Refund.objects.get()
    assert (refund.amount_fen, refund.reason, refund.status) == (100_00, "LATE", "OWED")
    assert balance("refund_payable:BANK_TRANSFER") == 100_00
    assert balance(f"held:{merchant.number}") == 0


def test_money_soon_after_the_close_opens_the_order_again(merchant):
    order = place(make_user(), make_sku(merchant))
    payment = open_payment(order)
    late = payment.pay_before + HOUR
    services.expire(order_numbers=[order.number], at=late)

    from tests.payments.transfers.bank import transfer_in

    transfer_in(payment, fen=100_00, at=late)

    assert status(order) == "PAID"
    assert not Refund.objects.exists()
    assert balance(f"held:{merchant.number}") == 100_00


def test_parts_add_up_and_what_came_in_part_is_owed_back_at_the_close(merchant):
    order = place(make_user(), make_sku(merchant))
    payment = pay(order, fen=60_00)
    assert (payment.status, payment.outstanding_fen, status(order)) == ("WAITING", 40_00, "UNPAID")

    services.expire(order_numbers=[order.number], at=payment.pay_before)

    refund = Refund.objects.get()
    assert (refund.amount_fen, refund.reason) == (60_00, "UNFINISHED")
    assert Payment.objects.get().status == "CLOSED"


def test_more_than_the_price_pays_and_the_excess_is_the_buyers(merchant):
    order = place(make_user(), make_sku(merchant))

    pay(order, fen=130_00)

    assert status(order) == "PAID"
    refund = Refund.objects.get()
    assert (refund.amount_fen, refund.reason, refund.status) == (30_00, "EXCESS", "OWED")


def test_a_paid_order_is_cancelled_before_it_ships(merchant):
    buyer, _ = bonded_buyer(merchant)
    order = place(buyer, make_sku(merchant), quantity=2)
    pay(order)
    order.refresh_from_db()

    services.cancel(order=order, actor=buyer.number, at=NOON + HOUR)

    assert (status(order), order.close_reason) == ("CLOSED", "REFUNDED")
    assert Stock.objects.get().promised == 0
    assert Commission.objects.get().status == "VOID"
    refund = Refund.objects.get()
    assert (refund.amount_fen, refund.status, refund.reason) == (200_00, "APPROVED", "CANCELLED")
    assert balance(f"held:{merchant.number}") == 0
    assert balance("refund_payable:BANK_TRANSFER") == 200_00
    assert [event.kind for event in order.events.order_by("pk")] == ["PLACED", "PAID", "CANCELLED"]


def test_an_unpaid_order_is_cancelled_with_its_payment(merchant):
    order = place(make_user(), make_sku(merchant))
    open_payment(order)
    order.refresh_from_db()

    services.cancel(order=order, actor="", at=NOON + HOUR)

    assert (status(order), order.close_reason) == ("CLOSED", "BUYER")
    assert Payment.objects.get().status == "CLOSED"
    assert not Refund.objects.exists()


def test_once_something_is_shipped_nothing_is_cancelled(merchant):
    order = place(make_user(), make_sku(merchant))
    pay(order)
    ship(order)

    with pytest.raises(AlreadyShipped):
        services.cancel(order=order, actor="", at=NOON + DAY)

    assert status(order) == "SHIPPED"
    assert not Refund.objects.exists()


def test_receipt_is_confirmed_once_and_only_for_what_was_sent(merchant):
    order = place(make_user(), make_sku(merchant))
    with pytest.raises(StaleState):
        holding.receive_one(order=order, actor="", at=NOON)
    pay(order)
    ship(order)
    holding.receive_one(order=order, actor="", at=NOON + DAY)

    with pytest.raises(StaleState):
        holding.receive_one(order=order, actor="", at=NOON + DAY)

    assert status(order) == "RECEIVED"


def test_a_sweep_of_many_orders_costs_a_constant_number_of_statements(
    merchant, django_assert_max_num_queries
):
    buyer, sku = make_user(), make_sku(merchant, on_hand=100)
    numbers = [place(buyer, sku).number for _ in range(30)]
    at = Order.objects.first().pay_before

    with django_assert_max_num_queries(12):
        assert services.expire(order_numbers=numbers, at=at) == 30
