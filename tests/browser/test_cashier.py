"""The cashier page in a real browser: a buyer pays by Alipay, on a phone and at a desk."""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings as shop
from django.utils.timezone import now

from payments.alipay.models import AlipayLink
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from tests.browser.test_admin import READ, WIDER, both_sizes, english
from tests.payments.alipay.conftest import sandbox, sandbox_process, scene  # noqa: F401
from tests.payments.alipay.scene import HOOK, give_up

pytestmark = pytest.mark.django_db(transaction=True)
NARROW = {"width": 320, "height": 568}
WECHAT = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 MicroMessenger/8.0.50"


@pytest.fixture
def address(scene, settings, live_server) -> str:  # noqa: F811
    """The link of a payment; Alipay tells this very server of it."""
    settings.PUBLIC_URL = live_server.url
    settings.ALIPAY = {**shop.ALIPAY, "notify_url": live_server.url + HOOK}
    payment = scene.opened(128_00, method="ALIPAY_LINK")
    return str(scene.instructions(payment)["pay_url"])


def fits(page: Any) -> None:
    assert page.evaluate(WIDER) <= 0


@both_sizes
def test_a_buyer_opens_the_link_pays_at_alipay_and_sees_that_it_is_paid(page, address):
    page.goto(address)
    assert "向 西湖茶业 付款" in page.inner_text(".payee")
    assert page.inner_text(".sum") == "¥128.00"
    first = page.inner_text("[data-left]")
    page.wait_for_function(
        "was => document.querySelector('[data-left]').innerText != was", arg=first
    )
    assert re.fullmatch(r"\d\d:\d\d:\d\d", page.inner_text("[data-left]"))
    fits(page)

    page.click("text=打开支付宝付款")
    page.click("button:has-text('支付')")
    page.click("text=返回商家")

    page.wait_for_url(address)
    page.locator("h1:has-text('支付成功')").wait_for()
    fits(page)
    assert Payment.objects.get().status == "CONFIRMED"
    assert not page.wrongs


def test_the_page_that_is_still_open_turns_by_itself(page, scene, address):  # noqa: F811
    """Paid on another screen, or in Alipay's own app, which does not lead back."""
    page.goto(address)
    scene.follow(Payment.objects.get())
    scene.pay(Payment.objects.get())

    page.locator("h1:has-text('支付成功')").wait_for(timeout=10_000)
    assert not page.wrongs


def test_until_alipay_s_word_is_here_it_says_confirming_and_no_more(
    page,
    scene,  # noqa: F811
    address,
):
    scene.switch("drop")
    page.goto(address)
    page.click("text=打开支付宝付款")
    page.click("button:has-text('支付')")
    page.click("text=返回商家")

    page.locator("text=确认中").wait_for()
    assert urlsplit(page.url).path.endswith("/back")
    assert "支付成功" not in page.inner_text("main")
    page.click("text=还没有付款，返回付款页")
    page.locator("text=打开支付宝付款").wait_for()
    assert not page.wrongs


def test_when_the_time_runs_out_the_page_says_so(page, address):
    soon = now() + timedelta(seconds=2)
    AlipayLink.objects.update(expires_at=soon)
    page.goto(address)

    page.locator("h1:has-text('已过期')").wait_for(timeout=10_000)
    assert not page.wrongs


def test_in_wechat_s_browser_the_link_is_copied(chromium, address):
    context = chromium.new_context(
        user_agent=WECHAT, viewport=NARROW, permissions=["clipboard-read", "clipboard-write"]
    )
    page = context.new_page()
    page.goto(address)
    fits(page)
    assert "请复制链接到手机浏览器打开" in page.inner_text(".elsewhere")
    assert not page.locator("text=打开支付宝付款").count()

    page.click("[data-copy]")

    page.locator("text=已复制，请打开手机浏览器粘贴").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == address
    context.close()


def test_without_a_script_the_button_still_leads_to_alipay(chromium, address):
    context = chromium.new_context(java_script_enabled=False, viewport=NARROW)
    page = context.new_page()
    page.goto(address)
    page.click("text=打开支付宝付款")
    page.click("button:has-text('支付')")
    page.click("text=返回商家")
    page.locator("text=确认中").or_(page.locator("text=支付成功")).first.wait_for()
    context.close()


@pytest.mark.parametrize(
    "size", [NARROW, {"width": 390, "height": 844}, {"width": 1280, "height": 800}]
)
def test_every_state_is_chinese_fits_and_asks_nobody_else(
    page,
    scene,  # noqa: F811
    address,
    size,
):
    page.set_viewport_size(size)

    def look(path: str = "", words: str = "") -> None:
        page.goto(address + path)
        assert words in page.inner_text("main")
        fits(page)
        assert not english(page.evaluate(READ))

    look("", "打开支付宝付款")
    look("/back", "确认中")
    look("x", "链接无效")
    page.wrongs.clear()  # a page that is not there is an error for the console
    AlipayLink.objects.update(expires_at=now())
    look("", "已过期")
    give_up(Payment.objects.get())
    cashier.close(purpose="ORDER", references=[Payment.objects.get().reference], at=now())
    look("", "已取消")
    assert not page.wrongs
    assert {urlsplit(url).netloc for url in page.asked if not url.startswith("data:")} == {
        urlsplit(address).netloc
    }
