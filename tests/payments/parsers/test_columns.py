"""A table no bank module knows: described by a person, never guessed."""

import io

import pytest

from payments.transfers import parsers
from tests.payments.parsers.bank import packed, table, written
from tests.payments.parsers.corporate import CORPORATE
from tests.payments.parsers.made import OURS, bookings
from tests.payments.parsers.personal import PERSONAL

HEADER = ["流水", "何时", "进", "出", "剩", "谁", "谁的账号", "说明", "另说"]
COLUMNS = {
    "day": "何时",
    "in": "进",
    "out": "出",
    "balance": "剩",
    "serial": "流水",
    "name": "谁",
    "payer_account": "谁的账号",
    "remark": "另说",
    "remark2": "说明",
}
ROWS = [
    [
        "A1",
        "2026-01-05 08:00:24",
        "100.00",
        "",
        "1,100.00",
        "张喆",
        "62220012",
        "货款 12345678",
        "",
    ],
    ["A2", "2026-01-05 09:00:00", "", "30.00", "1,070.00", "李四", "62220013", "退款", "谢谢"],
]
SINGLE = {"day": "日", "amount": "额", "remark": "话"}


def csv(*rows, header=HEADER, lead=(("某某村镇银行", ""),)):
    bank = CORPORATE["cmbc_csv"]
    return packed(bank, [*lead, header, *rows])


def refusal(content, **known):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content, **known)
    return refused.value


def test_a_mapped_table_is_read_by_what_the_person_said():
    statement = parsers.read(csv(*ROWS), columns=COLUMNS)

    assert (statement.format, statement.account_no) == ("columns_csv", None)
    assert (statement.opening_fen, statement.closing_fen) == (100_000, 107_000)
    first, second = statement.rows
    assert (first.serial, first.amount_fen, first.payer_name) == ("A1", 10_000, "张喆")
    assert first.booked_at.isoformat() == "2026-01-05T08:00:24+08:00"
    assert (first.remark, first.texts) == ("货款 12345678", ("货款 12345678",))
    assert (second.amount_fen, second.texts) == (-3_000, ("谢谢", "退款"))


def test_without_a_map_the_same_table_is_not_guessed():
    assert refusal(csv(*ROWS)).code == "UNKNOWN_FORMAT"


def test_a_map_is_the_only_way_a_file_is_then_read():
    """Even a table we know: what the person said is what counts, or nothing."""
    refused = refusal(written(CORPORATE["cmbc_csv"]), columns=COLUMNS)
    assert refused.code == "UNKNOWN_FORMAT"
    assert "何时" in str(refused)


def test_a_mapped_balance_is_checked():
    wrong = [ROWS[0], [*ROWS[1][:4], "1,071.00", *ROWS[1][5:]]]
    assert refusal(csv(*wrong), columns=COLUMNS).details == {"row": 4}


@pytest.mark.parametrize("form", ["bocom_personal_csv", "cmb_personal_csv", "spdb_personal_xls"])
def test_known_banks_mapped_by_hand_give_the_same_money(form):
    bank = PERSONAL[form]
    maps = {
        "bocom_personal_csv": {"amount": "交易金额", "direction": "借贷", "day": "交易日期"},
        "cmb_personal_csv": {"amount": "交易金额", "day": "记账日期", "currency": "货币"},
        "spdb_personal_xls": {"in": "存入金额", "out": "取出金额", "day": " 交易日期： "},
    }
    statement = parsers.read(written(bank), columns=maps[form])
    assert [row.amount_fen for row in statement.rows] == [one.signed_fen for one in bookings()]


@pytest.mark.parametrize(
    "columns",
    [
        {"in": "进", "out": "出"},
        {"day": "何时", "in": "进"},
        {"day": "何时"},
        {"day": "何时", "amount": "进", "in": "进", "out": "出"},
        {"day": "何时", "amount": "何时"},
        {"day": "何时", "amount": " "},
        {"day": "何时", "amount": "进", "colour": "出"},
    ],
)
def test_a_map_that_does_not_say_when_and_how_much_is_refused(columns):
    assert refusal(csv(*ROWS), columns=columns).code == "BAD_COLUMNS"


