"""Transfers of the sandbox's WeChat Pay to a person, who confirms them, or does not."""

from typing import Any

import pytest

from tests.sandbox.merchant import Merchant, said
from tests.sandbox.wechat_pay.books import OPENING_FEN


def finished(merchant: Merchant) -> list[tuple[str, str]]:
    told = [one["resource"] for one in merchant.heard() if one]
    return [(one["out_bill_no"], one["state"]) for one in told]


def balance(merchant: Merchant) -> int:
    known = merchant.sandbox.get("/__sandbox__/wechat-pay/trades").json()
    return int(known["balances"]["OPERATION"])


def test_a_transfer_waits_for_its_payee(merchant: Merchant) -> None:
    status, begun = merchant.transfer("T1")
    assert (status, begun["state"]) == (200, "WAIT_USER_CONFIRM")
    assert begun["package_info"]
    assert finished(merchant) == []

    merchant.control("transfer", out_bill_no="T1", state="TRANSFERING")
    assert merchant.transferred("T1")["state"] == "TRANSFERING"
    merchant.control("transfer", out_bill_no="T1", state="SUCCESS")

    assert finished(merchant) == [("T1", "SUCCESS")]
    found = merchant.transferred("T1")
    assert (found["state"], found["transfer_amount"]) == ("SUCCESS", 5_000)
    assert found["transfer_bill_no"] == begun["transfer_bill_no"]
    assert balance(merchant) == OPENING_FEN - 5_000
    by_id = merchant.library.mch_transfer_bills_query(transfer_bill_no=begun["transfer_bill_no"])
    assert said(by_id)[1] == found


def test_the_same_number_is_the_same_transfer(merchant: Merchant) -> None:
    """Also with a name: it is sealed anew each time."""
    first = merchant.transfer("T1", 200_000, "王小明")
    assert merchant.transfer("T1", 200_000, "王小明") == first
    for changed in (
        merchant.transfer("T1", 200_000, "王小花"),
        merchant.transfer("T1", 200_001, "王小明"),
    ):
        assert (changed[0], changed[1]["code"]) == (400, "INVALID_REQUEST")
    merchant.control("transfer", out_bill_no="T1", state="SUCCESS")
    assert merchant.transfer("T1", 200_000, "王小明")[1]["state"] == "SUCCESS"
    assert balance(merchant) == OPENING_FEN - 200_000


def test_a_transfer_can_fail_for_a_reason(merchant: Merchant) -> None:
    merchant.transfer("T1")
    merchant.control("transfer", out_bill_no="T1", state="FAIL", fail_reason="NAME_NOT_CORRECT")

    assert merchant.transferred("T1")["fail_reason"] == "NAME_NOT_CORRECT"
    assert finished(merchant) == [("T1", "FAIL")]
    assert balance(merchant) == OPENING_FEN


def test_what_nobody_confirms_in_a_day_fails(merchant: Merchant) -> None:
    merchant.transfer("T1")
    merchant.sandbox.move_clock(86_399 - 60)
    assert merchant.transferred("T1")["state"] == "WAIT_USER_CONFIRM"
    merchant.sandbox.move_clock(62)

    assert finished(merchant) == [("T1", "FAIL")]
    found = merchant.transferred("T1")
    assert (found["state"], found["fail_reason"]) == ("FAIL", "OVERDUE_CLOSE")
    late = {"out_bill_no": "T1", "state": "SUCCESS"}
    answer = merchant.sandbox.post("/__sandbox__/wechat-pay/transfer", late)
    assert answer.status_code == 400


def test_a_transfer_can_be_taken_back_until_it_is_confirmed(merchant: Merchant) -> None:
    merchant.transfer("T1")
    merchant.transfer("T2")
    merchant.control("transfer", out_bill_no="T2", state="SUCCESS")

    status, taken = said(merchant.library.mch_transfer_bills_cancel("T1"))
    assert (status, taken["state"]) == (200, "CANCELING")
    late, refused = said(merchant.library.mch_transfer_bills_cancel("T2"))
    assert (late, refused["code"]) == (400, "INVALID_REQUEST")

    assert finished(merchant) == [("T2", "SUCCESS"), ("T1", "CANCELLED")]
    assert merchant.transferred("T1")["state"] == "CANCELLED"
    assert balance(merchant) == OPENING_FEN - 5_000


def test_more_than_there_is_cannot_be_promised(merchant: Merchant) -> None:
    """What waits for its payee counts as spent."""
    assert merchant.transfer("T1", OPENING_FEN, "王小明")[0] == 200
    status, refused = merchant.transfer("T2", 1)
    assert (status, refused["code"]) == (403, "NOT_ENOUGH")
    merchant.control("transfer", out_bill_no="T1", state="FAIL")
    assert merchant.transfer("T2", 1)[0] == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"out_bill_no": "T-1"},
        {"out_bill_no": "T" * 33},
        {"transfer_amount": 0.5},
        {"transfer_remark": "长" * 33},
        {"transfer_scene_report_infos": []},
        {"appid": "wx0000000000000000"},
        {"transfer_scene_id": "scene"},
    ],
)
def test_a_transfer_that_is_not_well_formed_is_refused(
    merchant: Merchant, wrong: dict[str, Any]
) -> None:
    asked = {
        "out_bill_no": "T1",
        "transfer_scene_id": "1000",
        "openid": "someone",
        "transfer_amount": 5_000,
        "transfer_remark": "退押金",
        "transfer_scene_report_infos": [{"info_type": "活动名称", "info_content": "退押金"}],
        "notify_url": merchant.hook.url,
    }
    status, refused = said(merchant.library.mch_transfer_bills(**{**asked, **wrong}))
    assert (status, refused["code"] in {"PARAM_ERROR", "INVALID_REQUEST"}) == (400, True)
    trades = merchant.sandbox.get("/__sandbox__/wechat-pay/trades").json()
    assert trades["transfers"] == []
