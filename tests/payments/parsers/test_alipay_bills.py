"""账务明细 and 业务明细: lines with #, tabs, totals, running balances, and the zip around them."""

import io
import struct
import zipfile

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.channels import alipay_bills, archive
from payments.transfers.parsers.statement import Declared, Source
from tests.payments.parsers.made import counted
from tests.payments.parsers.made_bills import (
    ACCOUNT,
    ACCOUNT_TOTALS,
    ALIPAY,
    ALIPAY_TRADE_TOTALS,
    ENTRIES,
    SUMMED,
    alipay_account,
    alipay_trade,
    tradebill,
    zipped,
)

DETAIL, SUMMARY = "20880_20260105_账务明细.csv", "20880_20260105_账务明细(汇总).csv"


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content)
    return refused.value


def figures(statement):
    return counted([row.amount_fen for row in statement.rows])


def with_goods(goods):
    first = list(ENTRIES[0])
    first[3] = goods
    return alipay_account(tuple(first), *ENTRIES[1:])


def test_a_bill_explains_money_and_is_no_banks_statement():
    for content in (alipay_account(), alipay_trade()):
        assert alipay_bills.open(io.BytesIO(content)).source is Source.CHANNEL


@pytest.mark.parametrize("encoding", ["gbk", "gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_an_account_bill_is_read_with_its_balances(encoding):
    statement = parsers.read(alipay_account(encoding=encoding))

    assert (statement.format, statement.account_no) == ("alipay_account", ALIPAY)
    assert (statement.opening_fen, statement.closing_fen) == (100_000, 106_940)
    assert figures(statement) == Declared(3, 1, 10_000, 2, 3_060)
    assert statement.declared == Declared(None, 1, 10_000, 2, 3_060)
    first, _, last = statement.rows
    assert (first.serial, first.texts[0], first.payer_name) == ("1001", "P1", "乙")
    assert first.payer_account == "b@example.com"
    assert [first.is_reversal, last.is_reversal] == [False, True]


def test_money_out_is_printed_with_and_without_its_minus():
    rows = [tuple(cell.removeprefix("-") for cell in row) for row in ENTRIES]
    assert figures(parsers.read(alipay_account(*rows))) == Declared(3, 1, 10_000, 2, 3_060)


@pytest.mark.parametrize(
    "goods",
    ["茶,红,绿", "a,,b", ",", '"引号"', '半个"引号', '"逗号,引号"', "两\n行", "（全角）", "#井号"],
)
def test_a_products_name_may_hold_commas_quotes_and_lines(goods):
    statement = parsers.read(with_goods(goods))
    assert figures(statement) == Declared(3, 1, 10_000, 2, 3_060)
    assert statement.rows[0].payer_account == "b@example.com"


@pytest.mark.parametrize("goods", ["行\n#-----账务明细列表结束-----", "a\t,b", "行\n" * 30])
def test_a_name_that_cannot_be_told_from_the_table_refuses_the_file(goods):
    assert refusal(with_goods(goods)).code in {"DAMAGED_FILE", "BAD_CELL"}


@pytest.mark.parametrize(
    ("totals", "figure"),
    [
        (("#支出合计：1笔，共-30.60元", ACCOUNT_TOTALS[1]), "debits"),
        (("#支出合计：2笔，共-30.61元", ACCOUNT_TOTALS[1]), "debit_fen"),
        ((ACCOUNT_TOTALS[0], "#收入合计：0笔，共100.00元"), "credits"),
        ((ACCOUNT_TOTALS[0], "#收入合计：1笔，共1,100.00元"), "credit_fen"),
    ],
)
def test_every_total_is_confirmed(totals, figure):
    refused = refusal(alipay_account(totals=totals))
    assert (refused.code, refused.details["figure"]) == ("COUNTS_DIFFER", figure)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (alipay_account(ENTRIES[0], ENTRIES[2]), "UNBALANCED"),
        (alipay_account(ENTRIES[0], ENTRIES[0]), "UNBALANCED"),
        (alipay_account(totals=ACCOUNT_TOTALS[:1]), "DAMAGED_FILE"),
        (alipay_account(totals=("#支出合计：二笔",)), "DAMAGED_FILE"),
        (alipay_account(totals=("#支出合计：2笔", ACCOUNT_TOTALS[1])), "BAD_CELL"),
        (alipay_account(totals=("#支出合计：2笔，共1,2.00元", ACCOUNT_TOTALS[1])), "BAD_CELL"),
        (alipay_account(totals=(*ACCOUNT_TOTALS, "1004\t,")), "DAMAGED_FILE"),
        (alipay_account(totals=(*ACCOUNT_TOTALS, "#收入合计：2笔，共1.00元")), "DAMAGED_FILE"),
        (alipay_account(end="#"), "DAMAGED_FILE"),
        (alipay_account(end="1004\t,"), "DAMAGED_FILE"),
        (alipay_account(header=[*ACCOUNT, "备注"]), "DAMAGED_FILE"),
        (alipay_account().replace(b",100.00,0.00,", b",100.005,0.00,"), "BAD_CELL"),
        (alipay_account().replace(b",100.00,0.00,", b",100.00,1.00,"), "BAD_CELL"),
        (alipay_account().replace(b",100.00,0.00,", b",-100.00,0.00,"), "BAD_CELL"),
        (alipay_account().replace(b",1100.00,", b",,"), "BAD_CELL"),
        (alipay_account().replace(b"2026-01-05 08", b"2026-01-05 28"), "BAD_CELL"),
        (alipay_account().replace("备注".encode("gbk"), b"\xff\xff"), "WRONG_ENCODING"),
    ],
)
def test_an_account_bill_that_is_not_whole_is_refused(content, code):
    assert refusal(content).code == code


