"""Every misfortune that can be ordered of the sandbox's WeChat Pay does what its name says."""

import time
from itertools import pairwise
from typing import Any

import pytest
import requests

from tests.sandbox.merchant import TRADE_NO, Merchant, opened
from tests.sandbox.wechat_pay import keys
from tests.sandbox.wechat_pay.notices import DELAYS
from tests.sandbox.wechat_pay.switches import ANSWER, DEED, FLAWS, NOTICE, WIRE


def true(merchant: Merchant) -> dict[str, Any]:
    return dict(merchant.query()[1])


def resources(merchant: Merchant) -> list[dict[str, Any]]:
    """Of notices that are signed well."""
    return [told["resource"] for told in merchant.heard() if told]


def is_believed(merchant: Merchant, number: int) -> bool:
    """Whether the library takes the notice for true; it raises for some that are not."""
    headers, body, _ = merchant.hook.got[number]
    try:
        return opened(merchant.library, headers, body) is not None
    except ValueError:
        return False


def test_without_a_switch_a_notice_comes_once(merchant: Merchant) -> None:
    merchant.paid()
    assert resources(merchant) == [true(merchant)]


@pytest.mark.parametrize("status", [200, 204])
@pytest.mark.parametrize("body", [b'{"code": "FAIL", "message": "no"}', b"", b"<html>"])
def test_200_and_204_are_taken_whatever_the_body_says(
    merchant: Merchant, status: int, body: bytes
) -> None:
    merchant.hook.answers, merchant.hook.body = [status], body
    merchant.paid()
    assert [one["status"] for one in merchant.notices()] == [status]


def test_anything_else_is_told_again_with_a_new_signature(merchant: Merchant) -> None:
    merchant.hook.answers = [500, 404, 302, 401, 204]
    merchant.paid()
    tried = merchant.notices(20)

    assert [one["status"] for one in tried] == [500, 404, 302, 401, 204]
    assert len(set(merchant.hook.ids())) == 1
    assert len({body for _, body, _ in merchant.hook.got}) == 1
    assert len({headers["Wechatpay-Signature"] for headers, _, _ in merchant.hook.got}) == 5
    waited = [after - before for (*_, before), (*_, after) in pairwise(merchant.hook.got)]
    for given, least in zip(waited, [0.2, 0.4, 1, 2], strict=True):  # PUSH_DELAYS of the fixture
        assert given >= least * 0.95


def test_the_usual_schedule_ends_after_a_day_and_four_minutes() -> None:
    assert len(DELAYS) == 15
    assert sum(DELAYS) == 24 * 3_600 + 4 * 60


def test_drop(merchant: Merchant) -> None:
    merchant.switch("drop")
    merchant.paid()
    assert [one["answer"] for one in merchant.notices()] == ["dropped"]
    assert merchant.hook.got == []
    assert true(merchant)["trade_state"] == "SUCCESS"


@pytest.mark.parametrize(
    ("kind", "ids"), [("double", 1), ("double_at_once", 1), ("double_new_id", 2)]
)
def test_twice(merchant: Merchant, kind: str, ids: int) -> None:
    merchant.switch(kind)
    merchant.paid()
    assert resources(merchant) == [true(merchant)] * 2
    assert len(set(merchant.hook.ids())) == ids


def test_two_at_once_overlap(merchant: Merchant) -> None:
    merchant.switch("double_at_once")
    merchant.paid()
    merchant.notices()
    (*_, first), (*_, second) = merchant.hook.got
    assert abs(second - first) < 1


def test_late(merchant: Merchant) -> None:
    merchant.switch("late", seconds=0.7)
    began = time.monotonic()
    merchant.paid()
    merchant.notices()
    assert merchant.hook.got[0][2] - began >= 0.7


def test_out_of_order(merchant: Merchant) -> None:
    merchant.switch("out_of_order")
    merchant.paid("order-000001")
    merchant.paid("order-000002")
    numbers = [one["out_trade_no"] for one in resources(merchant)]
    assert numbers == ["order-000002", "order-000001"]


