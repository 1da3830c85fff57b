"""Money that comes too late, and money that the bank takes back."""

from datetime import timedelta

import pytest
from django.db.models import Sum

from config.kit.errors import StaleState
from members.guides.models import Commission
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund
from payments.cashier.rules import Arrival
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from shop.catalog.models import Product, Sku
from shop.fulfilment import services as fulfilment
from shop.inventory.models import Stock
from shop.orders import freezing, holding
from shop.orders import services as orders
from shop.orders.holding import OrderFrozen
from shop.orders.models import Order, OrderEvent
from tests.factories import NOON, make_sku, make_user, open_payment, place, ship
from tests.payments.test_batches import bonded_buyer

pytestmark = pytest.mark.django_db
SUSPENSE = "suspense:755900000110"
DAY = timedelta(days=1)
EXPIRED = NOON + 10 * DAY
PRICE = 100_00


def money(payment, fen=PRICE, *, txn="L1", at=EXPIRED + DAY, days=7):
    """Arrives for a payment; the merchant reopens for so many days."""
    arrival = Arrival(payment.pk, txn, fen, SUSPENSE)
    shares = cashier.confirm(arrivals=[arrival], at=at, reopens={payment.merchant: days})
    payment.refresh_from_db()
    return shares[txn]


def waiting(sku=None, *, buyer=None):
    order = place(buyer or make_user(), sku or make_sku())
    return order, open_payment(order)


def expired(sku=None, *, paid_fen=0):
    order, payment = waiting(sku)
    if paid_fen:
        money(payment, paid_fen, txn="L0", at=NOON)
    assert orders.expire(order_numbers=[order.number], at=EXPIRED) == 1
    payment.refresh_from_db()
    return order, payment


def kinds(order):
    return list(order.events.order_by("pk").values_list("kind", flat=True))


def state(order, payment):
    order.refresh_from_db()
    payment.refresh_from_db()
    return order.status, payment.status


def even():
    """All that concerns orders, payments and the ledger; nothing was taken in from a bank here."""
    return [finding for finding in ledger.audit() if "suspense" not in finding
            and not finding.startswith("到账 L")] == []  # fmt: skip


# --- late


def test_late_money_opens_the_order_again_and_pays_it():
    order, payment = expired()

    share = money(payment)

    assert (share.kept_fen, share.owed_fen) == (PRICE, 0)
    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert kinds(order) == ["PLACED", "EXPIRED", "REOPENED", "PAID"]
    assert Stock.objects.get().promised == 1
    assert not Refund.objects.exists()
    assert books.balance(f"held:{payment.merchant}") == PRICE
    assert even()


def nothing_to_change(order):
    pass


def sell_the_last(order):
    Stock.objects.update(on_hand=0)


def raise_the_price(order):
    Sku.objects.update(list_price_fen=PRICE + 1)


def hide(order):
    Product.objects.update(is_private=True)


def withdraw(order):
    Product.objects.update(status="OFF")


@pytest.mark.parametrize(
    ("change", "fen", "days"),
    [
        (sell_the_last, PRICE, 7),
        (raise_the_price, PRICE, 7),
        (hide, PRICE, 7),
        (withdraw, PRICE, 7),
        (nothing_to_change, PRICE - 1, 7),
        (nothing_to_change, PRICE + 1, 7),
        (nothing_to_change, PRICE, 0),
    ],
)
def test_late_money_is_owed_back_where_the_order_cannot_be_opened_again(change, fen, days):
    order, payment = expired()
    change(order)

    share = money(payment, fen, days=days)

    assert (share.kept_fen, share.owed_fen, share.reason) == (0, fen, "LATE")
    assert state(order, payment) == ("CLOSED", "CLOSED")
    assert Refund.objects.get().status == "OWED"
    assert Stock.objects.get().promised == 0
    assert even()


def test_after_the_agreed_days_it_is_too_late():
    order, payment = expired()

    money(payment, at=EXPIRED + 7 * DAY + timedelta(seconds=1))

    assert state(order, payment) == ("CLOSED", "CLOSED")