def test_a_name_that_two_columns_have_is_not_chosen_from():
    header = [*HEADER[:-1], "进"]
    assert refusal(csv(*ROWS, header=header), columns=COLUMNS).code == "UNKNOWN_FORMAT"


def test_a_last_amount_that_may_be_cut_is_refused():
    header = ["日", "话", "额"]
    whole = csv(["20260105", "货款", "100.00"], header=header)
    assert parsers.read(whole, columns=SINGLE).rows[0].amount_fen == 10_000
    for cut in range(2, 8):
        assert refusal(whole[:-cut], columns=SINGLE).code in {"DAMAGED_FILE", "BAD_CELL"}


def seen(content, **known):
    return parsers.preview(io.BytesIO(content), **known)


def test_a_preview_shows_the_top_and_guesses_aloud():
    header = ["流水号", "交易日期", "收入", "支出", "余额", "对方户名", "对方账号", "附言", "摘要"]

    found = seen(csv(*ROWS, header=header))

    assert found.rows[0] == ("某某村镇银行", "")
    assert (found.candidates, found.known) == ((2,), "")
    assert found.guess == {
        "day": "交易日期",
        "in": "收入",
        "out": "支出",
        "balance": "余额",
        "name": "对方户名",
        "payer_account": "对方账号",
        "serial": "流水号",
        "kind": "摘要",
        "remark": "附言",
    }
    assert (found.read, found.totals, found.problem) == ((), None, "")
    assert refusal(csv(*ROWS, header=header)).code == "UNKNOWN_FORMAT"


def test_a_preview_with_columns_shows_the_rows_and_their_totals():
    found = seen(csv(*ROWS), columns=COLUMNS)

    assert [row.amount_fen for row in found.read] == [10_000, -3_000]
    assert (found.totals.count, found.totals.credit_fen, found.totals.debit_fen) == (
        2,
        10_000,
        3000,
    )
    assert found.problem == ""


def test_a_preview_says_why_the_file_would_be_refused():
    wrong = [ROWS[0], [*ROWS[1][:4], "1,071.00", *ROWS[1][5:]]]
    found = seen(csv(*wrong), columns=COLUMNS)
    assert len(found.read) == 1
    assert "第 4 行" in found.problem

    assert "日期列" in seen(csv(*ROWS), columns={"in": "进", "out": "出"}).problem


def test_another_row_may_be_the_header():
    found = seen(csv(["1", "货款", "2.00"], header=["日期", "附言", "金额"]))

    assert found.header(1) == ["某某村镇银行"]
    assert found.guessed(2) == {"day": "日期", "amount": "金额", "remark": "附言"}


@pytest.mark.parametrize("form", ["boc_csv", "abc_xls", "treasury_xlsx"])
def test_a_preview_knows_the_banks(form):
    bank = CORPORATE[form]
    found = seen(written(bank))
    assert found.known == form.rpartition("_")[0]
    assert found.candidates[0] == table(bank).index(bank.header.split(",")) + 1


@pytest.mark.parametrize(
    "content", [b":20:A\n:25:1\n:28C:1\n", b"%PDF-1.7", b"<?xml version='1.0'?>"]
)
def test_what_is_no_table_has_no_preview(content):
    with pytest.raises(parsers.Unreadable):
        seen(content)


def test_a_preview_of_our_own_account_is_no_import():
    """`ours` plays no part: nothing in a preview may pay."""
    found = seen(
        written(CORPORATE["pingan_csv"]), columns={"day": "交易日期", "in": "贷", "out": "借"}
    )
    assert all(row.virtual_account is None for row in found.read)
    assert OURS not in {row.account_no for row in found.read}
