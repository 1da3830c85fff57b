"""CCB and CMB: names, cells, footers, balances."""

from datetime import datetime
from datetime import time as clock

import pytest

from payments.transfers import parsers
from payments.transfers.parsers import cells
from payments.transfers.parsers.cells import PERHAPS_TAKEN_BACK
from tests.payments.parsers.made import (
    CCB_HEADER,
    OURS,
    ccb,
    ccb_row,
    cmb,
    cmb_row,
    workbook,
)

IN, OUT = "贷方发生额（收入）", "借方发生额（支取）"
SERIAL = "账户明细编号-交易流水号"


def refusal(content, **known):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content, **known)
    return refused.value


@pytest.mark.parametrize(
    ("cell", "fen"),
    [
        ("100.00", 10_000),
        ("1,234.5", 123_450),
        ("1234", 123_400),
        ("0.10000", 10),
        ("-0.01", -1),
        ("+267.10", 26_710),
        ("¥1.00", 100),
        ("￥１２.３４", 1_234),
        ("-¥1.00", -100),
        ("100.00元", 10_000),
        ("(12.00)", -1_200),
        ("`8.88", 888),
        ('="5.00"', 500),
        ("　1.00\xa0\t", 100),
        ("", None),
        ("-", None),
        ("-------------------", None),
    ],
)
def test_an_amount_is_whole_fen(cell, fen):
    assert cells.fen(cell) == fen


@pytest.mark.parametrize(
    "cell",
    [
        *("131.77(已退款89.84)", "1.005", "1,23", "1,2345.00", "12.34.56", "1e5", "0x10", "壹佰"),
        *("nan", "１o0", "--1", "1 2,34", "9" * 16, "1.00CR", "1/2", "#REF!"),
    ],
)
def test_what_is_not_an_amount_refuses_the_file_with_row_and_column(cell):
    refused = refusal(ccb(ccb_row(), ccb_row(**{IN: cell, "余额": "1,200.00", SERIAL: "2"})))

    assert refused.code == "BAD_CELL"
    assert refused.details == {"row": 3, "column": "贷方发生额(收入)"}


@pytest.mark.parametrize(
    ("day", "clock", "iso"),
    [
        ("20260105 18:22:21", "", "2026-01-05T18:22:21+08:00"),
        ("2026-01-05 18:22:21", "", "2026-01-05T18:22:21+08:00"),
        ("2026/01/05 18:22", "", "2026-01-05T18:22:00+08:00"),
        ("20260105182221", "", "2026-01-05T18:22:21+08:00"),
        ("2026年01月05日", "", "2026-01-05T00:00:00+08:00"),
        ("20260105", "80024", "2026-01-05T08:00:24+08:00"),
    ],
)
def test_a_moment_is_read(day, clock, iso):
    assert cells.moment(day, clock).isoformat() == iso


@pytest.mark.parametrize(
    "day", ["2026-1-1 10:10:10", "20260230", "20261301", "05/01/2026", "46027", "", "00010101"]
)
def test_what_is_not_a_moment_is_refused(day):
    with pytest.raises(ValueError, match=r"^"):
        cells.moment(day)


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8", "utf-8-sig", "utf-16"])
def test_a_table_is_read_in_the_encodings_banks_use(encoding):
    row = parsers.read(ccb(ccb_row(对方户名="喆恺公司"), encoding=encoding)).rows[0]
    assert row.payer_name == "喆恺公司"


def test_columns_are_found_by_name_wherever_they_stand():
    names = CCB_HEADER.split(",")
    turned = [" 余额[ Balance ]：" if name == "余额" else name for name in reversed(names)]
    content = ccb(list(reversed(ccb_row())), header=",".join(turned))
    assert parsers.read(content).rows[0].balance_fen == 110_000


def test_a_column_named_twice_is_not_guessed():
    assert refusal(ccb([*ccb_row(), "5.00"], header=f"{CCB_HEADER},余额")).code == "UNKNOWN_FORMAT"


def test_ids_keep_their_zeros_and_lose_their_wrapping():
    rows = [ccb_row(**{SERIAL: "`0012", "对方账号": "6222001200000001\t", "备注": '="货款"'})]
    row = parsers.read(ccb(*rows)).rows[0]
    assert (row.serial, row.payer_account, row.remark) == ("0012", "6222001200000001", "货款")