def test_what_the_buyer_cancelled_stays_so():
    order, payment = waiting()
    orders.cancel(order=order, actor="U1", at=NOON)

    money(payment, at=NOON + DAY)

    assert state(order, payment) == ("CLOSED", "CLOSED")
    assert Refund.objects.get().reason == "LATE"
    assert even()


def test_what_came_in_time_is_taken_back_from_what_is_owed():
    order, payment = expired(paid_fen=40_00)
    assert books.balance("refund_payable:BANK_TRANSFER") == 40_00

    money(payment, 60_00)

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert (payment.received_fen, payment.refunded_fen) == (PRICE, 0)
    assert Refund.objects.get().status == "VOID"
    assert books.balance("refund_payable:BANK_TRANSFER") == 0
    assert even()


def test_two_late_parts_are_the_whole_and_can_be_refunded_together():
    order, payment = expired()
    money(payment, 30_00)
    money(payment, 70_00, txn="L2")

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert list(Receipt.objects.order_by("pk").values_list("kept_fen", "owed_fen")) == [
        (30_00, 0), (70_00, 0),
    ]  # fmt: skip
    assert even()
    orders.cancel(order=order, actor="U1", at=EXPIRED + DAY)
    assert Refund.objects.exclude(status="VOID").get().amount_fen == PRICE
    assert even()


def test_what_a_person_has_given_back_already_is_not_counted():
    order, payment = expired(paid_fen=40_00)
    refunds.approve(refund=Refund.objects.get(), actor="U1", at=EXPIRED)

    money(payment, 60_00)

    assert state(order, payment) == ("CLOSED", "CLOSED")
    assert set(Refund.objects.values_list("amount_fen", "status")) == {
        (40_00, "APPROVED"), (60_00, "OWED"),
    }  # fmt: skip
    assert even()


def test_of_two_late_orders_in_a_batch_the_earlier_gets_the_last_piece():
    sku = make_sku(on_hand=2)
    found = [expired(sku), expired(sku)]
    Stock.objects.update(on_hand=1)
    late = [Arrival(payment.pk, f"L{payment.pk}", PRICE, SUSPENSE) for _, payment in found]

    cashier.confirm(arrivals=late[::-1], at=EXPIRED, reopens={found[0][1].merchant: 7})

    assert [state(*one) for one in found] == [("PAID", "CONFIRMED"), ("CLOSED", "CLOSED")]
    assert even()


# --- reversed


def paid(*, buyer=None, sku=None):
    order, payment = waiting(sku, buyer=buyer)
    money(payment, at=NOON)
    order.refresh_from_db()
    return order, payment


def reverse(*txns, at=NOON + DAY):
    cashier.reverse(channel_txns=txns or ["L1"], method="BANK_TRANSFER", actor="", at=at)


def test_a_reversal_takes_the_money_back_and_freezes_the_order():
    order, payment = paid()

    reverse()

    assert state(order, payment) == ("PAID", "WAITING")
    assert (order.frozen_at, order.freeze_reason) == (NOON + DAY, "REVERSED")
    assert kinds(order)[-1] == "FROZEN"
    assert PaymentEvent.objects.filter(kind="REVERSED").count() == 1
    assert books.balance(SUSPENSE) == books.balance(f"held:{payment.merchant}") == 0
    with pytest.raises(OrderFrozen):
        ship(order)
    assert Stock.objects.get().on_hand == 10
    assert even()


def test_the_same_reversal_twice_changes_nothing():
    paid()
    reverse()
    reverse()

    assert Posting.objects.filter(kind="RECEIPT_REVERSED").count() == 1
    assert OrderEvent.objects.filter(kind="FROZEN").count() == 1
    assert even()


def test_new_money_lets_the_order_go_on():
    sku = make_sku()
    order, payment = paid(buyer=bonded_buyer(sku.product.merchant), sku=sku)
    reverse()
    assert Commission.objects.get().status == "VOID"

    money(payment, txn="L2", at=NOON + 2 * DAY)

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert (order.frozen_at, kinds(order)[-1]) == (None, "REPAID")
    assert Commission.objects.get().status == "PENDING"
    ship(order)
    assert even()


