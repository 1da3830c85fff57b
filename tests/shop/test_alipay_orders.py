"""An order that may be paid by Alipay: its pieces are kept until nobody can pay for it."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from payments.alipay import tasks
from payments.alipay.models import AlipayTrade
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from shop.inventory.models import Stock
from shop.orders.models import Order
from shop.orders.tasks import expire_unpaid
from tests.factories import client_of, key, make_sku, make_staff, make_user, pay, place
from tests.payments.alipay.conftest import sandbox, sandbox_process, scene  # noqa: F401

pytestmark = pytest.mark.django_db


@pytest.fixture
def shop(scene, settings):  # noqa: F811
    """The real one, whose orders are paid for."""
    settings.PAYABLES = {"ORDER": "shop.payable"}
    settings.MERCHANT_NAME = "members.merchants.queries.name_of"
    return scene


def opened(method="ALIPAY_QR"):
    order = place(make_user(), make_sku(), at=now())
    payment = cashier.open_payment(
        payer_id=order.buyer_id, purpose="ORDER", reference=order.number, method=method, at=now()
    )
    cashier.prepare(payment=payment, at=now())
    return order, payment


def promised():
    return Stock.objects.get().promised


def cancel(order):
    return client_of(order.buyer).post(
        f"/api/v1/orders/{order.number}/cancel", {}, format="json", **key()
    )


def test_while_a_code_is_out_the_buyer_is_told_when_he_can_cancel(shop):
    order, _payment = opened()

    answer = cancel(order)

    assert (answer.status_code, answer.json()["code"]) == (409, "STILL_PAYABLE")
    until = AlipayTrade.objects.get().offered_until
    assert answer.json()["facts"]["until"][:16] == (until + timedelta(hours=8)).isoformat()[:16]
    assert promised() == 1

    shop.grow_old(timedelta(minutes=15, seconds=11))
    assert cancel(order).status_code == 200
    assert (Order.objects.get().status, promised()) == ("CLOSED", 0)


def test_who_has_begun_to_pay_and_cancels_cannot_pay_any_more(shop):
    order, payment = opened()
    shop.scan(payment)

    assert cancel(order).status_code == 200

    assert promised() == 0
    with pytest.raises(AssertionError, match="TRADE_STATUS_ERROR"):
        shop.pay(payment)


def test_staff_too_give_up_only_what_nobody_can_pay(shop):
    order, payment = opened()
    shop.scan(payment)
    shop.switch("not_closable")
    clerk = Client()
    clerk.force_login(make_staff(order.merchant, "OPERATOR"))
    page = f"/admin/shop/order/{order.pk}/cancel/"

    assert "正在支付或刚刚支付" in clerk.post(page, {}).content.decode()
    assert (Order.objects.get().status, promised()) == ("UNPAID", 1)

    assert clerk.post(page, {}).status_code == 302
    assert (Order.objects.get().status, promised()) == ("CLOSED", 0)
    assert shop.trades()[payment.number]["status"] == "TRADE_CLOSED"


@pytest.mark.parametrize("begun", [True, False])
def test_an_order_whose_time_is_over_waits_until_alipay_has_closed_its_trade(shop, begun):
    _order, payment = opened()
    if begun:
        shop.scan(payment)
    over = now() - timedelta(seconds=11)
    Order.objects.update(pay_before=over)
    Payment.objects.update(pay_before=over)
    AlipayTrade.objects.update(offered_until=over, ask_at=over)

    expire_unpaid()
    assert (Order.objects.get().status, promised()) == ("UNPAID", 1)

    tasks.ask_open()
    Order.objects.update(held_until=None)  # its fifteen seconds are over
    expire_unpaid()
    assert (Order.objects.get().status, promised()) == ("CLOSED", 0)
    assert Payment.objects.get().status == "CLOSED"


def test_what_was_paid_another_way_is_not_asked_for_by_our_page(shop):
    order, payment = opened("ALIPAY_LINK")
    pay(order, at=now())

    answer = shop.page(payment, "/alipay")

    assert (answer.status_code, "不需要付款" in answer.content.decode()) == (409, True)
    assert AlipayTrade.objects.get().offered_until is None


def test_the_page_names_the_merchant(shop):
    order, payment = opened("ALIPAY_LINK")

    assert order.merchant.name in shop.page(payment).content.decode()
