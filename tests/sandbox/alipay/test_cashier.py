"""The cashier: a signed address in a phone's browser, paid by the form of its page."""

import re
from datetime import datetime, timedelta
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests

from tests.sandbox.alipay_shop import Shop
from tests.sandbox.journal import SHANGHAI


def press(shop: Shop, page: str) -> requests.Response:
    """The button of the page."""
    action = re.search(r'<form method="post" action="([^"]+)">', page)
    token = re.search(r'name="token" value="([^"]+)"', page)
    assert action, page
    assert token, page
    return shop.sandbox.http.post(
        f"{shop.sandbox.base_url}{action[1]}", data={"token": token[1]}, timeout=10
    )


def test_a_buyer_opens_the_cashier_and_pays_by_its_form(shop: Shop) -> None:
    url = shop.wap_url("W1", "88.00", return_url="http://shop.example/back")
    assert shop.query("W1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"

    page = shop.sandbox.http.get(url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert 'name="viewport" content="width=device-width' in page.text
    for shown in ("一箱苹果", "¥88.00", "支付", "W1"):
        assert shown in page.text
    assert shop.query("W1")["trade_status"] == "WAIT_BUYER_PAY"
    paid = press(shop, page.text)

    assert "支付成功" in paid.text
    [told] = shop.heard(1)
    assert shop.verifies(told)
    assert told["trade_status"] == "TRADE_SUCCESS"
    link = re.search(r'href="(http://shop.example/back[^"]*)"', paid.text)
    assert link
    back = dict(parse_qsl(urlsplit(unescape(link[1])).query))
    assert back["out_trade_no"] == "W1"
    assert shop.verifies(back)


def test_pressing_twice_pays_once(shop: Shop) -> None:
    page = shop.sandbox.http.get(shop.wap_url("W1"), timeout=10).text

    assert "支付成功" in press(shop, page).text
    assert "支付成功" in press(shop, page).text
    shop.heard(1)


def test_reloading_is_the_same_trade(shop: Shop) -> None:
    url = shop.wap_url("W1")
    first, second = (shop.sandbox.http.get(url, timeout=10).text for _ in range(2))

    assert first == second


@pytest.mark.parametrize(
    ("amount", "more"),
    [
        ("88.00", {"product_code": "QUICK_WAP_PAY"}),  # the library's own default
        ("88.00", {"product_code": "FAST_INSTANT_TRADE_PAY"}),
        ("88.00", {"time_expire": "2026-01-01 00:00"}),
        ("88.00", {"time_expire": "tomorrow"}),
        ("0", {}),
        ("88.00", {"subject": "苹果 A/B"}),
        ("88.00", {"return_url": "javascript:alert(1)"}),
    ],
)
def test_a_wrong_address_shows_an_error_and_begins_nothing(
    shop: Shop, amount: str, more: dict[str, str]
) -> None:
    page = shop.sandbox.http.get(shop.wap_url("W1", amount, **more), timeout=10).text

    assert "错误代码" in page
    assert "<form" not in page
    assert shop.query("W1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_a_changed_address_shows_an_error(shop: Shop) -> None:
    url = shop.wap_url("W1").replace("88.00", "0.01")

    page = shop.sandbox.http.get(url, timeout=10).text

    assert "invalid-signature" in page
    assert shop.query("W1")["sub_code"] == "ACQ.TRADE_NOT_EXIST"


def test_a_number_cannot_change_its_price(shop: Shop) -> None:
    shop.sandbox.http.get(shop.wap_url("W1", "88.00"), timeout=10)

    page = shop.sandbox.http.get(shop.wap_url("W1", "1.00"), timeout=10).text

    assert "CONTEXT_INCONSISTENT" in page
    assert shop.query("W1")["total_amount"] == "88.00"


def test_after_time_expire_nobody_can_pay(shop: Shop) -> None:
    ends = datetime.now(SHANGHAI) + timedelta(minutes=10)
    url = shop.wap_url("W1", time_expire=f"{ends:%Y-%m-%d %H:%M:%S}")
    page = shop.sandbox.http.get(url, timeout=10).text
    shop.sandbox.move_clock(601)

    assert "交易已关闭" in press(shop, page).text
    assert "错误代码" in shop.sandbox.http.get(url, timeout=10).text
    assert shop.query("W1")["trade_status"] == "TRADE_CLOSED"
    [told] = shop.heard(1)
    assert told["trade_status"] == "TRADE_CLOSED"


def test_a_scanned_code_shows_the_same_cashier(shop: Shop) -> None:
    code = shop.precreate("A1")["qr_code"]

    page = shop.sandbox.http.get(code, timeout=10).text

    assert shop.query("A1")["trade_status"] == "WAIT_BUYER_PAY"
    assert "支付成功" in press(shop, page).text
    assert shop.heard(1)[0]["out_trade_no"] == "A1"


def test_two_codes_of_one_number_are_one_purchase(shop: Shop) -> None:
    first = shop.precreate("A1", "88.00")["qr_code"]
    second = shop.precreate("A1", "87.00")["qr_code"]
    shop.sandbox.http.get(second, timeout=10)

    page = shop.sandbox.http.get(first, timeout=10).text

    assert "CONTEXT_INCONSISTENT" in page
    assert shop.query("A1")["total_amount"] == "87.00"


def test_what_a_shop_calls_its_goods_is_text(shop: Shop) -> None:
    url = shop.wap_url("W1", subject="<b onclick>苹果")

    page = shop.sandbox.http.get(url, timeout=10)

    assert "<b onclick>" not in page.text
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
