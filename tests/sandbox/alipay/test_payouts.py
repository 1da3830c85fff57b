"""单笔转账: a number pays once, whatever the network does."""

from typing import Any

import pytest

from tests.sandbox.alipay_shop import Shop

TRANSFER, QUERY = "alipay.fund.trans.uni.transfer", "alipay.fund.trans.common.query"
ORDER = {
    "out_biz_no": "P1",
    "trans_amount": "12.30",
    "product_code": "TRANS_ACCOUNT_NO_PWD",
    "biz_scene": "DIRECT_TRANSFER",
    "order_title": "提现",
    "payee_info": {
        "identity": "buyer@example.com",
        "identity_type": "ALIPAY_LOGON_ID",
        "name": "王小明",
    },
}


def query(shop: Shop, number: str = "P1") -> dict[str, Any]:
    kind = {name: ORDER[name] for name in ("product_code", "biz_scene")}
    return shop.call(QUERY, out_biz_no=number, **kind)


def payouts(shop: Shop) -> list[dict[str, Any]]:
    return list(shop.sandbox.get("/__sandbox__/alipay/payouts").json())


def test_a_number_pays_once(shop: Shop) -> None:
    first, again = shop.call(TRANSFER, **ORDER), shop.call(TRANSFER, **ORDER)

    assert first["status"] == "SUCCESS"
    assert first == again
    assert (query(shop)["status"], query(shop)["trans_amount"]) == ("SUCCESS", "12.30")
    assert shop.call(QUERY, order_id=first["order_id"])["out_biz_no"] == "P1"
    assert len(payouts(shop)) == 1


def test_the_same_number_for_something_else_is_refused(shop: Shop) -> None:
    shop.call(TRANSFER, **ORDER)

    other = shop.call(TRANSFER, **{**ORDER, "trans_amount": "12.31"})

    assert other["sub_code"] == "PAYMENT_INFO_INCONSISTENCY"
    assert query(shop)["trans_amount"] == "12.30"


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"trans_amount": "0.09"}, "EXCEED_LIMIT_SM_MIN_AMOUNT"),
        ({"product_code": "STD_RED_PACKET"}, "INVALID_PARAMETER"),
        ({"payee_info": {**ORDER["payee_info"], "name": ""}}, "ACQ.INVALID_PARAMETER"),  # type: ignore[dict-item]
        (
            {"payee_info": {"identity": "nobody@x.cn", "identity_type": "ALIPAY_USER_ID"}},
            "PAYEE_NOT_EXIST",
        ),
    ],
)
def test_what_cannot_be_paid_is_not(shop: Shop, changed: dict[str, Any], sub_code: str) -> None:
    assert shop.call(TRANSFER, **{**ORDER, **changed})["sub_code"] == sub_code
    assert query(shop)["sub_code"] == "ORDER_NOT_EXIST"


def test_without_money_nothing_is_paid_and_the_same_number_pays_later(shop: Shop) -> None:
    shop.order("faults", kind="no_balance")

    assert shop.call(TRANSFER, **ORDER)["sub_code"] == "PAYER_BALANCE_NOT_ENOUGH"
    assert shop.call(TRANSFER, **ORDER)["status"] == "SUCCESS"


@pytest.mark.parametrize("end", ["SUCCESS", "FAIL", "REFUND"])
def test_dealing_waits_for_its_end(shop: Shop, end: str) -> None:
    shop.order("faults", kind="dealing")
    assert shop.call(TRANSFER, **ORDER)["status"] == "DEALING"
    assert query(shop)["status"] == "DEALING"

    shop.order("payout", out_biz_no="P1", status=end)

    assert query(shop)["status"] == end
    assert ("fail_reason" in query(shop)) == (end != "SUCCESS")


def test_what_has_ended_does_not_end_again(shop: Shop) -> None:
    shop.call(TRANSFER, **ORDER)

    for end in ("FAIL", "SUCCESS"):
        asked = {"out_biz_no": "P1", "status": end}
        assert shop.sandbox.post("/__sandbox__/alipay/payout", asked).status_code == 400
    shop.order("payout", out_biz_no="P1", status="REFUND")

    assert query(shop)["status"] == "REFUND"


def test_unknown_and_yet_paid(shop: Shop) -> None:
    shop.order("faults", kind="unknown_after", method=TRANSFER, out_trade_no="P1")

    assert shop.call(TRANSFER, **ORDER)["code"] == "20000"
    assert query(shop)["status"] == "SUCCESS"
    assert shop.call(TRANSFER, **ORDER)["status"] == "SUCCESS"
    assert len(payouts(shop)) == 1
