"""Bills of the sandbox's WeChat Pay: downloaded by somebody else's library, read back by hand."""

import json
from datetime import date, datetime, time, timedelta
from decimal import Decimal

import pytest

from tests.sandbox.journal import SHANGHAI
from tests.sandbox.merchant import OPENID, TRADE_NO, Merchant, downloaded, said
from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox.wechat_pay.books import OPENING_FEN

TWO_DAYS = 2 * 86_400


def today() -> date:
    return datetime.now(SHANGHAI).date()


def at_noon(merchant: Merchant) -> date:
    """It is noon of tomorrow out there, which is no time for midnight to come between."""
    noon = datetime.combine(today() + timedelta(days=1), time(12), SHANGHAI)
    merchant.sandbox.move_clock((noon - datetime.now(SHANGHAI)).total_seconds())
    return noon.date()


def read(content: bytes) -> tuple[list[dict[str, str]], dict[str, str]]:
    """Rows by column, and the sums by theirs."""
    assert content.startswith(b"\xef\xbb\xbf")
    assert content.endswith(b"\r\n")
    head, *lines, sums_head, sums = content.decode("utf-8-sig").rstrip("\r\n").split("\r\n")

    def row(names: str, line: str) -> dict[str, str]:
        assert line.startswith("`")
        return dict(zip(names.split(","), line[1:].split(",`"), strict=True))

    return [row(head, line) for line in lines], row(sums_head, sums)


@pytest.fixture
def day(merchant: Merchant) -> date:
    """A day with two trades, one of them with a refund in parts, and one never paid."""
    at = at_noon(merchant)
    merchant.paid(description="鞋, `好` 的")
    merchant.paid("order-000002", attach="附加")
    merchant.pay("order-000003")
    merchant.refund("R1", 800)
    merchant.switch("held_refund")
    merchant.refund("R2", 8_000)
    merchant.notices()
    merchant.sandbox.move_clock(TWO_DAYS)
    return at


def test_the_trade_bill_lists_what_was_paid_and_refunded(merchant: Merchant, day: date) -> None:
    rows, sums = read(downloaded(merchant, merchant.library.trade_bill(f"{day}")))
    kinds = [(row["商户订单号"], row["交易状态"], row["退款状态"]) for row in rows]

    assert sorted(kinds) == [
        (TRADE_NO, "REFUND", "PROCESSING"),
        (TRADE_NO, "REFUND", "SUCCESS"),
        (TRADE_NO, "SUCCESS", ""),
        ("order-000002", "SUCCESS", ""),
    ]
    paid = next(row for row in rows if row["交易状态"] == "SUCCESS")
    trade = merchant.query()[1]
    assert paid["微信订单号"] == trade["transaction_id"]
    assert paid["交易时间"] == trade["success_time"][:19].replace("T", " ")
    assert (paid["公众账号ID"], paid["商户号"], paid["用户标识"]) == (APPID, keys.MCHID, OPENID)
    assert (paid["订单金额"], paid["手续费"], paid["商品名称"]) == (
        "88.00",
        "0.53000",
        "鞋, `好` 的",
    )
    back = next(row for row in rows if row["商户退款单号"] == "R1")
    assert back["微信退款单号"] == merchant.refunded("R1")["refund_id"]
    assert (back["退款金额"], back["订单金额"], back["手续费"]) == ("8.00", "0.00", "-0.05000")
    for name, column in [
        ("应结订单总金额", "应结订单金额"),
        ("退款总金额", "退款金额"),
        ("手续费总金额", "手续费"),
        ("订单总金额", "订单金额"),
        ("申请退款总金额", "申请退款金额"),
    ]:
        assert Decimal(sums[name]) == sum(Decimal(row[column]) for row in rows), name
    assert sums["总交易单数"] == "4"


def test_a_bill_can_be_of_one_kind(merchant: Merchant, day: date) -> None:
    paid, _ = read(downloaded(merchant, merchant.library.trade_bill(f"{day}", "SUCCESS")))
    back, _ = read(downloaded(merchant, merchant.library.trade_bill(f"{day}", "REFUND")))

    assert {row["交易状态"] for row in paid} == {"SUCCESS"}
    assert [row["商户退款单号"] for row in back] == ["R1", "R2"]
    assert not {"退款金额", "微信退款单号"} & set(paid[0])
    assert [bool(row["退款成功时间"]) for row in back] == [True, False]


