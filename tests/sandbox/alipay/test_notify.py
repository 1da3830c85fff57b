"""Notifications: the schedule, and each way in which they go wrong."""

import time
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
import requests
from alipay.exceptions import AliPayException

from tests.sandbox.alipay_shop import Shop, client_of, shop_of
from tests.sandbox_fixtures import Sandbox, running, start, stop

SCHEDULE = (240, 600, 600, 3_600, 7_200, 21_600, 54_000)


def pay(shop: Shop, number: str = "A1") -> None:
    shop.precreate(number)
    shop.order("pay", out_trade_no=number)


@pytest.mark.parametrize(
    "answer",
    [(200, b"success\n"), (200, b"SUCCESS"), (200, b"fail"), (500, b"success"), (302, b"success")],
)
def test_only_the_word_success_ends_it(shop: Shop, answer: tuple[int, bytes]) -> None:
    shop.answers = [answer]
    pay(shop)
    shop.heard(1)
    shop.sandbox.move_clock(241)

    first, second = shop.heard(2)

    assert first["notify_id"] == second["notify_id"]
    assert first["notify_time"] < second["notify_time"]
    assert shop.verifies(second)
    shop.sandbox.move_clock(90_000)
    shop.heard(2)


def test_the_documented_schedule_is_kept_and_then_given_up(shop: Shop) -> None:
    shop.answers = [(200, b"fail")] * 20
    pay(shop)
    shop.heard(1)
    for count, seconds in enumerate(SCHEDULE, 2):
        shop.sandbox.move_clock(seconds - 20)
        shop.heard(count - 1)
        shop.sandbox.move_clock(20)
        shop.heard(count)

    shop.sandbox.move_clock(86_400)

    assert len({one["notify_id"] for one in shop.heard(8)}) == 1


@pytest.mark.parametrize(
    ("kind", "field", "wrong"),
    [
        ("wrong_amount", "total_amount", "88.01"),
        ("wrong_seller", "seller_id", "2088000000000002"),
        ("wrong_app", "app_id", "2021000000000002"),
    ],
)
def test_what_is_wrong_is_well_signed_and_the_next_attempt_is_right(
    shop: Shop, kind: str, field: str, wrong: str
) -> None:
    shop.order("faults", kind=kind)
    shop.answers = [(200, b"fail")]
    pay(shop)
    shop.heard(1)
    shop.sandbox.move_clock(241)

    first, second = shop.heard(2)

    assert shop.verifies(first)
    assert first[field] == wrong
    assert shop.verifies(second)
    assert second[field] != wrong


def test_an_order_of_nobody_is_well_signed(shop: Shop) -> None:
    shop.order("faults", kind="unknown_order")
    pay(shop)

    [told] = shop.heard(1)

    assert shop.verifies(told)
    assert told["out_trade_no"].startswith("NOBODY")


@pytest.mark.parametrize("kind", ["bad_signature", "other_key"])
def test_a_worthless_signature_does_not_verify(shop: Shop, kind: str) -> None:
    shop.order("faults", kind=kind)
    pay(shop)

    [told] = shop.heard(1)

    assert told["out_trade_no"] == "A1"
    assert not shop.verifies(told)


def test_an_empty_field_is_not_signed(shop: Shop) -> None:
    shop.order("faults", kind="empty_field")
    pay(shop)

    [told] = shop.heard(1)

    assert told["body"] == ""
    assert shop.verifies(told)
    with_empty = {name: value for name, value in told.items() if name != "sign"}
    assert not shop.client.verify(with_empty, told["sign"])


def test_dropped_is_never_told_and_lost_is_told_later(shop: Shop) -> None:
    shop.order("faults", kind="drop", out_trade_no="A1")
    shop.order("faults", kind="lost", out_trade_no="A2")
    pay(shop, "A1")
    pay(shop, "A2")
    shop.heard(0)
    shop.sandbox.move_clock(90_000)

    assert [told["out_trade_no"] for told in shop.heard(1)] == ["A2"]
    assert shop.query("A1")["trade_status"] == "TRADE_SUCCESS"


@pytest.mark.parametrize(("kind", "ids"), [("double", 1), ("double_new", 2)])
def test_twice_at_one_moment(shop: Shop, kind: str, ids: int) -> None:
    shop.order("faults", kind=kind)
    pay(shop)

    told = shop.heard(2)

    assert len({one["notify_id"] for one in told}) == ids
    assert all(shop.verifies(one) for one in told)


def test_late_comes_when_the_clock_says_so(shop: Shop) -> None:
    shop.order("faults", kind="late", seconds=100)
    pay(shop)
    shop.heard(0)
    shop.sandbox.move_clock(101)

    assert shop.verifies(shop.heard(1)[0])


def test_out_of_order_comes_after_the_next(shop: Shop) -> None:
    shop.order("faults", kind="out_of_order")
    pay(shop)
    shop.heard(0)
    shop.refund("A1", "30.00", "R1")

    told = shop.heard(2)

    assert ["refund_fee" in one for one in told] == [True, False]
    assert all(shop.verifies(one) for one in told)


