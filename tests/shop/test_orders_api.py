from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from shop.catalog.models import Sku
from shop.inventory.models import Stock
from shop.orders.models import Order
from tests.factories import (
    NOON,
    client_of,
    key,
    make_address,
    make_member,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
    place,
)

pytestmark = pytest.mark.django_db
ORDERS, QUOTES = "/api/v1/orders", "/api/v1/quotes"


@pytest.fixture
def buyer():
    return make_user()


@pytest.fixture
def client(buyer):
    return client_of(buyer)


def body(buyer, *lines, **extra):
    return {
        "lines": [{"sku": sku.number, "quantity": quantity} for sku, quantity in lines],
        "address_id": make_address(buyer).number,
        **extra,
    }


def nothing_happened():
    return not Order.objects.exists() and not Stock.objects.filter(promised__gt=0).exists()


def test_an_order_freezes_the_price_and_takes_the_pieces(buyer, client):
    merchant = make_merchant()
    make_member(merchant, user=buyer)
    sku = make_sku(merchant, list_price_fen=100_00, member_price_fen=80_00, min_quantity=3)

    answer = client.post(ORDERS, body(buyer, (sku, 1), remark="送礼"), format="json", **key())

    assert answer.status_code == 201
    order = answer.json()["orders"][0]
    assert order["status"] == "UNPAID"
    assert order["total_fen"] == 80_00
    assert order["actions"] == {"pay": True, "cancel": True, "confirm_receipt": False}
    assert order["consignee"]["province"] == "浙江省"
    Sku.objects.update(list_price_fen=999_00)
    sku.price_rules.update(price_fen=888_00)
    again = client.get(f"{ORDERS}/{order['number']}").json()
    assert again["lines"][0]["unit_price_fen"] == 80_00
    assert again["lines"][0]["price_reason"] == "MEMBER"
    assert Stock.objects.get().promised == 1
    receipt = Order.objects.get().lines.get().receipt
    assert [line["kind"] for line in receipt if line["applied"]] == ["MEMBER"]


def test_lines_of_two_merchants_become_two_orders(buyer, client):
    one, two = make_sku(make_merchant()), make_sku(make_merchant())

    answer = client.post(ORDERS, body(buyer, (one, 1), (two, 2)), format="json", **key())

    orders = answer.json()["orders"]
    assert {order["merchant"]["id"] for order in orders} == {
        one.product.merchant.number,
        two.product.merchant.number,
    }
    assert sum(order["total_fen"] for order in orders) == 300_00


def test_the_quote_tells_which_rule_gave_the_price(buyer, client):
    sku = make_sku(breaks={10: 90_00})

    quote = client.post(
        QUOTES, {"lines": [{"sku": sku.number, "quantity": 10}]}, format="json"
    ).json()

    assert quote["total_fen"] == 900_00
    assert quote["lines"][0]["price_reason"] == "BREAK"
    assert [step["why"] for step in quote["lines"][0]["receipt"]] == ["非最低价", "采用"]


def test_an_order_holds_to_its_quote_or_says_what_changed(buyer, client):
    sku = make_sku()
    lines = [{"sku": sku.number, "quantity": 1}]
    token = client.post(QUOTES, {"lines": lines}, format="json").json()["quote_token"]
    Sku.objects.update(list_price_fen=120_00)

    answer = client.post(ORDERS, body(buyer, (sku, 1), quote_token=token), format="json", **key())

    assert answer.status_code == 409
    assert answer.json()["code"] == "PRICE_CHANGED"
    assert [answer.json()["facts"][word][0][3] for word in ("told", "now")] == [100_00, 120_00]
    assert nothing_happened()


def test_a_quote_token_of_another_buyer_is_worth_nothing(buyer, client):
    sku = make_sku()
    lines = [{"sku": sku.number, "quantity": 1}]
    other = client_of(make_user()).post(QUOTES, {"lines": lines}, format="json").json()

    answer = client.post(
        ORDERS, body(buyer, (sku, 1), quote_token=other["quote_token"]), format="json", **key()
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "PRICE_CHANGED")
    assert nothing_happened()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"price_fen": 1}, 400, "INVALID"),
        ({"total_fen": 1}, 400, "INVALID"),
        ({"guide": "U1"}, 400, "INVALID"),
        ({"lines": []}, 400, "INVALID"),
        ({"lines": "all"}, 400, "INVALID"),
        ({"address_id": "A0"}, 404, "NOT_FOUND"),
        ({"address_id": 7}, 400, "INVALID"),
    ],
)
def test_a_wrong_body_changes_nothing(buyer, client, change, status, code):
    answer = client.post(ORDERS, body(buyer, (make_sku(), 1)) | change, format="json", **key())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert nothing_happened()


@pytest.mark.parametrize("quantity", [0, -1, 1.0, 1.5, "1", True, None, 10**9, 10**30, [1]])
def test_a_quantity_is_a_whole_number_above_zero(buyer, client, quantity):
    asked = body(buyer, (make_sku(), 1))
    asked["lines"][0]["quantity"] = quantity

    answer = client.post(ORDERS, asked, format="json", **key())

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "lines.0.quantity"
    assert nothing_happened()


def test_the_price_of_a_line_is_not_the_clients_to_say(buyer, client):
    asked = body(buyer, (make_sku(), 1))
    asked["lines"][0]["unit_price_fen"] = 1

    assert client.post(ORDERS, asked, format="json", **key()).status_code == 400
    assert nothing_happened()


def test_the_same_sku_twice_is_refused(buyer, client):
    sku = make_sku()

    answer = client.post(ORDERS, body(buyer, (sku, 1), (sku, 1)), format="json", **key())

    assert answer.status_code == 400
    assert nothing_happened()


