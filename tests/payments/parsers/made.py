"""Statements of our own: the sandbox's generator, and banks' habits that it does not have."""

import io
from datetime import date, datetime, timedelta

from openpyxl import Workbook

from payments.transfers.parsers.cells import SHANGHAI
from payments.transfers.parsers.sums import Tally
from tests.sandbox import statements
from tests.sandbox.statements import Booking

OURS = "755900001234567"
DAY = date(2026, 1, 5)
OPENING = 123_456
FORMATS = ("ccb_csv", "cmb_xlsx", "mt940", "camt053")
CCB_HEADER = ",".join(statements.CCB_HEADER)


def counted(amounts):
    """What a file of these amounts would declare."""
    tally = Tally()
    for fen in amounts:
        tally.add(fen)
    return tally.declared()


def bookings(count=12):
    """Credits to virtual accounts and to the account itself, debits, one reversal."""
    return [_booking(i) for i in range(count)]


def _booking(i):
    out = i % 5 == 4
    return Booking(
        serial=f"S{i:07d}",
        booked_at=datetime(2026, 1, 5, 8, 0, 24, tzinfo=SHANGHAI) + timedelta(seconds=i % 50_000),
        amount_fen=10_001 + 317 * i,
        direction="D" if out else "C",
        payer_name=f"张喆{i}",
        payer_account=f"62220012{i:08d}",
        payer_bank="中国银行深圳分行",
        remark=f"货款 {i:08d}，谢谢",
        virtual_account=None if out or i % 3 == 2 else f"{OURS}{i:010d}",
        reverses="S0000000" if i == 9 else None,
    )


def rendered(form, rows=None, opening=OPENING):
    return statements.render(form, OURS, DAY, opening, bookings() if rows is None else rows)


def ccb_row(**changes):
    """One CCB line as a list of 17 cells."""
    cells = {
        "账号": OURS,
        "账户名称": "甲公司",
        "交易时间": "20260105 18:22:21",
        "借方发生额（支取）": "0.00",
        "贷方发生额（收入）": "100.00",
        "余额": "1,100.00",
        "币种": "人民币元",
        "对方户名": "乙公司",
        "对方账号": "6222001200000001",
        "对方开户机构": "工商银行",
        "记账日期": "20260105",
        "摘要": "转账",
        "备注": "货款",
        "账户明细编号-交易流水号": "1-900001",
    }
    return [{**cells, **changes}.get(name, "") for name in statements.CCB_HEADER]


def ccb(*rows, lead=(), footers=(), encoding="gb18030", header=CCB_HEADER):
    """A CCB file of such lines; a cell with a comma is quoted."""
    body = [",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows]
    return "\r\n".join([*lead, header, *body, *footers, ""]).encode(encoding)


def guarded_ccb():
    """The generator's CCB file under lines that declare its account and both balances."""
    rows = bookings()
    closing = OPENING + sum(row.signed_fen for row in rows)
    lead = f"账号：,{OURS}\r\n期初余额,{OPENING / 100:.2f}\r\n期末余额：{closing / 100:.2f}\r\n"
    return lead.encode("gb18030") + rendered("ccb_csv", rows)


def workbook(*rows, sheets=1):
    """A workbook as Excel saves it, with typed cells."""
    book = Workbook()
    for number in range(sheets):
        sheet = book.active if number == 0 else book.create_sheet()
        for row in rows:
            sheet.append(row)
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


def cmb_row(**changes):
    cells = {
        "交易日": "20260105",
        "交易时间": "080024",
        "贷方金额": "100.00",
        "余额": "1,100.00",
        "摘要": "货款",
        "流水号": "C900001",
        "收/付方名称": "乙公司",
        "收/付方帐号": "6222001200000001",
    }
    return [{**cells, **changes}.get(name, "") for name in statements.CMB_HEADER]


def cmb(*rows, lead=(("帐号", OURS),), sheets=1):
    return workbook(*lead, statements.CMB_HEADER, *rows, sheets=sheets)