def test_a_fault_works_as_often_as_was_said(shop: Shop) -> None:
    shop.order("faults", kind="bad_signature", times=2)
    for number in ("A1", "A2", "A3"):
        pay(shop, number)

    assert [shop.verifies(one) for one in shop.heard(3)] == [False, False, True]


def test_wap_tells_of_every_end_and_precreate_only_of_success(shop: Shop) -> None:
    shop.sandbox.http.get(shop.wap_url("W1", timeout_express="5m"), timeout=10)
    shop.sandbox.http.get(shop.wap_url("W2"), timeout=10)
    shop.sandbox.http.get(shop.wap_url("W3"), timeout=10)
    shop.precreate("A1", timeout_express="5m")
    shop.order("scan", out_trade_no="A1")
    for number in ("W2", "W3"):
        shop.order("pay", out_trade_no=number)
    shop.heard(2)
    shop.refund("W2", "88.00", "R1")
    shop.order("finish", out_trade_no="W3")
    shop.heard(4)
    shop.sandbox.move_clock(301)

    told = {(one["out_trade_no"], one["trade_status"]): one for one in shop.heard(5)}

    unpaid, given_back = told["W1", "TRADE_CLOSED"], told["W2", "TRADE_CLOSED"]
    assert ("W3", "TRADE_FINISHED") in told
    assert "refund_fee" not in unpaid
    assert "gmt_payment" not in unpaid
    assert (given_back["refund_fee"], given_back["out_biz_no"]) == ("88.00", "R1")
    assert given_back["gmt_refund"]
    assert shop.query("A1")["trade_status"] == "TRADE_CLOSED"


def test_any_notification_can_be_ordered(shop: Shop) -> None:
    shop.paid("A1")
    [true] = shop.heard(1)

    shop.order("notify", out_trade_no="A1", fields={"trade_status": "WAIT_BUYER_PAY"})
    shop.order("notify", out_trade_no="A1", fields={"notify_id": true["notify_id"]})
    _, odd, replayed = shop.heard(3)

    assert shop.verifies(odd)
    assert odd["trade_status"] == "WAIT_BUYER_PAY"
    assert shop.verifies(replayed)
    assert replayed["notify_id"] == true["notify_id"]
    away = {"out_trade_no": "A1", "url": "http://example.com/"}
    assert shop.sandbox.post("/__sandbox__/alipay/notify", away).status_code == 400


@pytest.mark.parametrize(
    "craft",
    [
        {"fields": {"total_amount": "0.01"}, "key": "other_key"},
        {"key": "bad_signature"},
        {"unsigned": {"total_amount": "0.01"}},  # a second one, after the first
        {"unsigned": {"extra": "1"}},
        {"without": ["buyer_id"]},
        {"key": "sha1", "unsigned": {"sign_type": "RSA2"}},
    ],
)
def test_a_forged_notification_does_not_verify(shop: Shop, craft: dict[str, object]) -> None:
    shop.paid("A1")

    shop.order("notify", out_trade_no="A1", **craft)

    assert not shop.verifies(shop.heard(2)[1])


def test_a_downgraded_signature_says_so_and_is_one(shop: Shop) -> None:
    shop.paid("A1")
    shop.order("notify", out_trade_no="A1", key="sha1")

    downgraded = shop.heard(2)[1]

    assert downgraded["sign_type"] == "RSA"
    with pytest.raises(AliPayException):
        shop.verifies(downgraded)
    shop.client._sign_type = "RSA"
    assert shop.verifies(downgraded)


def test_gbk_is_signed_as_gbk(shop: Shop) -> None:
    shop.paid("A1")
    shop.order("notify", out_trade_no="A1", charset="gbk")
    shop.heard(2)

    told = dict(parse_qsl(shop.bodies[1], encoding="gbk"))

    assert (told["charset"], told["subject"]) == ("gbk", "一箱苹果")
    assert not shop.verifies(told)


def test_a_kill_forgets_neither_trades_nor_what_is_untold(tmp_path: Path) -> None:
    process, base_url = start(tmp_path)
    http = requests.Session()
    with http, shop_of(Sandbox(base_url, tmp_path, http)) as shop:
        shop.answers = [(500, b"")] * 2
        shop.paid("A1")
        shop.refund("A1", "30.00", "R1")
        told = shop.heard(2)
        shop.paid("A2")
        before = [shop.trade("A1"), shop.trade("A2")]
        process.kill()
        assert stop(process) != 0

        with running(tmp_path) as sandbox:
            again = replace(shop, client=client_of(sandbox), sandbox=sandbox)
            assert sandbox.get("/__sandbox__/alipay/trades").json() == before
            assert again.refund("A1", "30.00", "R1")["fund_change"] == "N"
            ids = [one["notify_id"] for one in again.heard(5)[3:]]
            assert sorted(ids) == sorted(one["notify_id"] for one in told)


def test_another_schedule_can_be_asked_for(tmp_path: Path) -> None:
    with running(tmp_path, "--alipay-delays", "0.1,0.1") as sandbox, shop_of(sandbox) as shop:
        shop.answers = [(200, b"fail")] * 9
        pay(shop)
        time.sleep(1)

        shop.heard(3)
