"""交易账单 and 资金账单: columns by name, footers to the fen, names with every sign in them."""

import io
from datetime import datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.channels import wechat_bills
from payments.transfers.parsers.statement import Declared, Source
from tests.payments.parsers.made import counted
from tests.payments.parsers.made_bills import (
    FLOWS,
    FUND,
    FUND_FIGURES,
    MCHID,
    PAID,
    REFUND,
    REFUNDED,
    SUCCESS,
    TRADE_FIGURES,
    TRADES,
    fundflow,
    tradebill,
)
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.merchant import TRADE_NO, Merchant, client, downloaded, listening
from tests.sandbox.wechat_pay import keys


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)
    return refused.value


def figures(statement):
    return counted([row.amount_fen for row in statement.rows])


def test_a_bill_explains_money_and_is_no_banks_statement():
    for content in (tradebill(), fundflow()):
        assert wechat_bills.open(io.BytesIO(content)).source is Source.CHANNEL


def test_an_order_comes_in_and_a_refund_takes_it_back():
    statement = parsers.read(tradebill())

    assert (statement.format, statement.account_no) == ("wechat_tradebill", MCHID)
    assert figures(statement) == Declared(3, 2, 20_000, 1, 3_000)
    paid, _, refunded = statement.rows
    assert (paid.serial, paid.texts[0], paid.is_reversal) == ("4200000001", "P1", False)
    assert (refunded.serial, refunded.reverses) == ("5030000001", "4200000001")
    assert refunded.is_reversal
    assert paid.booked_at.isoformat() == "2026-01-05T08:00:24+08:00"
    assert statement.declared.count == 3


def test_the_bill_of_successes_has_fewer_columns():
    statement = parsers.read(
        tradebill(*TRADES[:2], header=SUCCESS, figures="`2,`200.00,`0.0,`0.0,`1.20,`200.00,`0.0")
    )
    assert figures(statement) == Declared(2, 2, 20_000, 0, 0)


def test_the_bill_of_refunds_says_when_the_money_was_back():
    row = {**REFUNDED, "退款申请时间": "2026-01-05 09:00:00", "退款成功时间": "2026-01-05 09:00:07"}
    statement = parsers.read(
        tradebill(row, header=REFUND, figures="`1,`0.00,`30.00,`0.0,`-0.18,`0.0,`30.00")
    )
    assert statement.rows[0].booked_at.second == 7
    assert figures(statement) == Declared(1, 0, 0, 1, 3_000)


@pytest.mark.parametrize("state", ["PROCESSING", "FAIL", "CHANGE"])
def test_a_refund_that_is_not_through_is_for_a_person(state):
    rows = (*TRADES[:2], {**REFUNDED, "退款状态": state})
    assert state in parsers.read(tradebill(*rows)).rows[2].caution


@pytest.mark.parametrize(
    "goods",
    [
        "茶，红，绿",
        "a,b,,c",
        "单`引号`",
        '"引号" 和 ""',
        "两\n行",
        "两\r\n行",
        "三\n\n行",
        "，`，",
        "（全角）【】｛｝",
        "=1+1",
        "总交易单数",
        "末尾有反引号`",
    ],
)
def test_a_products_name_may_hold_anything_but_the_separator(goods):
    rows = ({**PAID, "商品名称": goods}, *TRADES[1:])

    statement = parsers.read(tradebill(*rows))

    assert figures(statement) == Declared(3, 2, 20_000, 1, 3_000)
    assert goods.replace("\r\n", "\n") in statement.rows[0].texts


@pytest.mark.parametrize(
    "goods", ["有,`分隔符", "行\n`2026-01-05 08:00:24,`x", "行\n总交易单数,应结订单总金额"]
)
def test_a_name_that_cannot_be_told_from_the_table_refuses_the_file(goods):
    refused = refusal(tradebill({**PAID, "商品名称": goods}, *TRADES[1:]))
    assert refused.code == "DAMAGED_FILE"
    assert refused.details.get("row") in {2, None}


