"""The sandbox's 发货信息管理: which uploads WeChat takes, which it refuses, what it pushes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.sandbox.merchant import OPENID, TRADE_NO, Merchant
from tests.sandbox.shipping import COMPANIES, ORDER
from tests.sandbox.wechat import APPID, SECRET
from tests.sandbox.wechat_pay.keys import MCHID

Call = Callable[..., dict[str, Any]]
PARCEL = {"tracking_no": "ZT1", "express_company": "ZTO", "item_desc": "明前龙井 250g ×1"}


@pytest.fixture
def call(merchant: Merchant) -> Call:
    """POST to WeChat's API with a token: what it says, without the request's id."""
    asked = {"grant_type": "client_credential", "appid": APPID, "secret": SECRET}
    token = merchant.sandbox.post("/cgi-bin/stable_token", asked).json()["access_token"]

    def post(path: str, **asked: Any) -> dict[str, Any]:
        said = merchant.sandbox.post(f"{path}?access_token={token}", asked).json()
        return dict(said)

    return post


@pytest.fixture
def transaction_id(merchant: Merchant) -> str:
    return str(merchant.paid()["transaction_id"])


def upload(call: Call, transaction_id: str, *parcels: Any, ago: float = 0, **more: Any) -> int:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    asked: dict[str, Any] = {
        "order_key": {"order_number_type": 2, "transaction_id": transaction_id},
        "logistics_type": 1,
        "delivery_mode": 1,
        "shipping_list": [PARCEL] if not parcels else list(parcels),
        "upload_time": at.isoformat(timespec="milliseconds"),
        "payer": {"openid": OPENID},
    }
    return int(call(f"{ORDER}/upload_shipping_info", **{**asked, **more})["errcode"])


def order(call: Call, transaction_id: str) -> dict[str, Any]:
    return dict(call(f"{ORDER}/get_order", transaction_id=transaction_id)["order"])


def test_from_paid_to_settled(merchant: Merchant, call: Call, transaction_id: str) -> None:
    assert order(call, transaction_id)["order_state"] == 1
    assert upload(call, transaction_id) == 0

    known = order(call, transaction_id)
    assert (known["order_state"], known["paid_amount"], known["openid"]) == (2, 8_800, OPENID)
    assert known["shipping"]["finish_shipping_count"] == 1
    assert known["shipping"]["shipping_list"][0]["tracking_no"] == "ZT1"

    merchant.sandbox.control("shipping/confirm", transaction_id=transaction_id)
    assert order(call, transaction_id)["order_state"] == 3
    merchant.sandbox.control("shipping/settle", transaction_id=transaction_id)
    assert order(call, transaction_id)["order_state"] == 4
    assert upload(call, transaction_id, PARCEL | {"tracking_no": "ZT2"}) == 10060002


def test_by_the_merchants_own_number(merchant: Merchant, call: Call, transaction_id: str) -> None:
    key = {"order_number_type": 1, "mchid": MCHID, "out_trade_no": TRADE_NO}

    assert upload(call, "", order_key=key | {"mchid": "1"}) == 268485195
    assert upload(call, "", order_key=key) == 0


def test_the_same_again_is_no_news_and_another_list_is_the_one_correction(
    call: Call, transaction_id: str
) -> None:
    assert upload(call, transaction_id) == 0
    assert upload(call, transaction_id) == 10060023

    assert upload(call, transaction_id, PARCEL | {"tracking_no": "ZT2"}) == 0
    assert order(call, transaction_id)["shipping"]["finish_shipping_count"] == 2
    assert upload(call, transaction_id, PARCEL | {"tracking_no": "ZT3"}) == 10060003
    assert order(call, transaction_id)["shipping"]["shipping_list"][0]["tracking_no"] == "ZT2"


def test_an_upload_that_was_overtaken_is_refused(call: Call, transaction_id: str) -> None:
    assert upload(call, transaction_id) == 0
    assert upload(call, transaction_id, PARCEL | {"tracking_no": "ZT0"}, ago=60) == 268485216


def test_parcels_of_a_split_delivery_add_up(call: Call, transaction_id: str) -> None:
    part = {"delivery_mode": 2, "is_all_delivered": False}
    assert upload(call, transaction_id, PARCEL, **part) == 0
    assert order(call, transaction_id)["order_state"] == 1

    second = PARCEL | {"tracking_no": "ZT2"}
    assert upload(call, transaction_id, second, **part | {"is_all_delivered": True}) == 0
    shipping = order(call, transaction_id)["shipping"]
    assert [one["tracking_no"] for one in shipping["shipping_list"]] == ["ZT1", "ZT2"]
    assert (shipping["finish_shipping"], shipping["finish_shipping_count"]) == (True, 1)


@pytest.mark.parametrize(
    ("parcels", "more", "errcode"),
    [
        ([PARCEL], {"payer": {"openid": "oSomebodyElse"}}, 10060031),
        ([PARCEL | {"item_desc": "茶" * 121}], {}, 10060025),
        ([PARCEL | {"item_desc": ""}], {}, 10060005),
        ([PARCEL | {"tracking_no": ""}], {}, 268485226),
        ([PARCEL | {"express_company": ""}], {}, 268485227),
        ([PARCEL | {"express_company": "NOBODY"}], {}, 10060014),
        ([PARCEL | {"express_company": "SF"}], {}, 10060008),
        (
            [PARCEL | {"express_company": "SF", "contact": {"receiver_contact": "13800138000"}}],
            {},
            10060009,
        ),
        ([PARCEL, PARCEL], {}, 268485228),
        ([PARCEL] * 16, {"delivery_mode": 2, "is_all_delivered": True}, 10060024),
        ([PARCEL], {"delivery_mode": 3}, 268485224),
        ([PARCEL], {"delivery_mode": 2}, 10060007),
        (
            [PARCEL],
            {"delivery_mode": 2, "is_all_delivered": True, "logistics_type": 4},
            10060006,
        ),
        ([PARCEL], {"upload_time": "yesterday"}, 268485216),
        ([PARCEL], {"order_key": {"order_number_type": 3}}, 268485194),
    ],
)
def test_what_wechat_refuses(
    call: Call, transaction_id: str, parcels: list[Any], more: dict[str, Any], errcode: int
) -> None:
    assert upload(call, transaction_id, *parcels, **more) == errcode
    assert order(call, transaction_id)["order_state"] == 1


@pytest.mark.parametrize("kind", [2, 3, 4])
def test_what_no_carrier_brings_needs_no_number(call: Call, transaction_id: str, kind: int) -> None:
    assert upload(call, transaction_id, {"item_desc": "门店自提"}, logistics_type=kind) == 0
    assert order(call, transaction_id)["order_state"] == 2


def test_a_payment_is_known_here_a_while_later(
    merchant: Merchant, call: Call, transaction_id: str
) -> None:
    merchant.sandbox.control("shipping/ingest", seconds=60)
    assert upload(call, transaction_id) == 10060001
    merchant.sandbox.move_clock(61)
    assert upload(call, transaction_id) == 0


def test_nothing_is_sent_for_money_that_went_back(
    merchant: Merchant, call: Call, transaction_id: str
) -> None:
    merchant.refund("R1", 8_800)
    deadline = time.monotonic() + 5
    while order(call, transaction_id)["order_state"] != 5:
        assert time.monotonic() < deadline
        time.sleep(0.05)

    assert upload(call, transaction_id) == 10060004


def test_the_buyer_is_asked_for_his_word_once(
    merchant: Merchant, call: Call, transaction_id: str
) -> None:
    path, asked = f"{ORDER}/notify_confirm_receive", {"transaction_id": transaction_id}
    assert call(path, **asked)["errcode"] == 10060004
    upload(call, transaction_id)
    assert call(path, **asked)["errcode"] == 0
    assert call(path, **asked)["errcode"] == 10060014


def test_what_else_can_be_asked(call: Call, transaction_id: str) -> None:
    assert call(f"{ORDER}/is_trade_managed", appid=APPID)["is_trade_managed"] is True
    assert call(f"{ORDER}/is_trade_managed", appid="wx0")["errcode"] == 40013
    listed = call(f"{ORDER}/get_order_list", order_state=1)["order_list"]
    assert [one["transaction_id"] for one in listed] == [transaction_id]
    carriers = call(COMPANIES)["delivery_list"]
    assert {"delivery_id": "SF", "delivery_name": "顺丰速运"} in carriers


def test_without_a_token_nothing_is_told(merchant: Merchant, transaction_id: str) -> None:
    said = merchant.sandbox.post(f"{ORDER}/get_order", {"transaction_id": transaction_id})

    assert said.json()["errcode"] == 41001
