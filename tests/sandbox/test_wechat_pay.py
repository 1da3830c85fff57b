"""The sandbox's WeChat Pay, driven by a library that is not ours: payments, refunds, signatures."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from tests.sandbox.merchant import OPENID, TRADE_NO, YUAN_88, Merchant, client
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import Sandbox, running

PAY = "/__sandbox__/wechat-pay/pay"
FAR = "2099-01-01T00:00:00+08:00"


def codes(answer: tuple[int, dict[str, object]]) -> tuple[int, object]:
    status, body = answer
    return status, body["code"]


def test_a_payment_from_prepay_to_refund(merchant: Merchant) -> None:
    status, prepay = merchant.pay()
    assert status == 200
    assert prepay["prepay_id"].startswith("wx")
    assert merchant.query()[1]["trade_state"] == "NOTPAY"

    merchant.control("pay", prepay_id=prepay["prepay_id"], openid=OPENID)

    (told,) = merchant.heard()
    assert told is not None
    assert (told["event_type"], told["resource_type"]) == (
        "TRANSACTION.SUCCESS",
        "encrypt-resource",
    )
    paid = told["resource"]
    assert paid == merchant.query()[1]
    assert paid["amount"] == YUAN_88 | {"payer_currency": "CNY", "payer_total": 8_800}
    assert (paid["appid"], paid["mchid"], paid["out_trade_no"]) == (APPID, keys.MCHID, TRADE_NO)
    assert (paid["trade_state"], paid["payer"]["openid"]) == ("SUCCESS", OPENID)
    by_id = json.loads(merchant.library.query(transaction_id=paid["transaction_id"])[1])
    assert by_id == paid

    assert merchant.refund("R1", 800)[1]["status"] == "PROCESSING"
    _, told = merchant.heard()
    assert told is not None
    assert told["event_type"] == "REFUND.SUCCESS"
    refund = told["resource"]
    assert (refund["refund_status"], refund["amount"]["refund"]) == ("SUCCESS", 800)
    assert merchant.refunded("R1")["refund_id"] == refund["refund_id"]
    assert merchant.refunded("R1")["status"] == "SUCCESS"
    assert merchant.query()[1]["trade_state"] == "REFUND"


def test_the_mini_program_pays_with_what_the_merchant_signed(merchant: Merchant) -> None:
    prepay_id = merchant.pay()[1]["prepay_id"]
    given = {
        "timeStamp": str(int(time.time())),
        "nonceStr": "n" * 32,
        "package": f"prepay_id={prepay_id}",
        "signType": "RSA",
    }
    text = [APPID, given["timeStamp"], given["nonceStr"], given["package"]]
    signed = given | {"paySign": merchant.library.sign(text)}

    spoilt = merchant.sandbox.post(PAY, {"request_payment": signed | {"nonceStr": "other"}})
    assert (spoilt.status_code, spoilt.json()["code"]) == (422, "PAY_SIGN_ERROR")
    assert merchant.query()[1]["trade_state"] == "NOTPAY"
    merchant.control("pay", request_payment=signed)
    assert merchant.query()[1]["trade_state"] == "SUCCESS"


# --- prepay ---------------------------------------------------------------------------------------


def test_the_same_number_asks_for_the_same_or_for_nothing(merchant: Merchant) -> None:
    first = merchant.pay()[1]

    assert merchant.pay() == (200, first)
    changed = merchant.pay(amount={"total": 8_801, "currency": "CNY"})
    assert codes(changed) == (400, "INVALID_REQUEST")
    assert codes(merchant.pay(payer={"openid": "another"})) == (400, "INVALID_REQUEST")
    merchant.sandbox.move_clock(7_201)
    assert merchant.pay()[1] != first
    merchant.control("pay", out_trade_no=TRADE_NO)
    assert codes(merchant.pay()) == (400, "ORDERPAID")


@pytest.mark.parametrize(
    "wrong",
    [
        {"out_trade_no": "short"},
        {"out_trade_no": "n" * 33},
        {"out_trade_no": "order 0001"},
        {"out_trade_no": "order@0001"},
        {"description": "鞋" * 128},
        {"attach": "a" * 129},
        {"amount": {"total": 0}},
        {"amount": {"total": 1.0}},
        {"amount": {"total": True}},
        {"amount": {"total": "8800"}},
        {"amount": {"total": 8_800, "currency": "USD"}},
        {"payer": {"openid": ""}},
        {"mchid": "1900000109"},
        {"time_expire": "2026-11-25 10:00:00"},
        {"time_expire": "2026-11-25T10:00:00"},
        {"time_expire": "2020-01-01T00:00:00+08:00"},
        {"time_expire": FAR},
    ],
)
def test_a_prepay_that_is_not_well_formed_is_refused(
    merchant: Merchant, wrong: dict[str, object]
) -> None:
    assert codes(merchant.pay(**wrong)) == (400, "PARAM_ERROR")
    assert merchant.sandbox.get("/__sandbox__/wechat-pay/trades").json()["trades"] == []


def test_the_ends_of_what_may_be_asked_are_taken(merchant: Merchant) -> None:
    for out_no in ("n" * 6, "0aZ_-*" + "n" * 26):
        answer = merchant.pay(out_no, description="鞋" * 127, attach="a" * 128)
        assert answer[0] == 200, answer
        assert merchant.query(out_no)[1]["out_trade_no"] == out_no
    # A | is good too, but this library signs it raw in the path and sends it as %7C.
    assert merchant.pay("or|der")[0] == 200
    assert codes(merchant.query("or|der")) == (401, "SIGN_ERROR")


def test_another_apps_prepay_is_refused(merchant: Merchant) -> None:
    assert codes(merchant.pay(appid="wx0000000000000000")) == (400, "APPID_MCHID_NOT_MATCH")
    assert codes(merchant.query()) == (404, "ORDER_NOT_EXIST")


@pytest.mark.parametrize(("seconds", "again"), [(7_201, True), (7 * 86_400 + 1, False)])
def test_who_comes_too_late_cannot_pay(merchant: Merchant, seconds: int, again: bool) -> None:
    """A prepay is good for two hours and can be renewed; the order ends after seven days."""
    merchant.pay()
    merchant.sandbox.move_clock(seconds)
    pays = {"out_trade_no": TRADE_NO}

    assert merchant.sandbox.post(PAY, pays).json()["code"] == "ORDER_EXPIRED"
    assert merchant.query()[1]["trade_state"] == "NOTPAY"
    assert merchant.pay()[0] == 200
    assert (merchant.sandbox.post(PAY, pays).status_code == 201) is again


# --- close ----------------------------------------------------------------------------------------


def test_what_is_closed_cannot_be_paid_and_what_is_paid_not_closed(merchant: Merchant) -> None:
    merchant.pay()
    assert merchant.close() == (204, None)
    assert merchant.query()[1]["trade_state"] == "CLOSED"
    pays = merchant.sandbox.post(PAY, {"out_trade_no": TRADE_NO})
    assert pays.json()["code"] == "ORDER_CLOSED"
    assert codes(merchant.pay()) == (400, "ORDER_CLOSED")

    merchant.paid("order-000002")
    assert codes(merchant.close("order-000002")) == (400, "ORDERPAID")
    assert codes(merchant.close("order-000003")) == (404, "ORDER_NOT_EXIST")


# --- refunds --------------------------------------------------------------------------------------


def test_never_more_goes_back_than_came(merchant: Merchant) -> None:
    merchant.pay()
    assert codes(merchant.refund("R0", 1)) == (400, "INVALID_REQUEST")
    merchant.control("pay", out_trade_no=TRADE_NO)

    assert merchant.refund("R1", 8_000)[0] == 200
    assert codes(merchant.refund("R2", 801)) == (400, "INVALID_REQUEST")
    assert merchant.refund("R2", 800)[0] == 200
    assert codes(merchant.refund("R3", 1)) == (400, "INVALID_REQUEST")
    merchant.notices()
    assert merchant.refunded("R1")["status"] == merchant.refunded("R2")["status"] == "SUCCESS"


def test_the_same_refund_number_is_the_same_refund(merchant: Merchant) -> None:
    merchant.paid()
    first = merchant.refund("R1", 800)[1]

    assert merchant.refund("R1", 800)[1]["refund_id"] == first["refund_id"]
    assert codes(merchant.refund("R1", 801)) == (400, "INVALID_REQUEST")
    assert merchant.refund("R2", 8_000)[0] == 200


def test_a_refund_of_nothing_known_is_not_found(merchant: Merchant) -> None:
    assert codes(merchant.refund("R1", 800)) == (404, "RESOURCE_NOT_EXISTS")
    status, _ = merchant.library.query_refund("R1")
    assert status == 404


def test_an_abnormal_refund_ends_on_a_card(merchant: Merchant) -> None:
    merchant.paid()
    merchant.switch("abnormal_refund")
    merchant.refund("R1", 8_800)
    merchant.notices()
    refund_id = merchant.refunded("R1")["refund_id"]
    assert merchant.refunded("R1")["status"] == "ABNORMAL"

    status, _ = merchant.library.abnormal_refund(
        refund_id, "R1", "USER_BANK_CARD", "ICBC_DEBIT", "6222020200112233", "王小明"
    )

    assert status == 200
    heard = [told["event_type"] for told in merchant.heard() if told]
    assert heard == ["TRANSACTION.SUCCESS", "REFUND.ABNORMAL", "REFUND.SUCCESS"]
    assert merchant.refunded("R1")["status"] == "SUCCESS"


def test_a_closed_refund_leaves_the_money_to_refund_again(merchant: Merchant) -> None:
    merchant.paid()
    merchant.switch("held_refund")
    merchant.refund("R1", 8_800)
    assert merchant.refunded("R1")["status"] == "PROCESSING"
    merchant.control("refund", out_refund_no="R1", state="CLOSED")

    assert merchant.query()[1]["trade_state"] == "SUCCESS"
    assert merchant.refund("R2", 8_800)[0] == 200
    heard = [told["event_type"] for told in merchant.heard() if told]
    assert heard == ["TRANSACTION.SUCCESS", "REFUND.CLOSED", "REFUND.SUCCESS"]


# --- at once --------------------------------------------------------------------------------------


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    gate = Barrier(len(calls))

    def go(call: Callable[[], Any]) -> Any:
        gate.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(go, calls))


def test_a_trade_is_paid_or_closed_never_both(merchant: Merchant) -> None:
    for number in range(40):
        out_no = f"order-{number:06d}"
        merchant.pay(out_no)
        pays = partial(
            merchant.sandbox.post, "/__sandbox__/wechat-pay/pay", {"out_trade_no": out_no}
        )
        paid, (closed, _) = at_once(pays, partial(merchant.close, out_no))
        state = merchant.query(out_no)[1]["trade_state"]

        assert (paid.status_code, closed, state) in {(201, 400, "SUCCESS"), (400, 204, "CLOSED")}
    paid_trades = [one for one in merchant.notices() if one["status"] == 200]
    known = merchant.sandbox.get("/__sandbox__/wechat-pay/trades").json()["trades"]
    assert len(paid_trades) == sum(one["trade_state"] == "SUCCESS" for one in known)


def test_refunds_at_once_stay_within_what_was_paid(merchant: Merchant) -> None:
    for number in range(8):
        out_no = f"order-{number:06d}"
        merchant.paid(out_no)
        asks = [
            partial(merchant.refund, f"R{number}-{one}", 2_000, out_trade_no=out_no)
            for one in range(8)
        ]
        assert sorted(status for status, _ in at_once(*asks)) == [200] * 4 + [400] * 4


def test_one_number_at_once_is_one_thing(merchant: Merchant) -> None:
    prepays = at_once(*[merchant.pay] * 6)
    assert len({said["prepay_id"] for _, said in prepays}) == 1
    merchant.control("pay", out_trade_no=TRADE_NO)
    refunds = at_once(*[partial(merchant.refund, "R1", 2_000)] * 6)
    assert len({said["refund_id"] for _, said in refunds}) == 1
    assert merchant.refund("R2", 6_800)[0] == 200


# --- the process ----------------------------------------------------------------------------------


def test_after_a_restart_everything_is_known_and_told(merchant: Merchant, tmp_path: Path) -> None:
    home, certificates = tmp_path / "home", tmp_path / "certificates"
    with running(home) as before:
        first = Merchant(before, merchant.hook, client(before, "public_key", certificates))
        first.control("regime", regime="public_key")
        merchant.hook.answers = [500] * 20
        first.paid()
        first.switch("held_refund")
        first.refund("R1", 800)
        first.transfer("T1")
        known = before.get("/__sandbox__/wechat-pay/trades").json()
    merchant.hook.answers = []
    merchant.hook.got.clear()
    with running(home) as after:
        second = Merchant(after, merchant.hook, client(after, "public_key", certificates))

        assert after.get("/__sandbox__/wechat-pay/trades").json() == known
        assert [told and told["event_type"] for told in second.heard()] == ["TRANSACTION.SUCCESS"]
        assert second.refund("R1", 800)[1]["status"] == "PROCESSING"
        assert second.transfer("T1")[1]["state"] == "WAIT_USER_CONFIRM"


def test_a_person_pays_and_receives_by_a_click(merchant: Merchant) -> None:
    merchant.pay(description="<b>鞋</b>")
    merchant.transfer("T1")
    sandbox = merchant.sandbox
    page = sandbox.get("/").text
    assert "&lt;b&gt;鞋" in page
    assert "<b>鞋" not in page
    assert page.count("<button>支付") == page.count("<button>收款") == 1

    def click(where: str, **typed: str) -> str:
        return sandbox.http.post(f"{sandbox.base_url}/wechat-pay/{where}", data=typed).text

    assert "支付成功" in click("pay", out_trade_no=TRADE_NO)
    assert '<p class="said no">该订单已支付' in click("pay", out_trade_no=TRADE_NO)
    assert "已收款" in click("confirm", out_bill_no="T1")
    assert merchant.query()[1]["trade_state"] == "SUCCESS"
    assert merchant.transferred("T1")["state"] == "SUCCESS"
    assert "<button>支付" not in sandbox.get("/").text


def test_a_notice_goes_to_this_machine_only(merchant: Merchant) -> None:
    merchant.hook.url = "https://shop.example/hooks/wechat-pay"
    merchant.paid()
    (tried,) = merchant.notices()
    assert (tried["status"], tried["answer"]) == (0, "not this machine")


def test_a_reset_forgets_trades_and_switches(merchant: Merchant, sandbox: Sandbox) -> None:
    merchant.paid()
    merchant.switch("drop", times=9)
    merchant.notices()
    sandbox.reset()

    assert codes(merchant.query()) == (404, "ORDER_NOT_EXIST")
    merchant.paid()
    assert [one["status"] for one in merchant.notices()] == [200]