@pytest.mark.parametrize(
    ("place", "figure", "title"),
    [
        (0, "4.0", "总交易单数"),
        (1, "200.01", "应结订单总金额"),
        (2, "29.99", "退款总金额"),
        (3, "0.01", "充值券退款总金额"),
        (4, "1.02001", "手续费总金额"),
        (5, "199.99", "订单总金额"),
        (6, "0.00", "申请退款总金额"),
    ],
)
def test_every_figure_of_the_footer_is_confirmed(place, figure, title):
    said = TRADE_FIGURES.split(",")
    said[place] = f"`{figure}"

    refused = refusal(tradebill(figures=",".join(said)))

    assert refused.code == "COUNTS_DIFFER"
    assert refused.details["figure"] == title
    assert title in str(refused)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (tradebill({**PAID, "订单金额": "1.005"}), "BAD_CELL"),
        (tradebill({**PAID, "订单金额": ""}), "BAD_CELL"),
        (tradebill({**PAID, "订单金额": "-1.00"}), "BAD_CELL"),
        (tradebill({**PAID, "手续费": "0.123456"}), "BAD_CELL"),
        (tradebill({**PAID, "交易状态": "CLOSED"}), "BAD_CELL"),
        (tradebill({**PAID, "交易时间": "2026-02-30 08:00:24"}), "BAD_CELL"),
        (tradebill({**PAID, "微信订单号": ""}), "BAD_CELL"),
        (tradebill({**PAID, "商户号": ""}), "BAD_CELL"),
        (tradebill(PAID, {**TRADES[1], "商户号": "1900000110"}), "BAD_CELL"),
        (tradebill(PAID, PAID), "SERIAL_TWICE"),
        (tradebill(figures=""), "DAMAGED_FILE"),
        (tradebill(figures="`3.0,`200.00"), "DAMAGED_FILE"),
        (tradebill(figures=TRADE_FIGURES + "\r\nnoch etwas"), "DAMAGED_FILE"),
        (tradebill(figures=TRADE_FIGURES.replace("`3.0", "`3.5")), "BAD_CELL"),
        (tradebill(figures=TRADE_FIGURES.replace("30.00", "viel")), "BAD_CELL"),
        (tradebill().replace(b"`2026", b"2026"), "DAMAGED_FILE"),
        (tradebill().replace("货".encode(), b"\xe8\xb4", 1), "WRONG_ENCODING"),
    ],
)
def test_a_trade_bill_that_is_not_whole_is_refused(content, code):
    assert refusal(content).code == code


def test_an_orders_number_under_two_orders_of_ours_is_two_orders():
    rows = (PAID, {**PAID, "商户订单号": "P2"}, REFUNDED)
    serials = [row.serial for row in parsers.read(tradebill(*rows)).rows]
    assert serials == ["4200000001", "4200000001#P2", "5030000001"]


def test_a_day_without_trades_says_so():
    header = tradebill().splitlines(keepends=True)[0]
    foot = tradebill(figures="`0,`0.0,`0.0,`0.0,`0.0,`0.0,`0.0").splitlines(keepends=True)[-2:]
    assert parsers.read(header + b"".join(foot)).rows == ()


def test_a_fund_flow_has_its_balances():
    statement = parsers.read(fundflow())

    assert (statement.format, statement.account_no) == ("wechat_fundflow", None)
    assert (statement.opening_fen, statement.closing_fen) == (100_000, 106_940)
    assert figures(statement) == statement.declared == Declared(3, 1, 10_000, 2, 3_060)
    assert [row.serial for row in statement.rows] == ["F0", "F1", "F2"]
    assert [row.is_reversal for row in statement.rows] == [False, False, True]
    assert statement.rows[0].texts[0] == "P0"


