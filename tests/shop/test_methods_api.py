"""How an order can be paid: what is listed is what is taken, with the same words."""

from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings as wiring
from django.db import connection
from django.test.utils import CaptureQueriesContext

from members.accounts.models import WeChatIdentity
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.ledger import services as ledger
from payments.receiving.models import ReceivingAccount
from shop.catalog.models import Category, Product
from shop.orders import services as orders
from tests.factories import (
    client_of,
    key,
    make_account,
    make_merchant,
    make_sku,
    make_user,
    place,
)
from tests.payments.offered import offer
from tests.payments.transfers.bank import transfer_in

pytestmark = pytest.mark.django_db
MORNING = datetime(2026, 6, 18, 1, tzinfo=UTC)  # 9:00 in Shanghai
METHODS, PAYMENTS = "/api/v1/payments/methods", "/api/v1/payments"
H5 = {"HTTP_X_CLIENT": "h5"}


@pytest.fixture(autouse=True)
def shop(settings, time_machine):
    """That takes transfers and WeChat Pay; when the test is over, its books are even."""
    time_machine.move_to(MORNING)
    settings.PAYMENT_METHODS = {
        **settings.PAYMENT_METHODS,
        "WECHAT": "payments.wechat_pay.method",
    }
    make_account()
    yield
    assert ledger.audit() == []


@pytest.fixture
def merchant():
    return make_merchant()


@pytest.fixture
def buyer():
    user = make_user()
    WeChatIdentity.objects.create(
        user=user, appid=wiring.WECHAT_APPID, openid="oBuyer", created_at=MORNING
    )
    return user


@pytest.fixture
def client(buyer):
    return client_of(buyer)


def category(code, parent=None):
    return Category.objects.create(code=code, name=code, parent=parent)


def order_of(buyer, merchant, fen=100_00, kind=None):
    sku = make_sku(merchant, list_price_fen=fen)
    Product.objects.filter(pk=sku.product_id).update(category=kind)
    return place(buyer, sku, at=MORNING)


def listed(client, order, **headers):
    answer = client.get(METHODS, {"order": order.number}, **headers)
    assert answer.status_code == 200, answer.content
    return answer.json()["methods"]


def of(client, order, method, **headers):
    return next(one for one in listed(client, order, **headers) if one["method"] == method)


def pay(client, order, method="BANK_TRANSFER", **headers):
    body = {"order": order.number, "method": method}
    return client.post(PAYMENTS, body, format="json", **key(), **headers)


def refused(client, order, method="BANK_TRANSFER", **headers):
    """POST says what the list says, and nothing is opened."""
    before = Payment.objects.count()
    answer, said = pay(client, order, method, **headers), of(client, order, method, **headers)
    problem = answer.json()

    assert (answer.status_code, problem["code"]) == (409, "METHOD_NOT_OFFERED")
    assert problem["detail"] == said["reason"]
    assert problem["facts"] == {name: said[name] for name in ("method", "reason", "max_fen")}
    assert said["is_offered"] is False
    assert Payment.objects.count() == before
    return said["reason"]


def test_a_fresh_shop_takes_wechat_pay_and_transfers(client, buyer, merchant):
    assert listed(client, order_of(buyer, merchant)) == [
        {
            "method": "WECHAT",
            "title": "微信支付",
            "is_offered": True,
            "reason": None,
            "max_fen": None,
        },
        {
            "method": "BANK_TRANSFER",
            "title": "银行转账",
            "is_offered": True,
            "reason": None,
            "max_fen": None,
        },
        {
            "method": "WALLET",
            "title": "余额支付",
            "is_offered": False,
            "reason": "钱包余额不足",
            "max_fen": 0,
        },
    ]


def test_a_browser_is_not_offered_what_works_in_the_mini_program_only(client, buyer, merchant):
    order = order_of(buyer, merchant)

    methods = [one["method"] for one in listed(client, order, **H5)]
    assert methods == ["BANK_TRANSFER", "WECHAT", "WALLET"]
    assert refused(client, order, "WECHAT", **H5) == "微信支付只能在小程序里使用"
    assert pay(client, order, **H5).status_code == 201


