"""The audit is silent where all is well, and speaks where somebody's money hangs in the air."""

from datetime import timedelta

import pytest

from payments.cashier.models import Payment, Refund
from payments.ledger import services as ledger
from shop.checkout.services import AmountTooLarge
from shop.inventory.models import Stock
from shop.orders import holding
from shop.orders.models import Order
from tests.factories import NOON, make_merchant, make_sku, make_user, open_payment, pay, place, ship
from tests.payments.transfers.bank import transfer_in

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def closed(order, at=NOON):
    """As no service leaves it."""
    Order.objects.filter(pk=order.pk).update(
        status="CLOSED", closed_at=at, close_reason="BUYER", paid_at=None
    )
    Stock.objects.update(promised=0)


def test_every_state_an_order_goes_through_is_even():
    merchant = make_merchant(after_sale_days=7)
    order = place(make_user(), make_sku(merchant))
    payment = open_payment(order)
    assert ledger.audit() == []
    for fen in (30_00, 20_00, 70_00):
        transfer_in(payment, fen=fen)
        assert ledger.audit() == []
    ship(order)
    assert ledger.audit() == []
    holding.receive_one(order=order, actor="", at=NOON + DAY)
    assert ledger.audit() == []
    holding.finish(order_numbers=[order.number], at=NOON + 9 * DAY)
    assert ledger.audit() == []
    transfer_in(payment, fen=1_00)
    assert ledger.audit() == []
    Refund.objects.update(status="FAILED")
    assert ledger.audit() == []


def test_a_part_that_a_closed_order_keeps_is_told():
    order = place(make_user(), make_sku())
    pay(order, fen=40_00)
    closed(order)

    found = "\n".join(ledger.audit())

    assert f"订单 {order.number} 状态 CLOSED，应付 100.00 元，净收 40.00 元" in found


def test_a_payment_that_waits_for_a_closed_order_is_told():
    order = place(make_user(), make_sku())
    payment = open_payment(order)
    closed(order)

    assert ledger.audit() == [f"订单 {order.number} 已关闭，支付单 {payment.number} 却仍待支付"]


def test_a_paid_order_that_still_waits_is_told():
    order = place(make_user(), make_sku())
    pay(order)
    Order.objects.update(status="UNPAID", paid_at=None)

    assert ledger.audit() == [f"订单 {order.number} 状态 UNPAID，应付 100.00 元，净收 100.00 元"]


def test_money_marked_as_refunded_without_a_refund_is_told():
    order = place(make_user(), make_sku())
    payment = pay(order)
    Payment.objects.update(refunded_fen=10_00)

    assert f"支付单 {payment.number} 已退 10.00 元，退款单合计 0.00 元" in ledger.audit()


def test_an_amount_that_no_column_holds_is_refused():
    sku = make_sku(list_price_fen=10**15, on_hand=100_000)

    with pytest.raises(AmountTooLarge):
        place(make_user(), sku, quantity=100_000)

    assert not Order.objects.exists()
    assert Stock.objects.get().promised == 0
