"""Every bank's table: the figures, the direction, the other side, and what breaks it."""

from dataclasses import replace
from itertools import pairwise

import pytest

from payments.transfers import parsers
from payments.transfers.parsers.tables import grid
from payments.transfers.parsers.tables.layout import placed
from payments.transfers.parsers.tables.layouts import LAYOUTS, recognised
from tests.payments.parsers.bank import packed, table, written
from tests.payments.parsers.corporate import CORPORATE
from tests.payments.parsers.made import OPENING, OURS, bookings, counted
from tests.payments.parsers.personal import PERSONAL

BANKS = CORPORATE | PERSONAL
every_bank = pytest.mark.parametrize("form", BANKS)
banks_with = {
    what: pytest.mark.parametrize("form", [f for f, bank in BANKS.items() if getattr(bank, what)])
    for what in ("has_balance", "has_account", "has_serial", "reversal", "total", "card")
}


def refusal(content, **known):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content, **known)
    return refused.value


def header_at(lines, bank):
    return lines.index(bank.header.split(","))


def changed(bank, ordinal, column, text):
    """The bank's file with another text in one cell of one row, counted from 0."""
    lines = table(bank)
    head = header_at(lines, bank)
    lines[head + 1 + ordinal][lines[head].index(column)] = text
    return packed(bank, lines), head + 2 + ordinal


def column_of(bank, role):
    """The header text, as the bank prints it, of a role of the layout that reads the bank."""
    names = bank.header.split(",")
    places = placed(grid.header_names(names))
    at = next(at for layout in LAYOUTS if (at := layout.find(places)))
    return names[at[role]] if role in at else None


@every_bank
def test_a_bank_is_read_as_it_writes(form):
    bank, made = BANKS[form], bookings()

    statement = parsers.read(written(bank), ours=[OURS])

    rows = list(reversed(statement.rows)) if bank.newest_first else list(statement.rows)
    assert statement.format == form
    assert statement.account_no == (OURS if bank.named else None)
    assert [row.amount_fen for row in rows] == [one.signed_fen for one in made]
    assert [row.booked_at.date() for row in rows] == [one.booked_at.date() for one in made]
    assert all(one.remark in row.texts for one, row in zip(made, rows, strict=True))
    assert {row.currency for row in rows} == {bank.currency}
    assert [row.serial for row in rows] == [
        one.serial + bank.entry if bank.has_serial else None for one in made
    ]
    if bank.has_clock:
        assert [row.booked_at for row in rows] == [one.booked_at for one in made]
    if bank.has_account:
        assert [row.payer_account for row in rows] == [one.payer_account for one in made]
    if bank.has_balance:
        assert statement.opening_fen == OPENING
        assert statement.closing_fen == OPENING + sum(one.signed_fen for one in made)


@every_bank
def test_the_streams_rows_are_the_statements(form, tmp_path):
    path = tmp_path / "statement"
    path.write_bytes(written(BANKS[form]))

    with path.open("rb") as source:
        stream = parsers.stream(source, ours=[OURS])
        rows = tuple(stream.rows)

    whole = parsers.read(path.read_bytes(), ours=[OURS])
    assert rows == whole.rows
    assert stream.summary.closing_fen == whole.closing_fen
    assert stream.summary.booked_until == whole.booked_until


@every_bank
def test_one_header_is_one_banks(form):
    names = grid.header_names(BANKS[form].header.split(","))
    assert len([one for one in LAYOUTS if one.find(placed(names))]) == 1


@banks_with["has_balance"]
@pytest.mark.parametrize("role", ["balance", "money"])
def test_the_first_row_that_breaks_the_balance_is_named(form, role):
    bank = BANKS[form]
    into = column_of(bank, "in") or column_of(bank, "amount")
    comes = next(
        i
        for i, line in enumerate(table(bank)[header_at(table(bank), bank) + 1 :])
        if i > 2 and line[bank.header.split(",").index(into)].strip("-0.") and i < 7
    )
    column = column_of(bank, "balance") if role == "balance" else into

    content, row = changed(bank, comes, column, "77777.77")

    refused = refusal(content, ours=[OURS])
    assert refused.code == "UNBALANCED"
    # Newest first, an amount belongs between its own balance and the next line's.
    assert refused.details["row"] in {row, row + 1}
    rows = parsers.read(content, ours=[OURS], checks=parsers.Checks.ROWS_ONLY).rows
    assert len(rows) == len(bookings())