def test_over_the_limit_a_transfer_is_offered_instead(client, buyer, merchant):
    """S002.41."""
    offer("WECHAT", limit_fen=5_000_00)
    small, big = order_of(buyer, merchant, 5_000_00), order_of(buyer, merchant, 5_000_01)

    assert of(client, small, "WECHAT") == {
        "method": "WECHAT",
        "title": "微信支付",
        "is_offered": True,
        "reason": None,
        "max_fen": 5_000_00,
    }
    assert listed(client, big)[0]["method"] == "BANK_TRANSFER"
    said = refused(client, big, "WECHAT")
    assert said == "超过微信支付单笔限额 5,000.00 元，请用银行转账"


def test_the_platforms_own_words_are_shown(client, buyer, merchant):
    offer("WECHAT", limit_fen=1_00, text="超过微信支付单笔限额，请用银行转账")

    said = refused(client, order_of(buyer, merchant), "WECHAT")
    assert said == "超过微信支付单笔限额，请用银行转账"


def test_alipay_is_not_offered_without_a_rule_and_never_inside_wechat(
    client, buyer, merchant, settings
):
    """S002.37, .43.  Any module will do: nothing is ever asked of it here."""
    roads = ("ALIPAY_LINK", "ALIPAY_QR", "ALIPAY_H5")
    settings.PAYMENT_METHODS |= dict.fromkeys(roads, "payments.wechat_pay.method")
    order = order_of(buyer, merchant)
    in_wechat = {**H5, "HTTP_USER_AGENT": "Mozilla/5.0 MicroMessenger/8.0.50"}
    for road in roads:
        assert not of(client, order, road)["is_offered"]
        assert not of(client, order, road, **H5)["is_offered"]
    assert refused(client, order, "ALIPAY_LINK") == "暂不支持支付宝链接，请用银行转账"

    for road in roads:
        offer(road, clients=["H5"] if road == "ALIPAY_H5" else ["MINI_PROGRAM", "H5"])

    def alipay(**headers):
        return {one["method"] for one in listed(client, order, **headers) if one["is_offered"]}

    assert alipay() == {"WECHAT", "ALIPAY_LINK", "ALIPAY_QR", "BANK_TRANSFER"}
    assert alipay(**in_wechat) == {"ALIPAY_LINK", "ALIPAY_QR", "BANK_TRANSFER"}
    assert alipay(**H5) == {*roads, "BANK_TRANSFER"}
    assert "支付宝链接" in refused(client, order, "ALIPAY_H5", **in_wechat)


def test_a_rule_holds_for_its_merchant(client, buyer, merchant):
    offer("BANK_TRANSFER", merchant=merchant.number, limit_fen=1_00)
    offer("BANK_TRANSFER", limit_fen=1_000_00)

    assert of(client, order_of(buyer, merchant), "BANK_TRANSFER")["max_fen"] == 1_00
    assert (
        of(client, order_of(buyer, make_merchant("别家")), "BANK_TRANSFER")["max_fen"] == 1_000_00
    )


def test_a_rule_holds_for_its_category_and_those_below(client, buyer, merchant):
    food = category("food")
    oolong = category("oolong", category("tea", food))
    offer("BANK_TRANSFER", category="tea", status="WITHHELD", text="茶叶请用微信支付")

    assert refused(client, order_of(buyer, merchant, kind=oolong)) == "茶叶请用微信支付"
    assert of(client, order_of(buyer, merchant, kind=food), "BANK_TRANSFER")["is_offered"]
    assert of(client, order_of(buyer, merchant), "BANK_TRANSFER")["is_offered"]


def test_categories_that_stand_in_a_circle_lead_nowhere(client, buyer, merchant):
    first, second = category("first"), category("second")
    Category.objects.filter(pk=first.pk).update(parent=second)
    Category.objects.filter(pk=second.pk).update(parent=first)
    first.refresh_from_db()
    offer("BANK_TRANSFER", category="second", limit_fen=1_00)

    assert of(client, order_of(buyer, merchant, kind=first), "BANK_TRANSFER")["max_fen"] == 1_00