def test_a_trade_bill_is_worth_what_the_merchant_receives():
    statement = parsers.read(alipay_trade(goods="茶,红"))

    assert (statement.format, statement.account_no) == ("alipay_trade", ALIPAY)
    assert [row.amount_fen for row in statement.rows] == [10_000, 9_500, -3_000]
    paid, discounted, refunded = statement.rows
    assert (paid.caution, bool(discounted.caution)) == ("", True)
    assert (refunded.serial, refunded.reverses) == ("9001#R1", "9001")
    assert paid.payer_name == "*乙"


@pytest.mark.parametrize(
    ("place", "old", "new"),
    [
        (0, "2笔", "3笔"),
        (0, "195.00", "195.01"),
        (0, "5.00元，商家优惠共5.00", "5.00元，商家优惠共4.99"),
        (1, "1笔", "0笔"),
        (1, "-30.00", "-30.01"),
        (1, "优惠退款共0.00", "优惠退款共0.01"),
    ],
)
def test_every_total_of_a_trade_bill_is_confirmed(place, old, new):
    totals = list(ALIPAY_TRADE_TOTALS)
    assert old in totals[place]
    totals[place] = totals[place].replace(old, new)

    refused = refusal(alipay_trade(totals=totals))

    assert refused.code == "COUNTS_DIFFER"
    assert refused.details["figure"] == ("交易合计", "退款合计")[place]


# --- the zip ------------------------------------------------------------------------------------


def test_a_zip_with_gbk_names_is_read_and_its_summary_confirmed():
    content = zipped({DETAIL: alipay_account(), SUMMARY: SUMMED.format(1).encode("gbk")})
    assert "账" not in zipfile.ZipFile(io.BytesIO(content)).namelist()[0]

    statement = parsers.read(content)

    assert (statement.format, statement.account_no) == ("alipay_account", ALIPAY)
    assert figures(statement) == Declared(3, 1, 10_000, 2, 3_060)
    lying = zipped({DETAIL: alipay_account(), SUMMARY: SUMMED.format(2).encode("gbk")})
    assert refusal(lying).code == "COUNTS_DIFFER"


def test_the_detail_alone_and_wechats_bill_may_be_in_a_zip():
    assert len(parsers.read(zipped({DETAIL: alipay_trade()})).rows) == 3
    assert len(parsers.read(zipped({"bill.csv": tradebill()})).rows) == 3


def flagged(content):
    """The same zip, saying that it is encrypted."""
    changed = bytearray(content)
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = changed.index(mark) + flags
        changed[at : at + 2] = struct.pack("<H", 1)
    return bytes(changed)


def lying():
    """The directory says 1,000 bytes; the stream holds 30 MB."""
    content = bytearray(zipped({"a.csv": bytes(30 << 20)}))
    for mark, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.index(mark) + size
        content[at : at + 4] = struct.pack("<I", 1000)
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "code", "word"),
    [
        (zipped({"a.csv": bytes(30 << 20)}), "EXPANDS_TOO_FAR", "压缩比"),
        (zipped({f"{i}.csv": b"" for i in range(21)}), "EXPANDS_TOO_FAR", "20"),
        (zipped({"a.csv": b"", "b.zip": zipped({"a.csv": b""})}), "UNSUPPORTED", "还有压缩包"),
        (zipped({"b.zip": zipped({DETAIL: alipay_account()})}), "UNSUPPORTED", "还有压缩包"),
        (zipped({"../a.csv": alipay_account()}), "UNSUPPORTED", "路径"),
        (zipped({"账单/a.csv": alipay_account()}), "UNSUPPORTED", "路径"),
        (zipped({"账单/": b""}), "UNSUPPORTED", "路径"),
        (flagged(zipped({DETAIL: alipay_account()})), "UNSUPPORTED", "密码"),
        (zipped({"a.csv": alipay_account(), "b.csv": alipay_account()}), "DAMAGED", "2 个"),
        (zipped({SUMMARY[:-4] + ".txt": b""}), "DAMAGED", "0 个"),
        (zipped({"a.csv": b"a,b\r\n1,2\r\n"}), "UNKNOWN_FORMAT", "a.csv"),
        (zipped({DETAIL: alipay_account()})[:-30], "DAMAGED", "zip"),
        (lying(), "DAMAGED", "zip"),
    ],
)  # fmt: skip
def test_a_zip_that_is_not_one_bill_is_refused_by_its_reason(content, code, word):
    refused = refusal(content)
    assert refused.code.startswith(code)
    assert word in str(refused)


def test_a_part_that_was_changed_inside_the_zip_is_refused():
    whole = zipped({DETAIL: alipay_account()})
    for place in range(60, len(whole) - 200, 7):
        content = bytearray(whole)
        content[place] ^= 1
        assert refusal(bytes(content)).code in {"DAMAGED_FILE", "UNKNOWN_FORMAT"}


def test_a_workbook_is_no_archive_of_bills():
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as book:
        book.writestr("[Content_Types].xml", "")
    assert not archive.recognises(target.getvalue())
