"""The admin in a real browser: it works under its CSP, asks nobody else, and speaks Chinese."""

import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.admin.stage import PASSWORD, Side, make_side, platform
from tests.browser.scene import unknown_bank

pytestmark = pytest.mark.django_db(transaction=True)

# What people read, without the icons (their names are letters) and without what was typed in.
READ = """() => {
    const copy = document.body.cloneNode(true);
    const hide = '.material-symbols-outlined, script, style, template, code';
    copy.querySelectorAll(hide).forEach(one => one.remove());
    document.body.replaceChildren(copy);
    return copy.innerText;
}"""
# Words that are the same in Chinese, and our own names in the stage.
FINE = {"siyu", "platform", "unionid", "openid", "appid", "wxsandbox", "xlsx", "xls", "csv"}
FINE |= {"owner", "operator", "finance"}  # user names of the stage
FINE |= {"held", "merchant", "available", "deposit", "frozen", "paying", "out"}  # account codes
FINE |= {"sandbox"}  # the name of a bank interface
both_sizes = pytest.mark.parametrize("page", ["desktop", "phone"], indirect=True)
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture
def side(live_server: Any) -> Side:
    return make_side("甲号", "755900000221")


def log_in(page: Any, base: str, username: str) -> None:
    page.goto(f"{base}/admin/")
    page.fill("[name=username]", username)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(f"{base}/admin/")


def addresses(side: Side) -> list[str]:
    pk = {label: row.pk for label, row in side.rows.items()}
    return [
        "/admin/",
        "/admin/shop/order/",
        f"/admin/shop/order/{pk['shop.Order']}/change/",
        f"/admin/shop/order/{pk['shop.Order']}/ship/",
        f"/admin/shop/sku/{pk['shop.Sku']}/change/",
        f"/admin/shop/product/{pk['shop.Product']}/change/",
        "/admin/shop/product/add/",
        f"/admin/shop/sku/{pk['shop.Sku']}/adjust/",
        "/admin/payments/statementline/queue/",
        f"/admin/payments/statementline/{pk['hinted']}/change/",
        f"/admin/payments/statementline/{pk['hinted']}/assign/",
        "/admin/payments/statement/upload/",
        "/admin/payments/statement/map_columns/",
        f"/admin/payments/receivingaccount/{pk['payments.ReceivingAccount']}/change/",
        "/admin/payments/virtualaccount/",
        "/admin/payments/dayclose/",
        f"/admin/payments/dayclose/{pk['payments.DayClose']}/change/",
        "/admin/payments/policy/",
        "/admin/payments/policy/add/",
        "/admin/payments/policy/trial/",
        "/admin/payments/linereturn/checks/",
        f"/admin/payments/statement/{pk['payments.Statement']}/change/",
        f"/admin/payments/payment/{pk['payments.Payment']}/change/",
        "/admin/payments/refund/",
        "/admin/payments/account/",
        "/admin/payments/receipt/",
        "/admin/finance/",
        "/admin/members/membership/",
        "/admin/members/guide/enrol/",
        f"/admin/members/merchant/{pk['members.Merchant']}/change/",
        "/admin/members/post/add/",
        "/admin/livestream/session/",
        "/admin/livestream/session/schedule/",
        f"/admin/livestream/lot/{pk['livestream.Lot']}/change/",
        "/admin/password_change/",
    ]


@both_sizes
def test_staff_find_their_way_in_chinese_and_nobody_else_is_asked(page, side, live_server):
    page.goto(f"{live_server.url}/admin/login/")
    read = page.inner_text("body")
    assert "用户名" in read
    assert "登录" in read
    assert not english(page.evaluate(READ))
    log_in(page, live_server.url, side.people["OWNER"].username)

    for address in addresses(side):
        answer = page.goto(live_server.url + address, wait_until="load")
        assert answer.status == 200, address
        assert page.evaluate(WIDER) <= 0, f"{address} is wider than the window"
        found = english(page.evaluate(READ))
        assert not found, f"{address}: {found}"
    assert not page.wrongs
    assert {urlsplit(url).netloc for url in page.asked if not url.startswith("data:")} == {
        urlsplit(live_server.url).netloc
    }


def english(text: str) -> list[str]:
    """Words of small letters; numbers and codes are of capitals."""
    words = re.findall(r"[A-Za-z]*[a-z]{2,}[A-Za-z]*", text)
    return [word for word in words if word.lower() not in FINE]


@both_sizes
def test_the_chart_is_drawn_and_the_menu_counts(page, side, live_server):
    log_in(page, live_server.url, side.people["OWNER"].username)

    page.wait_for_selector("canvas")
    drawn = "c => c.toDataURL().length"
    assert page.eval_on_selector("canvas", drawn) > 2_000
    assert "待发货" in page.inner_text("#content")
    if page.viewport_size["width"] < 1000:
        page.click("text=dock_to_right >> visible=true")
    menu = page.inner_text("#nav-sidebar-apps")
    assert re.search(r"待处理流水\s*\d", menu)
    assert "用户" not in menu