def test_the_fund_bill_is_a_chain_that_ends_in_the_balance(merchant: Merchant, day: date) -> None:
    rows, sums = read(downloaded(merchant, merchant.library.fundflow_bill(f"{day}")))
    balance = Decimal(OPENING_FEN) / 100
    for row in rows:
        sign = {"收入": 1, "支出": -1}[row["收支类型"]]
        balance += sign * Decimal(row["收支金额(元)"])
        assert Decimal(row["账户结余(元)"]) == balance
    known = merchant.sandbox.get("/__sandbox__/wechat-pay/trades").json()

    assert balance * 100 == known["balances"]["BASIC"]
    kinds = [row["业务类型"] for row in rows]
    assert kinds == ["交易", "扣除交易手续费", "交易", "扣除交易手续费", "退款", "退款"]
    # What went back was the whole, so the whole fee came back with it.
    assert [row["收支金额(元)"] for row in rows] == [
        "88.00",
        "0.53",
        "88.00",
        "0.53",
        "7.95",
        "79.52",
    ]
    assert (sums["资金流水总笔数"], sums["收入笔数"], sums["收入金额"]) == ("6", "2", "176.00")
    assert (sums["支出笔数"], sums["支出金额"]) == ("4", "88.53")


def test_transfers_are_in_the_flow_of_their_own_account(merchant: Merchant) -> None:
    at = at_noon(merchant)
    merchant.transfer("T1", 5_000)
    merchant.transfer("T2", 6_000)
    merchant.control("transfer", out_bill_no="T1", state="SUCCESS")
    merchant.control("transfer", out_bill_no="T2", state="FAIL")
    merchant.sandbox.move_clock(TWO_DAYS)
    (row,), _ = read(downloaded(merchant, merchant.library.fundflow_bill(f"{at}", "OPERATION")))

    assert (row["业务凭证号"], row["收支类型"], row["收支金额(元)"]) == ("T1", "支出", "50.00")
    _, refused = said(merchant.library.fundflow_bill(f"{at}", "BASIC"))
    assert refused["code"] == "NO_STATEMENT_EXIST"


def test_a_day_without_anything_has_no_bill(merchant: Merchant, day: date) -> None:
    before = f"{day - timedelta(days=1)}"
    for answer in (
        merchant.library.trade_bill(before),
        merchant.library.fundflow_bill(before),
        merchant.library.fundflow_bill(f"{day}", "FEES"),
    ):
        status, refused = said(answer)
        assert (status, refused["code"]) == (400, "NO_STATEMENT_EXIST")


@pytest.mark.parametrize(
    ("bill_date", "code"),
    [
        ("2026-13-01", "PARAM_ERROR"),
        ("", "PARAM_ERROR"),
        (f"{today() + timedelta(days=2)}", "INVALID_REQUEST"),
        (f"{today() - timedelta(days=100)}", "INVALID_REQUEST"),
    ],
)
def test_a_day_that_cannot_be_asked_for(merchant: Merchant, bill_date: str, code: str) -> None:
    status, refused = said(merchant.library.trade_bill(bill_date))
    assert (status, refused["code"]) == (400, code)


def test_a_bill_is_made_at_ten_the_next_morning(merchant: Merchant) -> None:
    now = datetime.now(SHANGHAI)
    merchant.paid()
    midnight = datetime.combine(now.date() + timedelta(days=1), datetime.min.time(), SHANGHAI)
    merchant.sandbox.move_clock((midnight - now).total_seconds() + 9 * 3_600)
    _, refused = said(merchant.library.trade_bill(f"{now.date()}"))
    assert refused["code"] == "STATEMENT_CREATING"
    merchant.sandbox.move_clock(3_600)
    assert merchant.library.trade_bill(f"{now.date()}")[0] == 200


def test_an_address_is_good_for_five_minutes(merchant: Merchant, day: date) -> None:
    offer = json.loads(merchant.library.trade_bill(f"{day}")[1])
    assert merchant.library.download_bill(offer["download_url"])[0] == 200
    assert merchant.sandbox.http.get(offer["download_url"], timeout=5).status_code == 401
    merchant.sandbox.move_clock(301)
    status, refused = said(merchant.library.download_bill(offer["download_url"]))
    assert (status, refused["code"]) == (403, "NO_AUTH")