# --- what is open goes on -----------------------------------------------------------------------


def test_a_payment_that_is_open_goes_on_when_its_method_is_withdrawn(client, buyer, merchant):
    order = order_of(buyer, merchant)
    first = pay(client, order).json()
    offer("BANK_TRANSFER", status="WITHHELD")

    assert of(client, order, "BANK_TRANSFER")["is_offered"]
    again = pay(client, order)
    assert (again.status_code, again.json()["number"]) == (201, first["number"])
    transfer_in(Payment.objects.get(), fen=100_00, at=MORNING + timedelta(hours=1))
    order.refresh_from_db()
    assert order.status == "PAID"
    refused(client, order_of(buyer, merchant))


def test_what_is_open_is_still_not_for_a_client_where_it_cannot_work(client, buyer, merchant):
    order = order_of(buyer, merchant)
    opened(order, "WECHAT")

    assert of(client, order, "WECHAT")["is_offered"]
    refused(client, order, "WECHAT", **H5)


def test_a_refusal_leaves_the_order_its_time(client, buyer, merchant):
    """Choosing a transfer gives working days; one that is refused does not."""
    order = order_of(buyer, merchant)
    before = order.pay_before
    offer("BANK_TRANSFER", status="WITHHELD")

    refused(client, order)

    order.refresh_from_db()
    assert order.pay_before == before


# --- a buyer's day ------------------------------------------------------------------------------


def opened(order, method="BANK_TRANSFER", at=MORNING):
    return cashier.open_payment(
        payer_id=order.buyer_id, purpose="ORDER", reference=order.number, method=method, at=at
    )


def test_what_a_buyer_may_pay_in_a_day_counts_what_is_open_and_what_is_paid(
    client, buyer, merchant
):
    offer("BANK_TRANSFER", day_limit_fen=250_00)
    first, second, third = (order_of(buyer, merchant) for _ in range(3))
    pay(client, first)
    transfer_in(Payment.objects.get(), fen=100_00, at=MORNING)
    pay(client, second)

    said = refused(client, third)
    assert said == (
        "超过银行转账每日限额 250.00 元（待支付的也计入），今天还可付 50.00 元，请换一种支付方式"
    )
    assert of(client, third, "BANK_TRANSFER")["max_fen"] == 50_00
    assert of(client, second, "BANK_TRANSFER")["is_offered"]
    assert client_pays_elsewhere(third)


def client_pays_elsewhere(order):
    """Another buyer has a day of his own."""
    other = make_user()
    return pay(client_of(other), order_of(other, order.merchant)).status_code == 201


def test_an_order_that_is_given_up_gives_its_part_of_the_day_back(client, buyer, merchant):
    offer("BANK_TRANSFER", day_limit_fen=100_00)
    first, second = order_of(buyer, merchant), order_of(buyer, merchant)
    pay(client, first)
    refused(client, second)

    orders.cancel(order=first, actor=buyer.number, at=MORNING)

    assert pay(client, second).status_code == 201


@pytest.mark.parametrize(
    ("hours", "is_offered"),
    [(14, False), (15, True), (38, True)],  # 23:00, midnight, 23:00 the next day
)
def test_a_day_ends_at_midnight_in_shanghai(buyer, merchant, time_machine, hours, is_offered):
    offer("BANK_TRANSFER", day_limit_fen=100_00)
    opened(order_of(buyer, merchant))
    later = order_of(buyer, merchant)
    type(later).objects.filter(pk=later.pk).update(pay_before=MORNING + timedelta(days=3))

    time_machine.move_to(MORNING + timedelta(hours=hours))

    assert of(client_of(buyer), later, "BANK_TRANSFER")["is_offered"] is is_offered


def test_a_merchants_daily_limit_counts_its_own_payments_only(client, buyer, merchant):
    offer("BANK_TRANSFER", merchant=merchant.number, day_limit_fen=100_00)
    pay(client, order_of(buyer, make_merchant("别家")))

    assert pay(client, order_of(buyer, merchant)).status_code == 201
    refused(client, order_of(buyer, merchant))


