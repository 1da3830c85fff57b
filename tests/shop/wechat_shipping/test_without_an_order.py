"""What is paid for and is no order (a top-up) has arrived at once; WeChat is told so too."""

import pytest
from django.utils.timezone import now

from payments.cashier import queries
from payments.cashier import services as cashier
from payments.wechat_pay import services as wechat_pay
from payments.wechat_pay.models import WeChatTrade
from shop.wechat_shipping.models import ShippingReport
from tests.factories import make_user
from tests.payments import payable

pytestmark = pytest.mark.django_db


def test_a_top_up_is_reported_as_virtual(scene, settings):
    settings.PAYABLES = {**settings.PAYABLES, "TOP_UP": "tests.payments.payable"}
    # The money of an order is held for its merchant; this is of no order, and of a test's merchant.
    settings.AUDITS = [path for path in settings.AUDITS if not path.startswith("shop.orders.")]
    payable.told = payable.Told()
    payable.told.amounts["T1"] = 5000
    payment = cashier.open_payment(
        payer_id=make_user().pk, purpose="TOP_UP", reference="T1", method="WECHAT", at=now()
    )
    cashier.prepare(payment=payment, at=now())
    [shown] = queries.shown([payment])
    scene.sandbox.control("wechat-pay/pay", request_payment=shown["instructions"])
    wechat_pay.ask(trade=WeChatTrade.objects.select_related("payment").get(), at=now())

    scene.sweep()

    [told] = scene.uploads()
    assert told["logistics_type"] == 3
    assert told["shipping_list"] == [{"item_desc": "虚拟商品 T1"}]
    report = ShippingReport.objects.get()
    assert (report.status, report.order) == ("REPORTED", None)
