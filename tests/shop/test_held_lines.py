"""S002.49: each line's money is held until its receipt and after-sales, then released less fees."""

from datetime import timedelta

import pytest

from config.kit.errors import StaleState
from payments.ledger import services as ledger
from payments.ledger.queries import balance
from payments.settlement import services as settlement
from payments.settlement.rules import Rate, deciding, fee
from payments.transfers.models import StatementLine
from shop.catalog.models import Category
from shop.checkout.rules import Item
from shop.fulfilment import services as fulfilment
from shop.orders import clock, freezing, holding, services
from shop.orders.models import HeldLine, Order
from shop.orders.rules import Wish, receive_days
from tests.factories import HOME, NOON, client_of, key, make_merchant, make_sku, make_user, pay
from tests.payments.transfers.bank import booking, push

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(autouse=True)
def books_are_even():
    yield
    assert ledger.audit() == []


@pytest.fixture
def merchant():
    return make_merchant(after_sale_days=7)


def paid(merchant, *prices, at=NOON):
    """An order of one line a price."""
    items = [Item(make_sku(merchant, list_price_fen=fen).number, 1) for fen in prices]
    wish = Wish(buyer_id=make_user().pk, items=items, consignee=HOME)
    order = services.place_one(wish=wish, at=at)[0]
    pay(order, at=at)
    return order


def send(order, *lines, at=NOON, no_logistics=False):
    order.refresh_from_db()
    fulfilment.ship(
        order=order,
        lines=list(lines) or None,
        carrier="" if no_logistics else "顺丰速运",
        tracking_no="" if no_logistics else "SF1",
        no_logistics=no_logistics,
        evidence="",
        actor="",
        at=at,
    )


def status(order):
    order.refresh_from_db()
    return order.status


def held(merchant):
    return balance(f"held:{merchant.number}")


def available(merchant):
    return balance(f"merchant:{merchant.number}:available")


def charge(ppm, at=NOON - HOUR, **scope):
    return settlement.set_rate(ppm=ppm, note="合同 1 号", actor="U1", at=at, **scope)


@pytest.mark.parametrize(
    ("no_logistics", "of_kind", "of_merchant", "days"),
    [
        (False, None, 10, 10),
        (False, None, 15, 15),  # a merchant may give more time
        (False, None, 0, 10),  # and not less
        (True, None, 15, 2),
        (True, 15, 10, 15),
        (False, 15, 20, 15),
    ],
)
def test_receipt_confirms_itself_after_the_days_of_its_kind(
    no_logistics, of_kind, of_merchant, days
):
    found = receive_days(no_logistics=no_logistics, of_kind=of_kind, of_merchant=of_merchant)

    assert found == days


def test_a_line_without_logistics_is_released_long_before_the_parcel_of_the_same_order(merchant):
    order = paid(merchant, 30_00, 70_00)
    send(order, 1, no_logistics=True)
    send(order, 2)

    assert holding.receive_due(at=NOON + 2 * DAY - HOUR, limit=9) == 0
    assert holding.receive_due(at=NOON + 2 * DAY, limit=9) == 1
    assert holding.release_due(at=NOON + 9 * DAY - HOUR, limit=9) == 0
    assert holding.release_due(at=NOON + 9 * DAY, limit=9) == 1
    assert (status(order), held(merchant), available(merchant)) == ("SHIPPED", 70_00, 30_00)

    assert holding.receive_due(at=NOON + 10 * DAY, limit=9) == 1
    assert status(order) == "RECEIVED"
    assert holding.release_due(at=NOON + 17 * DAY, limit=9) == 1
    assert (status(order), held(merchant), available(merchant)) == ("DONE", 0, 100_00)
    assert holding.release_due(at=NOON + 99 * DAY, limit=9) == 0


def test_a_kind_says_its_own_days_also_for_the_kinds_below_it(merchant):
    travel = Category.objects.create(code="travel", name="旅行", receive_days=15)
    inn = Category.objects.create(code="inn", name="客栈", parent=travel)
    order = paid(merchant, 10_00)
    line = order.lines.get()
    line.sku.product.__class__.objects.filter(pk=line.sku.product_id).update(category=inn)

    send(order, no_logistics=True)

    assert HeldLine.objects.get().receive_before == NOON + 15 * DAY


def test_nothing_is_released_of_what_was_not_received(merchant):
    order = paid(merchant, 10_00, 20_00)
    send(order, 1)

    assert holding.finish(order_numbers=[order.number], at=NOON + 999 * DAY) == 0
    assert (held(merchant), available(merchant)) == (30_00, 0)


def test_the_buyer_confirms_one_parcel_of_two(merchant):
    order = paid(merchant, 10_00, 20_00)
    send(order, 1)
    client = client_of(order.buyer)
    url = f"/api/v1/orders/{order.number}/confirm-receipt"

    assert client.post(url, **key()).status_code == 409  # the order is not sent as a whole
    assert client.post(url, {"lines": [2]}, format="json", **key()).status_code == 409
    assert client.post(url, {"lines": [1, 2]}, format="json", **key()).status_code == 409
    assert HeldLine.objects.get().received_at is None
    assert client.post(url, {"lines": [1]}, format="json", **key()).status_code == 200
    assert client.post(url, {"lines": [1]}, format="json", **key()).status_code == 409

    assert (status(order), HeldLine.objects.get().received_at is not None) == ("PAID", True)
    assert order.events.get(kind="LINES_RECEIVED").facts == {"lines": [1]}