@pytest.mark.parametrize(
    ("kind", "differs"),
    [
        ("wrong_amount", {"amount"}),
        ("wrong_currency", {"amount"}),
        ("wrong_mchid", {"mchid"}),
        ("wrong_appid", {"appid"}),
        ("unknown_order", {"out_trade_no"}),
    ],
)
def test_a_false_notice_is_signed_well(merchant: Merchant, kind: str, differs: set[str]) -> None:
    merchant.switch(kind)
    merchant.paid()
    (told,), paid = resources(merchant), true(merchant)
    assert {name for name in paid if told[name] != paid[name]} == differs
    if kind == "wrong_amount":
        assert told["amount"]["total"] == told["amount"]["payer_total"] == 8_801
    if kind == "wrong_currency":
        assert told["amount"]["currency"] == "USD"


def test_a_false_amount_of_refunds_and_transfers(merchant: Merchant) -> None:
    merchant.paid()
    merchant.switch("wrong_amount", on="REFUND.SUCCESS")
    merchant.switch("wrong_amount", on="MCHTRANSFER.BILL.FINISHED")
    merchant.refund("R1", 800)
    merchant.transfer("T1", 5_000)
    merchant.control("transfer", out_bill_no="T1", state="SUCCESS")
    told = {told["event_type"]: told["resource"] for told in merchant.heard() if told}

    assert told["TRANSACTION.SUCCESS"]["amount"]["total"] == 8_800
    assert told["REFUND.SUCCESS"]["amount"]["refund"] == 801
    assert told["MCHTRANSFER.BILL.FINISHED"]["transfer_amount"] == 5_001


@pytest.mark.parametrize("kind", ["bad_signature", "other_key"])
def test_a_forged_notice_comes_and_then_the_true_one(merchant: Merchant, kind: str) -> None:
    merchant.hook.answers = [401]
    merchant.switch(kind)
    merchant.paid()
    assert [one["status"] for one in merchant.notices()] == [401, 200]
    headers = merchant.hook.got[0][0]
    held = keys.ensure(merchant.sandbox.home)
    known = headers["Wechatpay-Serial"] in {held.platform_serial, held.public_key_id}
    assert known is (kind == "bad_signature")
    if known:  # with an unknown serial this library goes and fetches certificates
        assert not is_believed(merchant, 0)
    assert is_believed(merchant, 1)


def test_signtest_probes_before_it_tells(merchant: Merchant) -> None:
    merchant.hook.answers = [401]
    merchant.switch("signtest")
    merchant.paid()
    tried = merchant.notices()

    assert [(one["switch"], one["status"]) for one in tried] == [("signtest", 401), ("", 200)]
    assert merchant.hook.got[0][0]["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
    assert not is_believed(merchant, 0)
    assert is_believed(merchant, 1)


def test_old_timestamp(merchant: Merchant) -> None:
    merchant.switch("old_timestamp")
    merchant.paid()
    merchant.notices()
    age = time.time() - int(merchant.hook.got[0][0]["Wechatpay-Timestamp"])
    assert 3_500 < age < 3_700
    assert is_believed(merchant, 0)  # well signed: this library does not look at the time


def test_other_regime(merchant: Merchant, old_merchant: Merchant) -> None:
    merchant.switch("other_regime")
    merchant.paid()
    merchant.notices()
    held = keys.ensure(merchant.sandbox.home)
    assert merchant.hook.got[0][0]["Wechatpay-Serial"] == held.platform_serial
    assert is_believed(old_merchant, 0)


# --- answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "seen"),
    [("error_after", "500"), ("reset", "aborted"), ("garbage", "support this algorithm")],
)
def test_what_failed_after_it_was_done_is_done(merchant: Merchant, kind: str, seen: str) -> None:
    merchant.paid()
    merchant.switch(kind, on="/v3/refund/*")
    amount = {"refund": 800, "total": 8_800, "currency": "CNY"}
    try:
        got = repr(merchant.library.refund("R1", amount, out_trade_no=TRADE_NO))
    except Exception as trouble:  # the library has no kinds of its own
        got = repr(trouble)
    assert seen in got

    assert merchant.refunded("R1")["amount"]["refund"] == 800
    assert merchant.query()[1]["trade_state"] == "REFUND"


def test_what_failed_before_is_not_done(merchant: Merchant) -> None:
    merchant.switch("error_before")
    status, _ = merchant.library.close(TRADE_NO)
    assert status == 503
    assert merchant.query()[1]["code"] == "ORDER_NOT_EXIST"


def test_slow(merchant: Merchant) -> None:
    merchant.switch("slow", seconds=0.5)
    began = time.monotonic()
    merchant.query()
    assert time.monotonic() - began >= 0.5