@both_sizes
def test_finance_sees_all_money_drawn_and_the_figures_behind_it(page, side, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    if page.viewport_size["width"] < 1000:
        page.click("text=dock_to_right >> visible=true")
    page.click("#nav-sidebar-apps >> text=资金总览")
    page.wait_for_url("**/admin/finance/")

    drawn = page.eval_on_selector_all("canvas", "all => all.map(one => one.toDataURL().length)")
    assert len(drawn) == 3  # balances, money that came, payouts
    assert min(drawn) > 2_000
    assert page.eval_on_selector_all("canvas", COLOURED) == [True] * 3
    page.click("text=每天日终余额")
    held = page.inner_text("a.fo-card:has-text('担保待放款') strong")
    assert held in page.inner_text(".fo-figures[open] tbody tr:first-child")
    assert page.evaluate(WIDER) <= 0
    page.click("a.fo-card:has-text('担保待放款')")
    page.wait_for_url("**/admin/payments/account/?kind=held")
    assert held in page.inner_text("#result_list")
    assert not page.wrongs


# Whether something beside grey lines was drawn.
COLOURED = """all => all.map(one => {
    const dots = one.getContext('2d').getImageData(0, 0, one.width, one.height).data;
    for (let n = 0; n < dots.length; n += 4)
        if (dots[n + 3] > 200 && Math.abs(dots[n] - dots[n + 2]) > 60) return true;
    return false;
})"""


def test_a_clerk_ships_an_order_by_hand(page, side, live_server):
    log_in(page, live_server.url, side.people["OPERATOR"].username)
    order = side.rows["shop.Order"]
    page.goto(f"{live_server.url}/admin/shop/order/{order.pk}/ship/")
    page.fill("[name=carrier]", "顺丰速运")
    page.click("main button[type=submit], #content button[type=submit]")
    assert "请填写承运商和运单号" in page.inner_text("#content")
    page.fill("[name=tracking_no]", "SF100200300")
    page.click("#content button[type=submit]")
    page.wait_for_url(f"{live_server.url}/admin/shop/order/{order.pk}/change/")

    order.refresh_from_db()
    assert order.status == "SHIPPED"
    assert "SF100200300" in page.inner_text("#content")


@both_sizes
def test_a_clerk_says_once_what_an_unknown_banks_columns_are(page, side, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    account = side.rows["payments.ReceivingAccount"]
    page.goto(f"{live_server.url}/admin/payments/receivingaccount/{account.pk}/change/")
    page.click("a[href*=map_columns]")
    assert page.input_value("[name=account_no]") == account.account_no
    file = {"name": "明细.csv", "mimeType": "text/csv", "buffer": unknown_bank()}
    page.set_input_files("[name=file]", file)
    page.click("#content button[type=submit]")

    page.select_option("[name=role_0]", "serial")
    assert page.input_value("[name=role_1]") == "day"  # the guess
    page.click("[value=look]")
    assert "共 3 笔，收入 2 笔 ¥1,518.00，支出 1 笔 ¥35.00" in page.inner_text("#content")
    assert page.evaluate(WIDER) <= 0
    page.click("[value=keep]")
    page.wait_for_url("**/upload/?account_no=*")

    assert page.input_value("[name=account_no]") == account.account_no
    account.refresh_from_db()
    assert account.columns["serial"] == "单号"
    assert not page.wrongs


def test_the_platform_sees_everything_without_an_error(page, side, live_server):
    log_in(page, live_server.url, platform().username)
    for address in ("/admin/", "/admin/members/user/", "/admin/axes/accessattempt/",
                    f"/admin/members/user/{side.people['BUYER'].pk}/change/",
                    "/admin/members/user/add/", "/admin/shop/category/add/",
                    "/admin/payments/receivingaccount/add/",
                    f"/admin/payments/receivingaccount/{side.pk('payments.ReceivingAccount')}/change/",
                    "/admin/payments/bankday/", "/admin/payments/bankday/add/"):  # fmt: skip
        answer = page.goto(live_server.url + address)
        assert answer.status == 200
        assert page.evaluate(WIDER) <= 0, address
        assert not english(page.evaluate(READ)), address
    assert not page.wrongs


def test_the_api_docs_need_nobody_else_either(page, live_server):
    page.goto(f"{live_server.url}/api/docs/")

    page.get_by_text("/api/v1/orders", exact=True).first.wait_for()
    assert not page.wrongs
    assert {urlsplit(url).netloc for url in page.asked if not url.startswith("data:")} == {
        urlsplit(live_server.url).netloc
    }
