"""业务明细: the day as Alipay would send it, read here by hand and by the shop's own reader."""

import csv
import io
import zipfile
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from payments.transfers.parsers.channels import alipay_bills
from payments.transfers.parsers.statement import Stream
from tests.sandbox.alipay.test_payouts import ORDER, TRANSFER
from tests.sandbox.alipay_shop import Shop
from tests.sandbox.journal import SHANGHAI

URL = "alipay.data.dataservice.bill.downloadurl.query"
TODAY = f"{datetime.now(SHANGHAI):%Y-%m-%d}"


def tomorrow(shop: Shop) -> None:
    now = datetime.now(SHANGHAI)
    midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    shop.sandbox.move_clock((midnight - now).total_seconds() + 3_600)


def download(shop: Shop, day: str = TODAY, kind: str = "trade") -> dict[str, bytes]:
    """Members by their names, which are GBK and do not say so."""
    url = shop.call(URL, bill_type=kind, bill_date=day)["bill_download_url"]
    answer = shop.sandbox.http.get(url, timeout=10)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        return {
            member.filename.encode("cp437").decode("gbk"): archive.read(member)
            for member in archive.infolist()
        }


@pytest.fixture
def detail(shop: Shop) -> bytes:
    shop.paid("A1", "88.00", notify_url="")
    shop.paid("A2", "0.01", notify_url="")
    shop.precreate("A3")
    shop.order("scan", out_trade_no="A3")
    shop.refund("A1", "30.00", "R1")
    tomorrow(shop)
    shop.refund("A1", "1.00", "R2")
    files = download(shop)
    assert [name.partition("_")[2] for name in files] == [
        f"{TODAY.replace('-', '')}_业务明细.csv",
        f"{TODAY.replace('-', '')}_业务明细(汇总).csv",
    ]
    return next(iter(files.values()))


def test_a_days_bill_holds_what_was_paid_and_given_back_that_day(detail: bytes) -> None:
    lines = detail.decode("gbk").split("\r\n")
    table = [line for line in lines if line and not line.startswith("#")]
    rows = list(csv.DictReader(table))

    assert lines[0] == "#支付宝业务明细查询"
    assert [(row["商户订单号"].strip(), row["业务类型"].strip()) for row in rows] == [
        ("A1", "交易"),
        ("A2", "交易"),
        ("A1", "退款"),
    ]
    assert sum(Decimal(row["商家实收（元）"]) for row in rows) == Decimal("58.01")
    assert [row["服务费（元）"] for row in rows] == ["-0.53", "0.00", "0.00"]
    assert rows[2]["退款批次号/请求号"].strip() == "R1"
    assert rows[0]["支付宝交易号"] == rows[2]["支付宝交易号"]
    assert "#交易合计：2笔，商家实收共88.01元，商家优惠共0.00元" in lines
    assert "#退款合计：1笔，商家实收退款共-30.00元，商家优惠退款共0.00元" in lines


def test_the_shops_own_reader_takes_it(detail: bytes) -> None:
    rows = list(alipay_bills.open(io.BytesIO(detail)).rows)

    assert [row.amount_fen for row in rows] == [8_800, 1, -3_000]
    assert [row.is_reversal for row in rows] == [False, False, True]
    assert all(row.booked_at.astimezone(SHANGHAI).date().isoformat() == TODAY for row in rows)


def test_the_account_bill_holds_fees_and_payouts_and_a_balance_after_each(shop: Shop) -> None:
    shop.call(TRANSFER, **ORDER)
    shop.paid("A1", "88.00", notify_url="")
    shop.refund("A1", "30.00", "R1")
    shop.order("payout", out_biz_no="P1", status="REFUND")
    shop.order("faults", kind="dealing")
    shop.call(TRANSFER, **{**ORDER, "out_biz_no": "P2"})
    tomorrow(shop)
    shop.order("payout", out_biz_no="P2", status="SUCCESS")
    shop.sandbox.move_clock(86_400)
    next_day = f"{datetime.now(SHANGHAI) + timedelta(days=1):%Y-%m-%d}"

    names = list(download(shop, TODAY, "signcustomer"))
    day, late = read(shop, TODAY), read(shop, next_day)
    rows, [row] = list(day.rows), list(late.rows)

    assert [name.rpartition("_")[2] for name in names] == ["账务明细.csv", "账务明细(汇总).csv"]
    assert sorted(row.amount_fen for row in rows) == [-3_000, -1_230, -53, 1_230, 8_800]
    assert day.summary.opening_fen == 100_000_000
    assert day.summary.closing_fen == 100_000_000 + 8_800 - 53 - 3_000
    assert (row.amount_fen, row.texts[0].strip()) == (-1_230, "P2")
    assert late.summary.opening_fen == day.summary.closing_fen


def read(shop: Shop, day: str) -> Stream:
    """The 账务明细 of that day as the shop reads it; it checks every balance and both totals."""
    return alipay_bills.open(io.BytesIO(next(iter(download(shop, day, "signcustomer").values()))))


def test_a_month_is_whole(shop: Shop) -> None:
    shop.paid("A1", "88.00", notify_url="")
    shop.sandbox.move_clock(32 * 86_400)

    [detail, _] = download(shop, TODAY[:7]).values()

    assert "A1" in detail.decode("gbk")


@pytest.mark.parametrize(
    ("kind", "day", "sub_code"),
    [
        ("trade", "2026-01-05", "isp.bill_not_exist"),  # nobody paid
        ("trade", TODAY, "isp.bill_not_exist"),  # not over yet
        ("trade", "20260105", "isp.INVALID_ARGUMENTS"),
        ("trade", "2026-13", "isp.INVALID_ARGUMENTS"),
        ("signcustomer", "2026-01-05", "isp.bill_not_exist"),
        ("merchant_act", TODAY, "isp.INVALID_ARGUMENTS"),
    ],
)
def test_a_bill_that_is_not_there(shop: Shop, kind: str, day: str, sub_code: str) -> None:
    shop.paid("A1", notify_url="")

    said = shop.call(URL, bill_type=kind, bill_date=day)

    assert said["sub_code"] == sub_code


def test_an_address_lives_half_a_minute(shop: Shop) -> None:
    shop.paid("A1", notify_url="")
    tomorrow(shop)
    url = shop.call(URL, bill_type="trade", bill_date=TODAY)["bill_download_url"]
    assert shop.sandbox.http.get(url, timeout=10).status_code == 200
    shop.sandbox.move_clock(31)

    assert shop.sandbox.http.get(url, timeout=10).status_code == 404