def test_an_id_that_a_spreadsheet_has_damaged_refuses_the_file():
    refused = refusal(ccb(ccb_row(对方账号="6.2222E+18")))
    assert refused.details == {"row": 2, "column": "对方账号"}

    refused = refusal(cmb(cmb_row(**{"收/付方帐号": 6222001200000001234})))
    assert refused.code == "BAD_CELL"
    assert refused.details["row"] == 3


def test_typed_cells_of_a_workbook_are_read():
    day = datetime(2026, 1, 5)  # noqa: DTZ001 - a workbook knows no zone
    typed = cmb_row(
        交易日=day, 交易时间=clock(8, 0, 24), 贷方金额=0.1 + 0.2, 余额=1100.3, 流水号=12345
    )
    row = parsers.read(cmb(typed)).rows[0]
    assert (row.amount_fen, row.balance_fen, row.serial) == (30, 110_030, "12345")
    assert row.booked_at.isoformat() == "2026-01-05T08:00:24+08:00"

    row = parsers.read(cmb(cmb_row(交易日=20260105, 交易时间=80024))).rows[0]
    assert row.booked_at.isoformat() == "2026-01-05T08:00:24+08:00"


def test_a_workbook_amount_with_a_tenth_of_a_fen_is_refused():
    assert refusal(cmb(cmb_row(贷方金额=100.005))).code == "BAD_CELL"


def test_rows_may_run_either_way_but_not_both():
    first = ccb_row(**{SERIAL: "1"})
    second = ccb_row(**{IN: "5.00", "余额": "1,105.00", SERIAL: "2"})
    third = ccb_row(**{IN: "0.00", OUT: "1.00", "余额": "1,104.00", SERIAL: "3"})
    up = parsers.read(ccb(first, second, third))
    down = parsers.read(ccb(third, second, first))
    assert (up.opening_fen, up.closing_fen) == (down.opening_fen, down.closing_fen)
    assert (up.opening_fen, up.closing_fen) == (100_000, 110_400)

    refused = refusal(ccb(second, first, third))
    assert refused.code == "UNBALANCED"
    assert refused.details == {"row": 4}


@pytest.mark.parametrize(
    ("lead", "code"),
    [
        (["期初余额,999.00"], "UNBALANCED"),
        (["期末余额：1,100.01"], "UNBALANCED"),
        (["总笔数,2"], "COUNTS_DIFFER"),
        (["贷方笔数：1,贷方合计：100.01"], "COUNTS_DIFFER"),
        (["总笔数,一"], "BAD_CELL"),
        (["期初余额,1000.00", "期初余额,1000.01"], "DAMAGED_FILE"),
    ],
)
def test_what_the_head_declares_must_hold(lead, code):
    parsers.read(ccb(ccb_row(), lead=["期初余额,1000.00", "总笔数：1笔"]))
    assert refusal(ccb(ccb_row(), lead=lead)).code == code


def test_footers_are_checked_and_end_the_table():
    total = ["合计", "", "", "0.00", "100.00"]
    notes = ["总笔数,1", "以上数据仅供参考，具体内容请以柜台为准！"]
    parsers.read(ccb(ccb_row(), total, footers=notes))

    wrong = ["合计", "", "", "0.00", "100.01"]
    assert refusal(ccb(ccb_row(), wrong)).details["row"] == 3
    late = ccb_row(**{"余额": "1,200.00", SERIAL: "2"})
    assert refusal(ccb(ccb_row(), total, late)).code == "DAMAGED_FILE"


def test_a_line_that_is_neither_money_nor_footer_is_refused():
    refused = refusal(ccb(ccb_row(), ccb_row(交易时间="昨天")))
    assert (refused.code, refused.details["row"]) == ("BAD_CELL", 3)


@pytest.mark.parametrize(
    "changes",
    [{IN: "", OUT: ""}, {IN: "1.00", OUT: "1.00"}, {"余额": ""}, {"余额": "一千"}],
)
def test_a_row_without_one_clear_amount_and_balance_is_refused(changes):
    assert refusal(ccb(ccb_row(**changes))).code == "BAD_CELL"


def test_a_short_row_is_a_cut_file():
    whole = ccb(ccb_row())
    assert refusal(whole[:-12]).code in {"DAMAGED_FILE", "WRONG_ENCODING"}
    assert refusal(ccb([*ccb_row(), "more"])).code == "DAMAGED_FILE"


def test_quotes_that_never_close_are_a_cut_file():
    content = ccb(ccb_row(), footers=['"20260105'])
    assert refusal(content).code == "DAMAGED_FILE"