def test_below_the_minimum_nothing_is_promised(buyer, client):
    sku = make_sku(min_quantity=3)

    answer = client.post(ORDERS, body(buyer, (sku, 2)), format="json", **key())

    assert (answer.status_code, answer.json()["code"]) == (409, "BELOW_MINIMUM")
    assert answer.json()["facts"] == {"sku": sku.number, "min_quantity": 3}
    assert nothing_happened()


def test_one_sold_out_line_stops_the_whole_order(buyer, client):
    plenty, few = make_sku(make_merchant()), make_sku(make_merchant(), on_hand=1)

    answer = client.post(ORDERS, body(buyer, (plenty, 1), (few, 2)), format="json", **key())

    assert (answer.status_code, answer.json()["code"]) == (409, "SOLD_OUT")
    assert nothing_happened()


def test_private_goods_cannot_be_ordered_or_quoted_by_their_number(buyer, client):
    sku = make_sku(is_private=True)
    lines = {"lines": [{"sku": sku.number, "quantity": 1}]}

    unknown = client.post(QUOTES, {"lines": [{"sku": "S0", "quantity": 1}]}, format="json")
    hidden = client.post(QUOTES, lines, format="json")

    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["code"] == unknown.json()["code"]
    assert client.post(ORDERS, body(buyer, (sku, 1)), format="json", **key()).status_code == 404
    assert nothing_happened()


def test_an_address_of_somebody_else_does_not_exist(buyer, client):
    asked = body(buyer, (make_sku(), 1)) | {"address_id": make_address(make_user()).number}

    assert client.post(ORDERS, asked, format="json", **key()).status_code == 404
    assert nothing_happened()


def test_without_a_key_no_order(buyer, client):
    answer = client.post(ORDERS, body(buyer, (make_sku(), 1)), format="json")

    assert (answer.status_code, answer.json()["code"]) == (400, "IDEMPOTENCY_KEY_REQUIRED")
    assert nothing_happened()


def test_the_same_key_gives_the_same_answer_again(buyer, client):
    asked, header = body(buyer, (make_sku(), 1)), key()
    quoted = {"HTTP_IDEMPOTENCY_KEY": f'"{header["HTTP_IDEMPOTENCY_KEY"]}"'}

    first = client.post(ORDERS, asked, format="json", **header)
    second = client.post(ORDERS, asked, format="json", **quoted)

    assert first.json() == second.json()
    assert (second.status_code, second["Idempotent-Replay"]) == (201, "true")
    assert Order.objects.count() == 1


def test_the_same_key_for_another_body_is_refused(buyer, client):
    asked, header = body(buyer, (make_sku(), 1)), key()
    client.post(ORDERS, asked, format="json", **header)

    answer = client.post(ORDERS, asked | {"remark": "改"}, format="json", **header)

    assert (answer.status_code, answer.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Order.objects.count() == 1


def test_a_key_belongs_to_its_user():
    header = {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}
    for buyer in (make_user(), make_user()):
        answer = client_of(buyer).post(
            ORDERS, body(buyer, (make_sku(), 1)), format="json", **header
        )
        assert answer.status_code == 201

    assert Order.objects.count() == 2


def test_a_refusal_leaves_the_key_free(buyer, client):
    sku, header = make_sku(on_hand=0), key()
    asked = body(buyer, (sku, 1))
    assert client.post(ORDERS, asked, format="json", **header).status_code == 409
    Stock.objects.update(on_hand=1)

    assert client.post(ORDERS, asked, format="json", **header).status_code == 201


def test_another_buyers_order_does_not_exist(buyer):
    order = place(buyer, make_sku())
    stranger = client_of(make_user())

    for call in (
        stranger.get(f"{ORDERS}/{order.number}"),
        stranger.post(f"{ORDERS}/{order.number}/cancel", **key()),
        stranger.post(f"{ORDERS}/{order.number}/confirm-receipt", **key()),
    ):
        assert call.status_code == 404
    order.refresh_from_db()
    assert order.status == "UNPAID"


def test_guests_are_told_to_sign_in():
    answer = APIClient().get(ORDERS)

    assert (answer.status_code, answer.json()["code"]) == (401, "NOT_SIGNED_IN")
    assert answer["WWW-Authenticate"].startswith("Bearer")


def test_the_list_costs_the_same_however_long(buyer, client, django_assert_num_queries):
    sku = make_sku(on_hand=99)
    for minute in range(5):
        place(buyer, sku, at=NOON + timedelta(minutes=minute))

    with django_assert_num_queries(4):  # token, orders, lines, skus, shipments
        answer = client.get(ORDERS)

    assert len(answer.json()["results"]) == 5
    assert len(client.get(ORDERS, {"status": "PAID"}).json()["results"]) == 0


def test_only_the_merchants_operators_ship(buyer):
    sku = make_sku()
    order = place(buyer, sku, at=now())
    url = f"{ORDERS}/{order.number}/shipments"
    parcel = {"carrier": "顺丰", "tracking_no": "SF1"}
    mine, other = sku.product.merchant, make_merchant()

    assert client_of(buyer).post(url, parcel, format="json").status_code == 403
    finance = client_of(make_staff(mine, "FINANCE"))
    assert finance.post(url, parcel, format="json").status_code == 403
    stranger = client_of(make_staff(other, "OPERATOR"))
    assert stranger.post(url, parcel, format="json").status_code == 404
    operator = client_of(make_staff(mine, "OPERATOR"))
    unpaid = operator.post(url, parcel, format="json")
    assert (unpaid.status_code, unpaid.json()["code"]) == (409, "NOT_PAID")
    assert operator.post(url, {"carrier": "顺丰"}, format="json").status_code == 400
