"""The gateway: who may speak, how it answers, and each way in which an answer fails."""

import json
from datetime import UTC, datetime
from http.client import RemoteDisconnected
from typing import Any
from urllib.error import HTTPError

import pytest
from alipay import AliPay
from alipay.exceptions import AliPayException, AliPayValidationError

from tests.sandbox import keys
from tests.sandbox.alipay_shop import Shop

QUERY = "alipay.trade.query"


def send(shop: Shop, data: dict[str, Any], **changed: str) -> dict[str, Any]:
    """A request signed by the library and then changed on its way."""
    signed = dict(pair.split("=", 1) for pair in shop.client.sign_data(data).split("&"))
    query = "&".join(f"{name}={value}" for name, value in {**signed, **changed}.items())
    answer = shop.sandbox.get(f"/alipay/gateway.do?{query}")
    assert answer.status_code == 200
    return dict(json.loads(answer.text))


def asked(shop: Shop, **more: str) -> dict[str, Any]:
    return {**shop.client.build_body(QUERY, {"out_trade_no": "A1"}), **more}


def test_a_changed_request_is_refused_and_nothing_is_done(shop: Shop) -> None:
    data = shop.client.build_body(
        "alipay.trade.precreate",
        {"out_trade_no": "A1", "total_amount": "88.00", "subject": "货"},
    )

    said = send(shop, data, biz_content='{"out_trade_no":"A1","total_amount":"0.01"}')

    inner = said["alipay_trade_precreate_response"]
    assert (inner["code"], inner["sub_code"]) == ("40002", "isv.invalid-signature")
    assert said["sign"]
    scan = shop.sandbox.post("/__sandbox__/alipay/scan", {"out_trade_no": "A1"})
    assert scan.status_code == 409


def test_another_key_is_refused(shop: Shop, tmp_path: Any) -> None:
    private, public = keys.pair(tmp_path, "stranger")
    stranger = AliPay("2021000000000001", None, private.read_text(), public.read_text())

    said = shop.sandbox.get(
        f"/alipay/gateway.do?{stranger.client_api(QUERY, {'out_trade_no': 'A1'})}"
    ).json()

    assert said["alipay_trade_query_response"]["sub_code"] == "isv.invalid-signature"


@pytest.mark.parametrize(
    ("more", "sub_code"),
    [
        ({"app_id": "2021000000000009"}, "isv.invalid-app-id"),
        ({"sign_type": "RSA"}, "isv.invalid-signature-type"),
        ({"charset": "gbk"}, "isv.invalid-charset"),
        ({"version": "2.0"}, "isv.invalid-parameter"),
        ({"timestamp": "2026-01-01 00:00:00"}, "isv.invalid-timestamp"),
        ({"timestamp": "1764000000"}, "isv.invalid-timestamp"),
        ({"timestamp": ""}, "isv.missing-timestamp"),
        ({"biz_content": "[]"}, "isv.invalid-parameter"),
    ],
)
def test_a_bad_envelope_is_refused(shop: Shop, more: dict[str, str], sub_code: str) -> None:
    said = send(shop, asked(shop, **more))

    assert said["alipay_trade_query_response"]["sub_code"] == sub_code


def test_a_clock_on_utc_is_refused(shop: Shop) -> None:
    utc = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"

    said = send(shop, asked(shop, timestamp=utc))["alipay_trade_query_response"]

    assert said["sub_code"] == "isv.invalid-timestamp"


def test_an_unknown_method_and_a_parameter_twice_are_refused_unsigned(shop: Shop) -> None:
    unknown = send(shop, {**asked(shop), "method": "alipay.trade.give"})
    twice = send(shop, asked(shop), app_id="2021000000000001&app_id=2021000000000001")

    assert unknown["error_response"]["sub_code"] == "isv.invalid-method"
    assert twice["error_response"]["sub_code"] == "isv.invalid-parameter"
    assert "sign" not in unknown
    with pytest.raises(AliPayException):
        shop.call("alipay.trade.give")


def test_a_form_is_as_good_as_a_query(shop: Shop) -> None:
    body = shop.client.client_api(QUERY, {"out_trade_no": "A1"})

    answer = shop.sandbox.http.post(
        f"{shop.sandbox.base_url}/alipay/gateway.do",
        data=body,
        headers={"Content-Type": "application/x-www-form-urlencoded;charset=utf-8"},
        timeout=10,
    )

    assert answer.headers["Content-Type"] == "text/html;charset=utf-8"
    assert answer.json()["alipay_trade_query_response"]["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_the_signature_is_of_the_text_as_it_stands(shop: Shop) -> None:
    data = shop.client.build_body(
        "alipay.trade.precreate",
        {"out_trade_no": "A1", "total_amount": "88.00", "subject": "货"},
    )
    answer = shop.sandbox.get(f"/alipay/gateway.do?{shop.client.sign_data(data)}").text
    raw = answer.removeprefix('{"alipay_trade_precreate_response":').partition(',"sign"')[0]
    again = json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":"))
    sign = json.loads(answer)["sign"]

    assert shop.client._verify(raw, sign)
    assert not shop.client._verify(again, sign)  # it wrote the slashes of qr_code as \/