@banks_with["total"]
def test_a_total_that_is_not_the_rows_refuses_the_file(form):
    bank = BANKS[form]
    lines = table(bank)
    total = sum(one.amount_fen for one in bookings() if one.direction == "C")
    said = {f"{total // 100}.{total % 100:02d}", f"{total // 100:,}.{total % 100:02d}"}
    place = [(y, x) for y, line in enumerate(lines) for x, cell in enumerate(line) if cell in said]
    assert len(place) == 1
    lines[place[0][0]][place[0][1]] = "1.00"

    assert refusal(packed(bank, lines), ours=[OURS]).code == "COUNTS_DIFFER"


@banks_with["reversal"]
def test_a_reversal_is_marked_as_the_bank_marks_it(form):
    rows = parsers.read(written(BANKS[form]), ours=[OURS]).rows
    marked = [row.amount_fen for row in rows if row.is_reversal]
    assert marked == [one.signed_fen for one in bookings() if one.reverses]


@banks_with["has_account"]
def test_an_account_in_scientific_notation_refuses_the_file(form):
    bank = BANKS[form]
    column = column_of(bank, "payer_account") or column_of(bank, "party")

    content, row = changed(bank, 1, column, "6.2222E+18")

    refused = refusal(content, ours=[OURS])
    assert (refused.code, refused.details["row"]) == ("BAD_CELL", row)


@banks_with["has_serial"]
def test_a_serial_on_two_rows_refuses_the_file(form):
    bank = BANKS[form]

    content, _ = changed(bank, 5, column_of(bank, "serial"), bookings()[2].serial)

    refused = refusal(content, ours=[OURS])
    twice = bookings()[2].serial + bank.entry
    assert (refused.code, refused.details["serial"]) == ("SERIAL_TWICE", twice)


def test_a_payment_and_its_fee_share_a_transaction_and_are_two_bookings():
    bank = BANKS["spdb_xls"]
    lines = table(bank)
    head = header_at(lines, bank)
    number, entry = (lines[head].index(name) for name in ("交易流水号", "传票序号"))
    lines[head + 5][number] = lines[head + 4][number]
    lines[head + 5][entry] = "2"

    rows = parsers.read(packed(bank, lines), ours=[OURS]).rows

    assert [row.serial for row in rows[3:5]] == ["S0000003-1", "S0000003-2"]