# --- what the front end may ask -----------------------------------------------------------------


def test_only_the_buyer_sees_how_his_order_can_be_paid(buyer, merchant):
    order = order_of(buyer, merchant)
    answer = client_of(make_user()).get(METHODS, {"order": order.number})

    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")


def test_looking_changes_nothing(client, buyer, merchant):
    order = order_of(buyer, merchant)
    before = type(order).objects.values().get()
    listed(client, order)

    assert type(order).objects.values().get() == before
    assert not Payment.objects.exists()


def test_an_order_that_is_not_to_be_paid_any_more_says_so(client, buyer, merchant):
    order = order_of(buyer, merchant)
    orders.cancel(order=order, actor=buyer.number, at=MORNING)

    answer = client.get(METHODS, {"order": order.number})
    assert (answer.status_code, answer.json()["detail"]) == (409, "订单不是待付款状态")


@pytest.mark.parametrize(
    ("params", "headers"),
    [
        ({}, {}),
        ({"order": "X", "client": "h5"}, {}),
        ({"order": "X"}, {"HTTP_X_CLIENT": "tv"}),
        ({"order": "X"}, {"HTTP_X_CLIENT": ""}),
    ],
)
def test_what_is_asked_wrongly_is_a_400(client, params, headers):
    assert client.get(METHODS, params, **headers).status_code == 400


def test_a_payment_names_a_client_that_there_is(client, buyer, merchant):
    answer = pay(client, order_of(buyer, merchant), HTTP_X_CLIENT="tv")

    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "X-Client")


def test_what_would_be_refused_when_it_is_opened_is_not_offered(client, merchant):
    """No receiving account, and a buyer who never logged in with WeChat."""
    ReceivingAccount.objects.update(is_active=False)
    stranger = make_user()
    order, his = order_of(stranger, merchant), client_of(stranger)

    for method, code in (("BANK_TRANSFER", "NO_RECEIVING_ACCOUNT"), ("WECHAT", "NO_WECHAT_LOGIN")):
        answer, said = pay(his, order, method), of(his, order, method)
        assert (answer.status_code, answer.json()["code"]) == (409, code)
        assert said["reason"] == answer.json()["detail"]
        assert (said["is_offered"], said["max_fen"]) == (False, 0)


# --- what it costs ------------------------------------------------------------------------------


def asked_of(what):
    with CaptureQueriesContext(connection) as asked:
        what()
    return [query["sql"] for query in asked.captured_queries]


def test_the_list_costs_the_same_however_many_rules_and_lines(client, buyer, merchant):
    """Order with its categories, open payments, rules, and what each method asks; the token.

    Two of a wallet that is empty: the buyer's number, and his gift cards.
    """
    order = order_of(buyer, merchant)
    assert len(asked_of(lambda: listed(client, order))) == 9

    for code in ("tea", "silk", "wood"):
        offer("BANK_TRANSFER", category=code, day_limit_fen=500_00)
        offer("WECHAT", merchant=merchant.number, category=code, day_limit_fen=500_00)
    assert len(asked_of(lambda: listed(client, order))) == 9

    offer("BANK_TRANSFER", day_limit_fen=500_00)
    offer("WECHAT", day_limit_fen=500_00)
    assert len(asked_of(lambda: listed(client, order))) == 10  # what he spends, by all of them


def test_the_ordinary_road_asks_for_the_rules_and_never_for_a_day(client, buyer, merchant):
    plain = asked_of(lambda: pay(client, order_of(buyer, merchant)))
    about = [sql for sql in plain if "methodrule" in sql]
    assert len(about) == 1
    assert not [sql for sql in plain if "payments of a day" in sql or "SUM(" in sql]

    offer("BANK_TRANSFER", limit_fen=500_00)
    assert len(asked_of(lambda: pay(client, order_of(buyer, merchant)))) == len(plain)

    offer("BANK_TRANSFER", day_limit_fen=900_00)
    more = asked_of(lambda: pay(client, order_of(buyer, merchant)))
    assert len(more) == len(plain) + 2
    assert len([sql for sql in more if "payments of a day" in sql or "SUM(" in sql]) == 2