def test_a_person_lets_it_go_on_and_the_merchant_answers_for_the_money():
    order, payment = paid()
    reverse()

    freezing.unfreeze(order=order, reason="老客户", actor="U1", at=NOON + DAY)

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert order.events.get(kind="UNFROZEN").facts == {"reason": "老客户"}
    assert books.balance(f"receivable:{payment.merchant}") == PRICE
    assert books.balance(f"held:{payment.merchant}") == PRICE
    ship(order)
    assert even()


def test_what_the_merchant_answers_for_is_not_refunded_to_the_buyer():
    order, payment = paid()
    reverse()
    freezing.unfreeze(order=order, reason="老客户", actor="U1", at=NOON + DAY)

    orders.cancel(order=Order.objects.get(), actor="U1", at=NOON + DAY)

    assert state(order, payment) == ("CLOSED", "CLOSED")
    assert not Refund.objects.exists()
    assert books.balance(f"receivable:{payment.merchant}") == 0
    assert even()


def test_goods_that_are_on_their_way_do_not_stop_a_reversal():
    order, payment = paid()
    ship(order)

    reverse()

    assert state(order, payment) == ("SHIPPED", "WAITING")
    holding.receive_one(order=order, actor="U1", at=NOON + DAY)
    assert holding.finish(order_numbers=[order.number], at=NOON + 100 * DAY) == 0
    assert books.balance(f"merchant:{payment.merchant}:available") == 0
    assert even()


def test_what_was_paid_out_to_the_merchant_is_his_debt():
    sku = make_sku()
    order, payment = paid(buyer=bonded_buyer(sku.product.merchant), sku=sku)
    ship(order)
    holding.receive_one(order=order, actor="U1", at=NOON + DAY)
    holding.finish(order_numbers=[order.number], at=NOON + 30 * DAY)

    reverse(at=NOON + 31 * DAY)

    assert state(order, payment) == ("DONE", "CONFIRMED")
    assert order.frozen_at
    assert books.balance(f"receivable:{payment.merchant}") == payment.covered_fen == PRICE
    assert books.balance(SUSPENSE) == 0
    assert Commission.objects.get().status == "REVERSED"
    assert even()


@pytest.mark.parametrize(("sent", "owed_fen"), [("APPROVED", 0), ("DONE", PRICE)])
def test_a_reversal_after_the_order_was_cancelled(sent, owed_fen, settings):
    """A refund that has not left is void; one that has is the merchant's loss."""
    order, payment = paid()
    orders.cancel(order=order, actor="U1", at=NOON)
    if sent == "DONE":
        settings.PAYMENT_METHODS = {"BANK_TRANSFER": "tests.payments.channel"}
        refunds.send(refund=Refund.objects.select_related("payment").get(), at=NOON)

    reverse()

    assert Refund.objects.get().status == ("DONE" if owed_fen else "VOID")
    assert books.balance(f"receivable:{payment.merchant}") == owed_fen
    assert books.balance("refund_payable:BANK_TRANSFER") == books.balance(SUSPENSE) == 0
    order.refresh_from_db()
    assert bool(order.frozen_at) is bool(owed_fen)
    assert even()


def test_of_two_parts_one_is_reversed_after_cancelling_and_the_rest_is_still_owed():
    _, payment = waiting()
    money(payment, 60_00, txn="L1", at=NOON)
    money(payment, 40_00, txn="L2", at=NOON)
    orders.cancel(order=Order.objects.get(), actor="U1", at=NOON)

    reverse("L2")

    live = Refund.objects.exclude(status="VOID").get()
    assert (live.amount_fen, live.status) == (60_00, "APPROVED")
    assert Refund.objects.filter(status="VOID").aggregate(fen=Sum("amount_fen"))["fen"] == PRICE
    assert books.balance("refund_payable:BANK_TRANSFER") == 60_00
    assert even()


