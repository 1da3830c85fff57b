"""A clerk clears the queue with keys and mouse, on a desk and on a phone."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils.timezone import now

from payments.cashier.models import Payment
from payments.ledger import services as ledger
from payments.transfers.models import StatementLine
from tests.admin.stage import Side, make_side
from tests.browser.test_admin import READ, WIDER, english, log_in
from tests.payments.transfers.bank import arrive, booking

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = "/admin/payments/statementline/queue/"


@pytest.fixture
def side(live_server: Any) -> Side:
    return make_side("甲号", "755900000221")


@pytest.fixture
def lines(side: Side) -> dict[str, StatementLine]:
    """What waits, by what is to become of it; the oldest first."""
    at = now() - timedelta(days=2)
    payment = side.rows["payments.Payment"]
    assert isinstance(payment, Payment)
    code = payment.transfer_intent.code
    told = [
        (1_00, f"货款 {code}", "张一"),
        (5_00, "两单一起付", "李二"),
        (2_00, "付错了", "王三"),
        (3_00, "报销", "赵四"),
    ]
    rows = [
        booking(
            fen,
            remark=remark,
            payer_name=payer,
            payer_account=f"62170000111122{n:02d}",
            booked_at=at + timedelta(minutes=n),
        )
        for n, (fen, remark, payer) in enumerate(told)
    ]
    found = arrive(*rows, account_no="755900000221", at=at)
    return dict(zip(("assign", "split", "return", "ignore"), found, strict=True))


def verdict(line: StatementLine) -> str:
    return str(StatementLine.objects.get(pk=line.pk).verdict)


def shown(page: Any, line: StatementLine) -> None:
    """The line is the one that is open on the page."""
    page.locator(f".wb-detail >> text={line.number}").first.wait_for()


def confirm(page: Any) -> None:
    """Enter in the question; the page that follows is a new one."""
    page.wait_for_selector("[data-ask]")
    with page.expect_navigation():
        page.keyboard.press("Enter")


def split(page: Any, number: str, order: str) -> None:
    """5.00 for a payment and an order; the page says what is left while it is typed."""
    page.keyboard.press("s")
    page.fill("[name=number_1]", number)
    page.fill("[name=fen_1]", "3.00")
    page.fill("[name=number_2]", order)
    page.fill("[name=fen_2]", "1.99")
    assert page.inner_text(".wb-rest output") == "¥0.01"
    page.fill("[name=fen_2]", "2.00")
    assert page.inner_text(".wb-rest output") == "¥0.00"
    confirm(page)


def undo(page: Any, line: StatementLine) -> None:
    page.keyboard.press("u")
    shown(page, line)
    confirm(page)
    assert verdict(line) == "UNMATCHED"
    shown(page, line)


def test_a_clerk_clears_the_queue_with_the_keyboard(page, side, lines, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    payment = side.rows["payments.Payment"]
    page.goto(live_server.url + QUEUE)
    shown(page, lines["assign"])

    page.keyboard.press("1")
    confirm(page)
    assert verdict(lines["assign"]) == "MATCHED"
    shown(page, lines["split"])

    split(page, payment.number, side.rows["sent"].number)
    assert verdict(lines["split"]) == "MATCHED"
    shown(page, lines["return"])

    page.keyboard.press("r")
    page.fill("[name=reason]", "付错商家")  # keys mean letters while typing
    confirm(page)
    assert verdict(lines["return"]) == "RETURNING"
    shown(page, lines["ignore"])

    page.keyboard.press("i")
    page.fill("[name=reason]", "juri sn 报销")
    confirm(page)
    assert verdict(lines["ignore"]) == "IGNORED"

    undo(page, lines["ignore"])
    assert ledger.audit() == []
    assert not page.wrongs


def test_keys_move_along_the_list_search_and_help(page, side, lines, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(live_server.url + QUEUE)

    page.keyboard.press("j")
    shown(page, lines["split"])
    for key in ("j", "j", "k"):  # faster than the server
        page.keyboard.press(key)
    shown(page, lines["return"])
    page.go_back()
    page.wait_for_selector(".wb-row.wb-on")
    page.keyboard.press("?")
    page.wait_for_selector(".wb-help[open]")
    assert "核销到第几个候选" in page.inner_text(".wb-help")
    page.keyboard.press("Escape")
    page.keyboard.press("/")
    page.keyboard.type("赵四")
    page.keyboard.press("Enter")
    shown(page, lines["ignore"])
    assert page.locator("[data-row]").count() == 1
    assert page.url.endswith(f"q={quote('赵四')}&sort=oldest")
    assert not page.wrongs


def test_a_key_pressed_while_the_next_line_comes_is_for_that_line(page, side, lines, live_server):
    """j and i at once: it is the second line that is asked about, never the one that was left."""
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(live_server.url + QUEUE)
    shown(page, lines["assign"])

    page.keyboard.press("j")
    page.keyboard.press("i")
    page.fill("[name=reason]", "无关")
    confirm(page)

    assert verdict(lines["split"]) == "IGNORED"
    assert verdict(lines["assign"]) == "SUGGESTED"


@pytest.mark.parametrize("page", ["phone"], indirect=True)
def test_on_the_phone_the_list_comes_first_and_a_thumb_is_enough(page, side, lines, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(live_server.url + QUEUE)
    assert page.is_visible(".wb-list")
    assert not page.is_visible(".wb-detail")
    assert page.evaluate(WIDER) <= 0

    page.click("text=张一")
    shown(page, lines["assign"])
    assert not page.is_visible(".wb-list")
    page.click("[data-candidate='1']")
    page.wait_for_selector("[data-ask]")
    assert page.evaluate(WIDER) <= 0
    with page.expect_navigation():
        page.click("[data-ask] [type=submit]")
    assert verdict(lines["assign"]) == "MATCHED"

    shown(page, lines["split"])
    page.click("[data-key=s]")
    page.wait_for_selector("[data-split]")
    assert page.evaluate(WIDER) <= 0
    page.click("[data-key=Escape]")
    page.wait_for_selector("[data-ask]", state="detached")
    page.click("text=返回列表")
    page.wait_for_selector(".wb-list >> visible=true")
    assert not page.wrongs


def test_without_a_script_links_and_forms_do_the_same(page, chromium, side, lines, live_server):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    context = chromium.new_context(java_script_enabled=False)
    context.add_cookies(page.context.cookies())
    page = context.new_page()
    page.goto(f"{live_server.url}{QUEUE}?line={lines['ignore'].number}")
    page.click("[data-key=i]")
    page.fill("[name=reason]", "报销")
    page.press("[name=reason]", "Enter")
    page.wait_for_load_state()

    assert verdict(lines["ignore"]) == "IGNORED"
    context.close()


@pytest.mark.parametrize("page", ["desktop", "phone"], indirect=True)
def test_every_state_of_the_page_is_chinese_and_fits(page, side, lines, live_server):
    log_in(page, live_server.url, side.people["OWNER"].username)
    number = lines["assign"].number
    states = [f"?line={number}&act={act}" for act in ("split", "return", "ignore", "note")]
    others = ["/admin/payments/linereturn/checks/", "/admin/payments/policy/add/",
              "/admin/payments/policy/trial/", "/admin/payments/linereturn/"]  # fmt: skip
    for address in [*(QUEUE + state for state in ["", *states, "?q=没有"]), *others]:
        answer = page.goto(live_server.url + address)
        assert answer.status == 200, address
        assert page.evaluate(WIDER) <= 0, address
        assert not english(page.evaluate(READ)), address
    assert not page.wrongs