# Versions of tables that a bank's layout reads too, as shops' programs name their columns.
@pytest.mark.parametrize(
    ("bank", "header", "roles"),
    [
        (
            "abc",
            "交易时间,收入金额,支出金额,账户余额,对方账号,对方户名,对方开户行,摘要",
            {"balance": 3, "payer_bank": 6, "summary": 7},
        ),
        (
            "icbc",
            (
                "凭证号,对方账号,交易时间,借贷标志,对方单位,用途,附言,转出金额,转入金额,入账日期,余额,"
                "对方行名"
            ),
            {"name": 4, "words": 6, "out": 7, "in": 8, "balance": 10},
        ),
        (
            "icbc",
            "对方账号,交易时间,对方单位,用途,摘要,附言,回单个性化信息,余额,转出金额,转入金额",
            {"note": 6, "balance": 7, "out": 8, "in": 9},
        ),
        (
            "cmb",
            (
                "账号,账号名称,币种,交易日,交易时间,起息日,交易类型,借方金额,贷方金额,余额,摘要,流水号,"
                "流程实例号,业务名称,用途,业务参考号,业务摘要,其它摘要,收(付)方分行名,收(付)方名称,"
                "收(付)方账号,收(付)方开户行行号,收(付)方开户行名,冲账标志"
            ),
            {"out": 7, "in": 8, "name": 19, "payer_account": 20, "payer_bank": 22},
        ),
        (
            "citic",
            "交易日期,交易时间,柜员交易号,借方发生额,贷方发生额,账户余额,对方账号,对方户名,摘要",
            {"name": 7},
        ),
        (
            "pingan",
            (
                "交易日期,账号,账户名称,银行名称,银行类型,借方(支出)金额,贷方(收入)金额,账户余额,币种,"
                "对方账号,对方账户名称,对方开户行,对方开户行类型,用途,审批状态,交易类型,银行流水号,摘要,"
                "明细来源,付款单备注"
            ),
            {"out": 5, "in": 6, "payer_account": 9, "serial": 16},
        ),
    ],
)
def test_another_version_of_a_table_is_the_same_banks(bank, header, roles):
    layout, at = recognised(grid.header_names(header.split(",")), LAYOUTS)
    assert layout.bank == bank
    assert {role: at[role] for role in roles} == roles
    assert len([one for one in LAYOUTS if one.find(placed(header.split(",")))]) == 1


@pytest.mark.parametrize(("flag", "is_one"), [("退汇", True), ("非退汇", False), ("", False)])
def test_a_flag_that_says_no_bounce_marks_none(flag, is_one):
    content, _ = changed(BANKS["citic_xls"], 0, "退汇标识", flag)
    assert parsers.read(content, ours=[OURS]).rows[0].is_reversal is is_one


@banks_with["card"]
def test_nothing_on_a_credit_card_pays_by_itself(form):
    assert all(row.caution for row in parsers.read(written(BANKS[form])).rows)


@pytest.mark.parametrize(
    ("form", "role"),
    [
        (form, role)
        for form, bank in BANKS.items()
        for role in ("day", "amount", "in", "out")
        if column_of(bank, role)
    ],
)
def test_a_cell_that_is_not_what_its_column_says_is_named(form, role):
    bank = BANKS[form]
    column = column_of(bank, role)

    content, row = changed(bank, 3, column, "2026-13-45" if role == "day" else "壹佰")

    refused = refusal(content, ours=[OURS])
    assert (refused.code, refused.details["row"]) == ("BAD_CELL", row)
    assert grid.header_names([column]) == [refused.details["column"]]