def test_full_width_brackets_are_the_same_columns():
    header = [name.replace("(", "（").replace(")", "）") for name in FUND]
    assert len(parsers.read(fundflow(header=header)).rows) == 3


def test_a_fund_flow_may_be_printed_newest_first():
    statement = parsers.read(fundflow(*reversed(FLOWS)))
    assert (statement.opening_fen, statement.closing_fen) == (100_000, 106_940)


def test_a_fee_under_the_number_of_its_payment_is_another_booking():
    rows = [{**flow, "资金流水单号": "F", "微信支付业务单号": "4"} for flow in FLOWS]
    serials = [row.serial for row in parsers.read(fundflow(*rows)).rows]
    assert serials == ["F", "F#4#扣除交易手续费", "F#4#退款"]


@pytest.mark.parametrize(
    ("figures", "figure"),
    [
        ("`4,`1,`100.00,`2,`30.60", "count"),
        ("`3,`2,`100.00,`2,`30.60", "credits"),
        ("`3,`1,`100.01,`2,`30.60", "credit_fen"),
        ("`3,`1,`100.00,`1,`30.60", "debits"),
        ("`3,`1,`100.00,`2,`30.59", "debit_fen"),
    ],
)
def test_every_figure_of_a_fund_flows_footer_is_confirmed(figures, figure):
    refused = refusal(fundflow(figures=figures))
    assert (refused.code, refused.details["figure"]) == ("COUNTS_DIFFER", figure)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (fundflow(FLOWS[0], FLOWS[2], figures="`2,`1,`100.00,`1,`30.00"), "UNBALANCED"),
        (fundflow({**FLOWS[0], "账户结余(元)": ""}), "BAD_CELL"),
        (fundflow({**FLOWS[0], "收支类型": "不变"}), "BAD_CELL"),
        (fundflow({**FLOWS[0], "收支金额(元)": "-1.00"}), "BAD_CELL"),
        (fundflow({**FLOWS[0], "资金流水单号": ""}), "BAD_CELL"),
        (fundflow(figures=FUND_FIGURES.replace("30.60", "30.605")), "BAD_CELL"),
        (fundflow(footer="别的"), "DAMAGED_FILE"),
    ],
)
def test_a_fund_flow_that_is_not_whole_is_refused(content, code):
    assert refusal(content).code == code


def test_the_bills_of_the_sandbox_are_read(sandbox):
    """Made by others' words, from trades and refunds: the sums of both files are even."""
    now = datetime.now(SHANGHAI)
    noon = datetime.combine(now.date() + timedelta(days=1), time(12), SHANGHAI)
    sandbox.move_clock((noon - now).total_seconds())
    day = f"{noon:%Y-%m-%d}"
    sandbox.control("wechat-pay/regime", regime="public_key")
    with listening() as hook, TemporaryDirectory() as home:
        merchant = Merchant(sandbox, hook, client(sandbox, "public_key", Path(home)))
        merchant.paid(description="鞋, `好` 的")
        merchant.refund("R1", 800)
        merchant.notices()
        sandbox.move_clock(2 * 86_400)
        trades = parsers.read(downloaded(merchant, merchant.library.trade_bill(day)))
        funds = parsers.read(downloaded(merchant, merchant.library.fundflow_bill(day)))
        trade, refund = merchant.query()[1], merchant.refunded("R1")

    assert (trades.format, trades.account_no) == ("wechat_tradebill", keys.MCHID)
    assert figures(trades) == Declared(2, 1, 8_800, 1, 800)
    assert [row.serial for row in trades.rows] == [trade["transaction_id"], refund["refund_id"]]
    assert [row.texts[0] for row in trades.rows] == [TRADE_NO] * 2
    assert trades.rows[0].remark == "鞋, `好` 的"
    assert funds.format == "wechat_fundflow"
    assert figures(funds) == Declared(3, 1, 8_800, 2, 53 + 795)