def test_a_freeze_stops_the_clock_and_it_goes_on_where_it_stood(merchant):
    order = paid(merchant, 10_00)
    send(order)
    credit = StatementLine.objects.get()
    back = booking(-10_00, is_reversal=True, reverses=credit.serial, booked_at=NOON + 4 * DAY)
    push(back, at=NOON + 4 * DAY)

    assert holding.receive_due(at=NOON + 30 * DAY, limit=9) == 0
    order.refresh_from_db()
    freezing.unfreeze(order=order, reason="商家承担", actor="U1", at=NOON + 30 * DAY)

    assert holding.receive_due(at=NOON + 36 * DAY - HOUR, limit=9) == 0
    assert holding.receive_due(at=NOON + 36 * DAY, limit=9) == 1
    assert holding.release_due(at=NOON + 43 * DAY, limit=9) == 1
    assert status(order) == "DONE"


def test_two_reasons_stop_it_until_both_are_gone_and_receipt_meanwhile_counts(merchant):
    order = paid(merchant, 10_00)
    send(order)
    for why in ("CASE:K1", "CASE:K2", "CASE:K1"):
        clock.stop(order_ids=[order.pk], why=why, at=NOON + DAY)
    order.refresh_from_db()
    holding.receive_one(order=order, actor="U1", at=NOON + 3 * DAY)

    clock.resume(order_ids=[order.pk], why="CASE:K1", at=NOON + 5 * DAY)
    assert holding.release_due(at=NOON + 99 * DAY, limit=9) == 0
    clock.resume(order_ids=[order.pk], why="CASE:K2", at=NOON + 11 * DAY)
    clock.resume(order_ids=[order.pk], why="CASE:K2", at=NOON + 12 * DAY)

    order.refresh_from_db()
    assert HeldLine.objects.get().release_at == order.finish_at == NOON + 18 * DAY
    assert holding.release_due(at=NOON + 18 * DAY, limit=9) == 1


# --- the fee --------------------------------------------------------------------------------------

RATES = [
    Rate("", "", 6_000),
    Rate("", "tea", 5_000),
    Rate("M1", "", 4_000),
    Rate("M1", "tea", None),
    Rate("M1", "oolong", 1_000),
]


@pytest.mark.parametrize(
    ("merchant", "path", "ppm"),
    [
        ("M2", [], 6_000),
        ("M2", ["oolong", "tea"], 5_000),
        ("M1", ["oolong", "tea"], 1_000),
        ("M1", ["tea"], 4_000),
        ("M1", [], 4_000),
    ],
)
def test_the_merchants_own_rate_comes_first_then_the_nearest_kind(merchant, path, ppm):
    assert deciding(RATES, merchant=merchant, path=path) == ppm
    assert deciding([], merchant=merchant, path=path) == 0


@pytest.mark.parametrize(
    ("fen", "ppm", "promised", "kept"),
    [(100_00, 6_000, 0, 60), (99, 6_000, 0, 0), (1_99, 9_999, 0, 1), (10, 300_000, 9, 1)],
)
def test_a_fee_is_whole_fen_rounded_down_and_leaves_the_commission(fen, ppm, promised, kept):
    assert fee(fen, ppm, promised_fen=promised) == kept


def test_no_fen_is_lost_or_made_over_several_lines(merchant):
    charge(6_123)
    order = paid(merchant, 33_33, 33_33, 33_34, 99)
    send(order)
    holding.receive(order_numbers=[order.number], actor="", at=NOON + DAY)

    assert holding.release_due(at=NOON + 8 * DAY, limit=9) == 4

    assert [one.fee_fen for one in HeldLine.objects.order_by("pk")] == [20, 20, 20, 0]
    assert (balance("platform:fee"), available(merchant)) == (60, 100_99 - 60)
    assert held(merchant) == 0


def test_an_order_keeps_the_rate_that_was_in_force_when_it_was_placed(merchant):
    charge(10_000)
    before = paid(merchant, 100_00)
    charge(20_000, at=NOON + HOUR)
    after = paid(merchant, 100_00, at=NOON + 2 * HOUR)
    for order in (before, after):
        send(order, at=NOON + DAY)

    assert list(HeldLine.objects.order_by("pk").values_list("fee_fen", flat=True)) == [1_00, 2_00]
    with pytest.raises(settlement.RateInThePast):
        charge(1, at=NOON + DAY, since_at=NOON)
    with pytest.raises(settlement.RateTooHigh):
        charge(300_001)
    with pytest.raises(StaleState):
        charge(1, at=NOON + HOUR)


def test_what_was_released_of_a_reversed_order_is_the_merchants_debt(merchant):
    order = paid(merchant, 30_00, 70_00)
    send(order, 1, no_logistics=True)
    send(order, 2)
    holding.receive_due(at=NOON + 2 * DAY, limit=9)
    holding.release_due(at=NOON + 9 * DAY, limit=9)
    credit = StatementLine.objects.get()
    at = NOON + 9 * DAY + HOUR

    push(booking(-100_00, is_reversal=True, reverses=credit.serial, booked_at=at), at=at)

    assert Order.objects.get().freeze_reason == "REVERSED"
    assert (held(merchant), available(merchant)) == (0, 30_00)
    assert balance(f"receivable:{merchant.number}") == 30_00