@every_bank
def test_a_file_cut_anywhere_is_refused_or_has_no_other_rows(form):
    """Only whole rows at the end can go missing unseen, where neither total nor balance is said."""
    bank = BANKS[form]
    content = written(bank)
    made = parsers.read(content, ours=[OURS]).rows
    for size in range(0, len(content), max(1, len(content) // 60)):
        try:
            found = parsers.read(content[:size], ours=[OURS]).rows
        except parsers.Unreadable:
            continue
        whole = [(row.amount_fen, row.booked_at) for row in made]
        assert [(row.amount_fen, row.booked_at) for row in found] == whole[: len(found)]


def test_banks_of_china_name_both_sides_and_we_are_the_one_the_direction_says():
    rows = parsers.read(written(BANKS["boc_csv"]), ours=[OURS]).rows
    made = bookings()
    assert [row.payer_name for row in rows] == [one.payer_name for one in made]
    assert [row.payer_bank for row in rows] == [one.payer_bank for one in made]
    assert [row.virtual_account for row in rows] == [one.virtual_account for one in made]


@pytest.mark.parametrize(
    ("direction", "amount"), [("来账", "-100.01"), ("转账", "+100.01"), ("往账", "+100.01")]
)
def test_a_direction_that_the_amount_denies_refuses_the_file(direction, amount):
    bank = BANKS["boc_csv"]
    lines = table(bank)
    head = header_at(lines, bank)
    names = lines[head]
    line = lines[head + 2]
    line[names.index("交易类型[ Transaction Type ]")] = direction
    line[names.index("交易金额[ Trade Amount ]")] = amount

    assert refusal(packed(bank, lines), ours=[OURS]).details["row"] == head + 3


def test_the_same_export_in_utf_16_with_tabs_is_the_same_statement():
    bank = replace(BANKS["boc_csv"], encoding="utf-16", delimiter="\t")
    assert parsers.read(written(bank)).rows == parsers.read(written(BANKS["boc_csv"])).rows


def test_a_column_of_directions_may_not_deny_the_column_of_money():
    bank = BANKS["icbc_xlsx"]
    content, row = changed(bank, 0, "借/贷", "借")
    assert refusal(content).details == {"row": row, "column": "借/贷"}


@pytest.mark.parametrize(
    ("title", "day", "read"),
    [
        ("2026年01月", "12/29", "2025-12-29"),
        ("2026年01月", "01/05", "2026-01-05"),
        ("2026年12月", "12/31", "2026-12-31"),
        ("2028年3月", "02/29", "2028-02-29"),
    ],
)
def test_a_day_without_year_is_in_the_year_before_its_title(title, day, read):
    card = BANKS["cmb_card_csv"]
    lines = [
        [f"招商银行信用卡对账单（{title}）"],
        card.header.split(","),
        ["", day, "还款", "-1.00", "1", ""],
    ]
    assert parsers.read(packed(card, lines)).rows[0].booked_at.date().isoformat() == read


def test_a_day_without_year_under_a_title_without_one_is_refused():
    card = BANKS["cmb_card_csv"]
    lines = [["信用卡"], card.header.split(","), ["", "01/05", "还款", "-1.00", "1234", ""]]
    refused = refusal(packed(card, lines))
    assert refused.code == "DAMAGED_FILE"
    assert "年份" in str(refused)


def test_a_ragged_row_is_read_unless_the_file_ends_in_it():
    bank = BANKS["abc_personal_csv"]
    lines = table(bank)
    lines[3] = lines[3][:7]
    whole = packed(bank, lines)
    assert len(parsers.read(whole).rows) == len(bookings())

    lines[-1] = lines[-1][:7]
    assert len(parsers.read(packed(bank, lines)).rows) == len(bookings())
    assert refusal(packed(bank, lines)[:-2]).code == "DAMAGED_FILE"

    lines[3] = lines[3][:4]
    assert refusal(packed(bank, lines)).details == {"row": 4}


@pytest.mark.parametrize(
    ("cell", "name", "account"),
    [
        ("张三 66666666666666", "张三", "66666666666666"),
        ("国网电力有限公司99999999999999", "国网电力有限公司", "99999999999999"),
        ("12341234123412341", "", "12341234123412341"),
        ("6217****12345678/张三", "张三", "6217****12345678"),
        ("哈哈", "哈哈", ""),
        ("第8区2026公司", "第8区2026公司", ""),
        ("--", "", ""),
    ],
)
def test_a_party_in_one_cell_is_a_name_and_an_account(cell, name, account):
    content, _ = changed(BANKS["cmb_personal_csv"], 0, "对手信息", cell)
    row = parsers.read(content).rows[0]
    assert (row.payer_name, row.payer_account) == (name, account)


def test_a_masked_account_names_nobody():
    bank = replace(BANKS["spdb_personal_xls"], lead=lambda rows: [["账号", "6217****1234"]])
    assert parsers.read(written(bank)).account_no is None


def test_a_serial_of_zeros_is_none():
    content, _ = changed(BANKS["cmbc_csv"], 0, "主机交易流水号", "0000000000")
    assert parsers.read(content).rows[0].serial is None


def test_days_covered_are_the_rows():
    statement = parsers.read(written(BANKS["hsbc_hk_csv"]))
    assert counted([row.amount_fen for row in statement.rows]).count == len(bookings())
    assert statement.booked_from == bookings()[0].booked_at.date()
    assert all(a.position < b.position for a, b in pairwise(statement.rows))
