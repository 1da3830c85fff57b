"""A clerk clears the queue with keys and mouse, on a desk and on a phone."""

import os
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from django.utils.timezone import now

from payments.cashier import refunds
from payments.cashier.models import Payment, Refund, RefundPart
from payments.ledger import services as ledger
from payments.ledger.queries import balance
from payments.transfers.models import StatementLine
from tests.admin.stage import Side, make_side
from tests.browser.test_admin import READ, WIDER, english, log_in
from tests.payments.transfers.bank import arrive, booking, icbc_csv, imported, push

pytestmark = pytest.mark.django_db(transaction=True)
QUEUE = "/admin/payments/statementline/queue/"
ACCOUNT = "755900000221"


@pytest.fixture
def side(live_server: Any) -> Side:
    return make_side("甲号", ACCOUNT)


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
    found = arrive(*rows, account_no=ACCOUNT, at=at)
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


# --- what comes seldom: money of ours that is back, and one booking under two names


@pytest.fixture
def paid_out(side: Side) -> Refund:
    """The refund of a cancelled order, as the bank has paid it."""
    refund = side.rows["payments.Refund"]
    assert isinstance(refund, Refund)
    for pk in refunds._begin(refund, now()):
        part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=pk)
        refunds._leave(part, "OUT1", now())
    refunds.conclude(refund, now())
    refund.refresh_from_db()
    assert refund.status == "DONE"
    return refund


@pytest.fixture
def twin(side: Side) -> StatementLine:
    """Pushed with a serial, and in a file without one."""
    at = now() - timedelta(minutes=5)
    row = booking(8_00, remark="茶叶", payer_name="孙五", booked_at=at)
    push(row, account_no=ACCOUNT, at=at)
    imported(icbc_csv([row], own=ACCOUNT), at=at, account_no=ACCOUNT)
    return StatementLine.objects.get(facts__has_key="held_as")


def test_b_names_the_payout_that_came_back_and_shows_what_the_bank_kept(
    page, side, paid_out, live_server
):
    at = now() - timedelta(minutes=5)
    told = {"remark": f"退汇 {paid_out.number}", "is_reversal": True, "booked_at": at}
    (credit,) = arrive(booking(paid_out.amount_fen - 150, **told), account_no=ACCOUNT, at=at)
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(f"{live_server.url}{QUEUE}?verdict=CONFLICT")
    shown(page, credit)

    page.keyboard.press("b")
    page.wait_for_selector("[data-ask]")
    assert page.input_value("[name=payout]") == paid_out.number
    assert "相差 ¥1.50" in page.inner_text("[data-ask]")
    page.fill("[name=reason]", "银行回单注明扣费")
    confirm(page)
    assert "确认是银行扣的" in page.inner_text("[data-ask]")
    assert (verdict(credit), balance(f"fee:{ACCOUNT}")) == ("CONFLICT", 0)
    photograph(page, "bounce")

    page.fill("[name=fee_fen]", "1.50")
    page.focus("[name=reason]")
    confirm(page)

    paid_out.refresh_from_db()
    assert (verdict(credit), paid_out.status) == ("REVERSED", "FAILED")
    assert balance(f"fee:{ACCOUNT}") == 150
    assert ledger.audit() == []
    page.goto(f"{live_server.url}{QUEUE}?line={credit.number}")
    assert "银行扣费 ¥1.50" in page.inner_text(".wb-detail")
    assert not page.wrongs


def test_t_takes_in_what_only_seemed_to_be_known_and_u_leaves_it_out_again(
    page, side, twin, live_server
):
    before = balance(f"suspense:{ACCOUNT}")
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(f"{live_server.url}{QUEUE}?verdict=CONFLICT")
    shown(page, twin)

    page.keyboard.press("t")
    confirm(page)
    assert (verdict(twin), balance(f"suspense:{ACCOUNT}")) == ("UNMATCHED", before + 8_00)
    shown(page, twin)

    page.keyboard.press("u")
    shown(page, twin)
    confirm(page)
    assert (verdict(twin), balance(f"suspense:{ACCOUNT}")) == ("CONFLICT", before)
    assert ledger.audit() == []
    assert not page.wrongs


def test_what_seems_to_be_known_names_its_other_and_is_ignored_with_i(
    page, side, twin, live_server
):
    log_in(page, live_server.url, side.people["FINANCE"].username)
    page.goto(f"{live_server.url}{QUEUE}?verdict=CONFLICT")
    shown(page, twin)
    assert f"疑似同一笔 {twin.facts['held_as']}" in page.inner_text(".wb-detail")
    photograph(page, "take-in")
    assert not english(page.evaluate(READ))

    page.goto(f"{live_server.url}{QUEUE}?line={twin.number}")
    page.keyboard.press("i")
    page.fill("[name=reason]", "与已收录的是同一笔")
    confirm(page)
    assert verdict(twin) == "IGNORED"
    assert not page.wrongs


def photograph(page: Any, name: str) -> None:
    """Kept where SIYU_PICTURES says; what a person sees must fit anyway."""
    assert page.evaluate(WIDER) <= 0
    if into := os.environ.get("SIYU_PICTURES"):
        page.screenshot(path=f"{into}/{name}.png", full_page=True)


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
