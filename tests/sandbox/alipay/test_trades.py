"""From the QR code to the last refund, driven by a library that is not ours."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.sandbox.alipay_shop import Shop


def test_a_code_becomes_a_trade_when_it_is_scanned_and_the_shop_is_told_when_it_is_paid(
    shop: Shop,
) -> None:
    code = shop.precreate("A1", "88.00")
    assert code["code"] == "10000"
    assert code["qr_code"].startswith(f"{shop.sandbox.base_url}/alipay/qr?code=bax")
    assert shop.query("A1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"

    shop.order("scan", out_trade_no="A1")
    waiting = shop.query("A1")
    assert waiting["trade_status"] == "WAIT_BUYER_PAY"
    assert waiting["receipt_amount"] == "0.00"

    shop.order("pay", out_trade_no="A1")
    [told] = shop.heard(1)
    assert shop.verifies(told)
    assert told["trade_status"] == "TRADE_SUCCESS"
    assert told["total_amount"] == "88.00"
    assert told["seller_id"] == "2088000000000001"
    assert told["app_id"] == "2021000000000001"
    assert told["subject"] == "一箱苹果"
    assert told["trade_no"] == waiting["trade_no"]
    assert "refund_fee" not in told


def test_a_part_given_back_leaves_success_and_the_rest_closes(shop: Shop) -> None:
    shop.paid("A1")

    part = shop.refund("A1", "30.00", "R1")
    assert (part["fund_change"], part["refund_fee"]) == ("Y", "30.00")
    told = shop.heard(2)[1]
    assert shop.verifies(told)
    assert told["trade_status"] == "TRADE_SUCCESS"
    assert (told["refund_fee"], told["out_biz_no"]) == ("30.00", "R1")
    assert shop.query("A1")["trade_status"] == "TRADE_SUCCESS"

    rest = shop.refund("A1", "58.00", "R2")
    assert (rest["fund_change"], rest["refund_fee"]) == ("Y", "88.00")
    closed = shop.query("A1")
    assert closed["trade_status"] == "TRADE_CLOSED"
    assert closed["send_pay_date"]
    assert shop.trade("A1")["refunded_fen"] == 8_800


def test_a_refund_asked_twice_is_made_once_and_another_amount_is_refused(shop: Shop) -> None:
    shop.paid("A1")

    first, again = shop.refund("A1", "30.00", "R1"), shop.refund("A1", "30.00", "R1")
    other = shop.refund("A1", "30.01", "R1")

    assert [first["fund_change"], again["fund_change"]] == ["Y", "N"]
    assert again["refund_fee"] == "30.00"
    assert other["sub_code"] == "ACQ.DISCORDANT_REPEAT_REQUEST"
    assert shop.trade("A1")["refunded_fen"] == 3_000


@pytest.mark.parametrize(
    ("amount", "request_no", "sub_code"),
    [
        ("88.01", "R1", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL"),
        ("0.00", "R1", "ACQ.INVALID_PARAMETER"),
        ("1.001", "R1", "ACQ.INVALID_PARAMETER"),
        ("-1.00", "R1", "ACQ.INVALID_PARAMETER"),
        ("30.00", "", "ACQ.INVALID_PARAMETER"),  # a part needs its number
    ],
)
def test_a_refund_that_cannot_be_moves_nothing(
    shop: Shop, amount: str, request_no: str, sub_code: str
) -> None:
    shop.paid("A1")

    assert shop.refund("A1", amount, request_no)["sub_code"] == sub_code
    assert shop.trade("A1")["refunded_fen"] == 0


def test_refunds_at_one_moment_never_give_back_more_than_was_paid(shop: Shop) -> None:
    shop.paid("A1", "10.00")

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda i: shop.refund("A1", "3.00", f"R{i}"), range(8)))

    assert sum(one["code"] == "10000" for one in said) == 3
    assert shop.trade("A1")["refunded_fen"] == 900


def test_a_refund_query_says_what_was_done_and_nothing_of_what_was_not(shop: Shop) -> None:
    shop.paid("A1")
    shop.refund("A1", "30.00", "R1")

    done = shop.client.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="A1")
    unknown = shop.client.api_alipay_trade_fastpay_refund_query("R9", out_trade_no="A1")
    no_trade = shop.client.api_alipay_trade_fastpay_refund_query("R1", out_trade_no="B1")

    assert (done["refund_amount"], done["refund_status"]) == ("30.00", "REFUND_SUCCESS")
    assert done["total_amount"] == "88.00"
    assert unknown == {"code": "10000", "msg": "Success"}
    assert no_trade["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_close_needs_a_trade_and_leaves_a_code_that_nobody_scanned_alive(shop: Shop) -> None:
    shop.precreate("A1")

    assert shop.client.api_alipay_trade_close("A1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"
    shop.order("scan", out_trade_no="A1")
    assert shop.client.api_alipay_trade_close("A1")["code"] == "10000"
    assert shop.query("A1")["trade_status"] == "TRADE_CLOSED"
    again = shop.sandbox.post("/__sandbox__/alipay/pay", {"out_trade_no": "A1"})
    assert again.status_code == 409
    assert shop.heard(0) == []


def test_a_paid_trade_is_not_closed(shop: Shop) -> None:
    shop.paid("A1")

    refused = shop.client.api_alipay_trade_close("A1")

    assert refused["sub_code"] == "ACQ.TRADE_STATUS_ERROR"
    assert refused["out_trade_no"] == "A1"
    assert shop.query("A1")["trade_status"] == "TRADE_SUCCESS"


def test_cancel_closes_what_is_not_paid_and_gives_back_what_is(shop: Shop) -> None:
    shop.precreate("A1")
    shop.order("scan", out_trade_no="A1")
    shop.paid("A2")

    unpaid, paid = (shop.client.api_alipay_trade_cancel(number) for number in ("A1", "A2"))
    nothing = shop.client.api_alipay_trade_cancel("A3")

    assert (unpaid["action"], paid["action"]) == ("close", "refund")
    assert "action" not in nothing
    assert nothing["code"] == "10000"
    assert [shop.trade(number)["refunded_fen"] for number in ("A1", "A2")] == [0, 8_800]
    assert {shop.trade(number)["status"] for number in ("A1", "A2")} == {"TRADE_CLOSED"}


def test_cancel_comes_too_late_after_a_day(shop: Shop) -> None:
    shop.paid("A1")
    shop.sandbox.move_clock(86_400)

    assert shop.client.api_alipay_trade_cancel("A1")["sub_code"] == "ACQ.TRADE_CANCEL_TIME_OUT"


def test_a_number_is_one_purchase(shop: Shop) -> None:
    shop.precreate("A1", "88.00")
    shop.order("scan", out_trade_no="A1")

    assert shop.precreate("A1", "88.00")["code"] == "10000"
    assert shop.precreate("A1", "87.00")["sub_code"] == "ACQ.CONTEXT_INCONSISTENT"
    shop.order("pay", out_trade_no="A1")
    assert shop.precreate("A1", "88.00")["sub_code"] == "ACQ.TRADE_HAS_SUCCESS"
    shop.refund("A1", "88.00", "R1")
    assert shop.precreate("A1", "88.00")["sub_code"] == "ACQ.TRADE_HAS_CLOSE"


def test_a_code_lives_two_hours_and_an_unpaid_trade_until_its_end(shop: Shop) -> None:
    shop.precreate("A1")
    shop.precreate("A2", timeout_express="5m")
    shop.order("scan", out_trade_no="A2")

    shop.sandbox.move_clock(200)
    assert shop.query("A2")["trade_status"] == "WAIT_BUYER_PAY"
    shop.sandbox.move_clock(101)
    assert shop.query("A2")["trade_status"] == "TRADE_CLOSED"
    assert "send_pay_date" not in shop.query("A2")

    shop.sandbox.move_clock(7_200)
    late = shop.sandbox.post("/__sandbox__/alipay/scan", {"out_trade_no": "A1"})
    assert late.json()["code"] == "ACQ.QR_CODE_EXPIRED"
    assert shop.query("A1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_after_the_refund_window_a_trade_is_finished(shop: Shop) -> None:
    shop.paid("A1")
    shop.paid("A2")
    shop.order("finish", out_trade_no="A1")
    shop.sandbox.move_clock(90 * 86_400 + 1)

    for number in ("A1", "A2"):
        assert shop.query(number)["trade_status"] == "TRADE_FINISHED"
        assert shop.refund(number, "1.00", "R1")["sub_code"] == "ACQ.TRADE_HAS_FINISHED"


def test_a_buyer_who_paid_another_amount_shows_everywhere(shop: Shop) -> None:
    shop.precreate("A1", "88.00")
    shop.order("pay", out_trade_no="A1", amount_fen=1)

    [told] = shop.heard(1)

    assert shop.verifies(told)
    assert told["total_amount"] == shop.query("A1")["total_amount"] == "0.01"


@pytest.mark.parametrize(
    ("amount", "more"),
    [
        ("0.00", {}),
        ("1e3", {}),
        ("100000000.01", {}),
        ("88.00", {"notify_url": "http://example.com/hook"}),
        ("88.00", {"notify_url": "http://127.0.0.1/hook?id=1"}),
        ("88.00", {"timeout_express": "5 minutes"}),
    ],
)
def test_a_precreate_that_cannot_be_is_refused(
    shop: Shop, amount: str, more: dict[str, str]
) -> None:
    assert shop.precreate("A1", amount, **more)["sub_code"] == "ACQ.INVALID_PARAMETER"


def test_a_trade_is_found_by_alipays_number_too(shop: Shop) -> None:
    shop.paid("A1")
    trade_no = shop.trade("A1")["trade_no"]

    assert len(trade_no) == 28
    assert shop.client.api_alipay_trade_query(trade_no=trade_no)["out_trade_no"] == "A1"