def test_a_negative_amount_is_a_reversal_on_its_own_side():
    row = parsers.read(ccb(ccb_row(**{IN: "-100.00", "余额": "900.00"}))).rows[0]
    assert (row.amount_fen, row.is_reversal) == (-10_000, True)


def test_a_reversal_may_name_what_it_takes_back():
    words = {"摘要": "冲正", "备注": "原交易流水号：1-900001", IN: "", OUT: "100.00", SERIAL: "9"}
    row = parsers.read(ccb(ccb_row(**words))).rows[0]
    assert (row.is_reversal, row.reverses) == (True, "1-900001")


def test_a_payers_words_do_not_make_a_reversal():
    assert not parsers.read(ccb(ccb_row(备注="冲正"))).rows[0].is_reversal
    assert not parsers.read(cmb(cmb_row(摘要="冲正"))).rows[0].is_reversal
    assert parsers.read(cmb(cmb_row(冲帐标志="*"))).rows[0].is_reversal


def test_where_payer_and_bank_share_a_text_a_person_looks():
    """招行的摘要 holds either's words; 建行's 摘要 is the bank's, its 备注 the payer's."""
    shared = parsers.read(cmb(cmb_row(摘要="退汇 户名不符"))).rows[0]
    apart = parsers.read(ccb(ccb_row(备注="退汇 户名不符"))).rows[0]
    assert (shared.caution, apart.caution) == (PERHAPS_TAKEN_BACK, "")
    assert parsers.read(ccb(ccb_row(摘要="退票"))).rows[0].is_reversal


def test_rows_of_another_account_refuse_the_file():
    other = ccb_row(账号="110000000000001", 余额="1,200.00", **{SERIAL: "2"})
    refused = refusal(ccb(ccb_row(), other), ours=[OURS])
    assert (refused.code, refused.details["row"]) == ("DAMAGED_FILE", 3)


def test_virtual_accounts_alone_do_not_name_their_parent():
    rows = [
        ccb_row(账号=f"{OURS}0000000001", **{SERIAL: "1"}),
        ccb_row(账号=f"{OURS}0000000002", 余额="1,200.00", **{SERIAL: "2"}),
    ]
    unknown = parsers.read(ccb(*rows))
    known = parsers.read(ccb(*rows), ours=[OURS])
    assert (unknown.account_no, known.account_no) == (None, OURS)
    for statement in (unknown, known):
        assert [row.virtual_account for row in statement.rows] == [
            f"{OURS}0000000001",
            f"{OURS}0000000002",
        ]


def test_a_mother_companys_account_is_no_virtual_account():
    statement = parsers.read(cmb(cmb_row(**{"母/子公司帐号": "999900001111"})))
    assert statement.account_no == OURS
    assert statement.rows[0].virtual_account is None


def test_two_sheets_of_money_are_not_chosen_from():
    assert refusal(cmb(cmb_row(), sheets=2)).code == "DAMAGED_FILE"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "EMPTY_FILE"),
        (b"\xef\xbb\xbf \r\n", "EMPTY_FILE"),
        (b"a,b,c\r\n1,2,3\r\n", "UNKNOWN_FORMAT"),
        (b"{}", "UNKNOWN_FORMAT"),
        (b"%PDF-1.7", "UNSUPPORTED_STATEMENT"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "DAMAGED_FILE"),
        (b"<html><table>", "UNSUPPORTED_STATEMENT"),
        (b"PK\x05\x06" + bytes(18), "WRONG_ENCODING"),
        (b"\xff\xfe\x00\xd8", "WRONG_ENCODING"),
        (ccb(ccb_row(), encoding="utf-16-le"), "WRONG_ENCODING"),
        (ccb(ccb_row(), encoding="utf-8").replace("乙".encode(), b"\xe4\xb9"), "WRONG_ENCODING"),
        (ccb(ccb_row(对方户名="\ufffd\ufffd"), encoding="utf-8"), "WRONG_ENCODING"),
        (ccb(ccb_row(), encoding="utf-8").replace(b"100.00", b"100\x0000"), "WRONG_ENCODING"),
        (workbook(["a", "b"]), "UNKNOWN_FORMAT"),
        (
            workbook(["微信昵称"], ["交易时间", "交易类型", "交易对方", "商品", "收/支"]),
            "UNKNOWN_FORMAT",
        ),
    ],
)
def test_what_is_no_statement_is_refused_by_name(content, code):
    assert refusal(content).code == code


def test_what_cannot_be_read_is_422():
    assert refusal(b"").status == 422