# --- what fails, though all was well


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("error_after", HTTPError),
        ("reset_after", RemoteDisconnected),
        ("answer_bad_signature", AliPayValidationError),
        ("answer_other_key", AliPayValidationError),
        ("unbalanced", AliPayValidationError),
    ],
)
def test_done_and_yet_the_shop_cannot_know(shop: Shop, kind: str, error: type[Exception]) -> None:
    shop.paid("A1")
    shop.order("faults", kind=kind, method="alipay.trade.refund")

    with pytest.raises(error):
        shop.refund("A1", "30.00", "R1")

    assert shop.trade("A1")["refunded_fen"] == 3_000
    assert shop.refund("A1", "30.00", "R1")["fund_change"] == "N"
    assert shop.trade("A1")["refunded_fen"] == 3_000


@pytest.mark.parametrize(
    ("kind", "code", "done"),
    [
        ("unknown_after", "20000", 3_000),
        ("system_error", "40004", 3_000),
        ("unknown_before", "20000", 0),
    ],
)
def test_unknown_may_be_done_or_not(shop: Shop, kind: str, code: str, done: int) -> None:
    shop.paid("A1")
    shop.order("faults", kind=kind)

    assert shop.refund("A1", "30.00", "R1")["code"] == code
    assert shop.trade("A1")["refunded_fen"] == done


def test_an_error_before_does_nothing(shop: Shop) -> None:
    shop.paid("A1")
    shop.order("faults", kind="error_before", out_trade_no="A1")

    with pytest.raises(HTTPError, match="503"):
        shop.refund("A1", "30.00", "R1")

    assert shop.trade("A1")["refunded_fen"] == 0


@pytest.mark.parametrize("method", ["close", "cancel"])
def test_not_closable_while_the_buyer_pays(shop: Shop, method: str) -> None:
    shop.precreate("A1")
    shop.order("scan", out_trade_no="A1")
    shop.order("faults", kind="not_closable")

    refused = shop.call(f"alipay.trade.{method}", out_trade_no="A1")

    assert refused["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert shop.query("A1")["trade_status"] == "WAIT_BUYER_PAY"
    assert shop.call(f"alipay.trade.{method}", out_trade_no="A1")["code"] == "10000"


def test_paid_during_close(shop: Shop) -> None:
    shop.precreate("A1")
    shop.order("scan", out_trade_no="A1")
    shop.order("faults", kind="paid_during_close")

    refused = shop.client.api_alipay_trade_close("A1")

    assert refused["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert shop.query("A1")["trade_status"] == "TRADE_SUCCESS"
    assert shop.heard(1)[0]["trade_status"] == "TRADE_SUCCESS"


def test_paid_during_cancel_is_given_back(shop: Shop) -> None:
    shop.precreate("A1")
    shop.order("scan", out_trade_no="A1")
    shop.order("faults", kind="paid_during_close")

    assert shop.client.api_alipay_trade_cancel("A1")["action"] == "refund"
    assert shop.trade("A1")["refunded_fen"] == 8_800


def test_no_fund_change_hides_a_refund_that_was_made(shop: Shop) -> None:
    shop.paid("A1")
    shop.order("faults", kind="no_fund_change")

    assert shop.refund("A1", "30.00", "R1")["fund_change"] == "N"
    found = shop.client.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="A1")
    assert found["refund_status"] == "REFUND_SUCCESS"


def test_a_seller_without_money_refunds_nothing(shop: Shop) -> None:
    shop.paid("A1")
    shop.order("faults", kind="no_balance")

    assert shop.refund("A1", "30.00", "R1")["sub_code"] == "ACQ.SELLER_BALANCE_NOT_ENOUGH"
    assert shop.trade("A1")["refunded_fen"] == 0
    assert shop.refund("A1", "30.00", "R1")["fund_change"] == "Y"


def test_an_unknown_switch_is_said_at_once(shop: Shop) -> None:
    said = shop.sandbox.post("/__sandbox__/alipay/faults", {"kind": "explode"})

    assert said.status_code == 400