def test_the_reversal_of_money_that_was_owed_back_concerns_no_order():
    order, payment = expired()
    money(payment, days=0)

    reverse()

    assert Refund.objects.get().status == "VOID"
    assert state(order, payment) == ("CLOSED", "CLOSED")
    assert order.frozen_at is None
    assert even()


def test_the_reversal_of_an_excess_leaves_the_order_alone():
    order, payment = paid()
    money(payment, 25_00, txn="L2", at=NOON)

    reverse("L2")

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert order.frozen_at is None
    assert Refund.objects.get().status == "VOID"
    assert even()


def test_a_part_that_is_reversed_before_all_was_here_is_only_missing_again():
    order, payment = waiting()
    money(payment, 40_00, at=NOON)

    reverse()

    assert state(order, payment) == ("UNPAID", "WAITING")
    assert (payment.received_fen, order.frozen_at) == (0, None)
    assert even()


def lost_then_reversed(settings):
    """An excess that had left already was taken back, a loss; then all the rest was, too."""
    settings.PAYMENT_METHODS = {"BANK_TRANSFER": "tests.payments.channel"}
    order, payment = paid()
    money(payment, 25_00, txn="L2", at=NOON)
    refunds.approve(refund=Refund.objects.get(), actor="U1", at=NOON)
    refunds.send(refund=Refund.objects.select_related("payment").get(), at=NOON)
    reverse("L2")
    order.refresh_from_db()
    assert order.freeze_reason == "LOSS"
    reverse("L1")
    return order, payment


def test_that_the_money_is_missing_counts_more_than_a_loss(settings):
    order, payment = lost_then_reversed(settings)
    order.refresh_from_db()
    assert order.freeze_reason == "REVERSED"

    freezing.unfreeze(order=order, reason="已电话核实", actor="U1", at=NOON + 2 * DAY)

    payment.refresh_from_db()
    assert payment.covered_fen == PRICE  # the merchant answers for what is shipped
    assert even()


def test_new_money_after_a_loss_and_a_reversal_is_the_orders(settings):
    order, payment = lost_then_reversed(settings)

    money(payment, txn="L3", at=NOON + 2 * DAY)

    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert order.frozen_at is None
    assert even()


def test_money_of_shipped_goods_stays_when_another_part_of_it_was_reversed():
    order, payment = waiting()
    money(payment, 60_00, txn="L1", at=NOON)
    money(payment, 40_00, txn="L2", at=NOON)
    ship(order)
    reverse("L1")

    with pytest.raises(StaleState):
        cashier.take_back(channel_txns=["L2"], method="BANK_TRANSFER", actor="U1", at=NOON + DAY)

    payment.refresh_from_db()
    assert payment.received_fen == 40_00
    assert even()


def test_money_of_an_order_that_stands_still_may_be_undone_before_anything_is_shipped():
    """The control: it stays frozen, and waits for all of its money."""
    order, payment = waiting()
    money(payment, 60_00, txn="L1", at=NOON)
    money(payment, 40_00, txn="L2", at=NOON)
    reverse("L1")

    cashier.take_back(channel_txns=["L2"], method="BANK_TRANSFER", actor="U1", at=NOON + DAY)

    assert state(order, payment) == ("PAID", "WAITING")
    assert (payment.received_fen, order.freeze_reason) == (0, "REVERSED")
    money(payment, txn="L3", at=NOON + 2 * DAY)
    assert state(order, payment) == ("PAID", "CONFIRMED")
    assert order.frozen_at is None
    assert even()


def test_an_order_is_frozen_once_and_shipping_looks_under_its_lock():
    order, _ = paid()
    seen_before = Order.objects.prefetch_related("lines").get()
    reverse()

    with pytest.raises(OrderFrozen):
        fulfilment.ship(
            order=seen_before, lines=None, carrier="", tracking_no="", no_logistics=True,
            evidence="", actor="", at=NOON,
        )  # fmt: skip

    assert not order.shipments.exists()
    assert Payment.objects.get().status == "WAITING"