@pytest.mark.parametrize("flaw", ["bad_signature", "signtest"])
def test_a_forged_answer_is_not_believed(merchant: Merchant, flaw: str) -> None:
    merchant.pay()
    merchant.switch(f"answer_{flaw}", on="/v3/pay/*")
    with pytest.raises(Exception, match=r"signature|padding|base64"):
        merchant.query()
    assert merchant.query()[0] == 200


def test_old_and_strange_answers(merchant: Merchant) -> None:
    held = keys.ensure(merchant.sandbox.home)
    path = f"/v3/pay/transactions/out-trade-no/{TRADE_NO}"
    seen = []
    send = requests.get

    def listen(*given: Any, **more: Any) -> requests.Response:
        seen.append(send(*given, **more))
        return seen[-1]

    merchant.pay()
    merchant.switch("answer_old_timestamp", on=f"{path}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(requests, "get", listen)
        merchant.query()
        merchant.switch("answer_other_key")
        # An unknown serial makes this library throw its key away and ask for certificates.
        with pytest.raises(Exception, match=r"base 16|signature"):
            merchant.query()

    assert time.time() - int(seen[0].headers["Wechatpay-Timestamp"]) > 3_500
    serial = seen[1].headers["Wechatpay-Serial"]
    assert serial not in {held.platform_serial, held.public_key_id}


# --- the money ------------------------------------------------------------------------------------


def test_a_buyer_at_the_password_cannot_be_closed_upon(merchant: Merchant) -> None:
    merchant.pay()
    merchant.switch("userpaying")

    status, said = merchant.close()

    assert (status, said["code"]) == (202, "USERPAYING")
    assert true(merchant)["trade_state"] == "NOTPAY"
    assert merchant.close() == (204, None)


def test_a_buyer_can_be_faster_than_the_close(merchant: Merchant) -> None:
    merchant.pay()
    merchant.switch("paid_during_close")

    status, said = merchant.close()

    assert (status, said["code"]) == (400, "ORDERPAID")
    assert resources(merchant) == [true(merchant)]
    assert true(merchant)["trade_state"] == "SUCCESS"


def test_a_close_can_spend_a_number_that_was_never_asked_for(merchant: Merchant) -> None:
    merchant.switch("spending_close")
    assert merchant.close() == (204, None)
    status, said = merchant.pay()
    assert (status, said["code"]) == (400, "INVALID_REQUEST")
    assert merchant.query()[1]["code"] == "ORDER_NOT_EXIST"
    assert merchant.close()[1]["code"] == "ORDER_NOT_EXIST"


@pytest.mark.parametrize(
    ("kind", "status"),
    [("abnormal_refund", "ABNORMAL"), ("closed_refund", "CLOSED"), ("held_refund", "PROCESSING")],
)
def test_a_refund_can_end_otherwise(merchant: Merchant, kind: str, status: str) -> None:
    merchant.paid()
    merchant.switch(kind)
    merchant.refund("R1", 800)
    merchant.notices()
    assert merchant.refunded("R1")["status"] == status


def test_the_book_of_another_amount_is_wrong_everywhere(merchant: Merchant) -> None:
    merchant.pay()
    merchant.control("pay", out_trade_no=TRADE_NO, amount_fen=1)
    assert true(merchant)["amount"]["total"] == 1
    assert resources(merchant) == [true(merchant)]


# --- switches -------------------------------------------------------------------------------------


def test_a_switch_works_as_often_as_it_is_told(merchant: Merchant) -> None:
    merchant.switch("drop", times=2)
    for number in range(3):
        merchant.paid(f"order-00000{number}")
    assert [one["switch"] for one in merchant.notices()] == ["drop", "drop", ""]


def test_a_switch_can_wait_for_its_event(merchant: Merchant) -> None:
    merchant.switch("drop", on="REFUND.SUCCESS")
    merchant.paid()
    merchant.refund("R1", 800)
    assert [one["switch"] for one in merchant.notices()] == ["", "drop"]


def test_a_switch_that_is_not_there_is_refused(merchant: Merchant) -> None:
    answer = merchant.sandbox.post("/__sandbox__/wechat-pay/switch", {"kind": "answer_drop"})
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_CONTROL")


def test_every_switch_is_in_the_manual() -> None:
    from tests.sandbox.wechat_pay import switches

    known = NOTICE | WIRE | DEED | {f"{ANSWER}{flaw}" for flaw in FLAWS}
    assert all(f" {kind} " in f"{switches.__doc__} ".replace("\n", " ") for kind in known)
