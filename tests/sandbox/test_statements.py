"""The sandbox's statement files, read back here without any parser of the shop."""

import csv
import io
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from defusedxml import ElementTree
from python_calamine import CalamineWorkbook

from tests.sandbox import statements
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.statements import Booking
from tests.sandbox_fixtures import Sandbox

ACCOUNT = "755912345610801"
DAY = date(2026, 11, 22)
HOSTILE = "货款 A?20B:61:260101 -}\u3000&<b>\"' " + "长" * 100


def booking(number: int, **more: object) -> Booking:
    fields = {
        "serial": f"20261122080000{number:06d}",
        "booked_at": datetime(2026, 11, 22, 8, tzinfo=SHANGHAI) + timedelta(seconds=number),
        "amount_fen": 1_234_567 + number,
        "direction": "C",
        "payer_name": "欧阳小明",
        "payer_account": "6222020200112233",
        "payer_bank": "沙箱银行上海分行",
        "remark": "货款 PX7K",
        "virtual_account": f"{ACCOUNT}{number:010d}",
    }
    return Booking(**{**fields, **more})  # type: ignore[arg-type]


BOOKINGS = [
    booking(1),
    booking(2, remark=HOSTILE, payer_name="<b>&公司"),
    booking(3, direction="D", virtual_account=None, remark="退款"),
    booking(4, direction="D", reverses="20261122080000000001"),
    booking(5, virtual_account=None, remark="", payer_account="", payer_bank=""),
]


def fen(text: str) -> int:
    return int(Decimal(text.replace(",", "") or "0") * 100)


def ccb(file: bytes) -> tuple[int, list[int], int]:
    rows = list(csv.DictReader(io.StringIO(file.decode("gb18030"))))
    amounts = [fen(row["贷方发生额（收入）"]) - fen(row["借方发生额（支取）"]) for row in rows]
    return fen(rows[0]["余额"]) - amounts[0], amounts, fen(rows[-1]["余额"])


def cmb(file: bytes) -> tuple[int, list[int], int]:
    table = CalamineWorkbook.from_filelike(io.BytesIO(file)).get_sheet_by_index(0).to_python()
    said = {str(row[0]): str(row[1]) for row in table[:12]}
    head = [str(cell) for cell in table[12]]
    assert head == statements.CMB_HEADER
    rows = [dict(zip(head, map(str, row), strict=True)) for row in table[13:]]
    amounts = [fen(row["贷方金额"]) - fen(row["借方金额"]) for row in rows]
    return fen(said["期初余额"]), amounts, fen(said["期末余额"])


def mt940(file: bytes) -> tuple[int, list[int], int]:
    text = file.decode()
    signs = {"C": 1, "D": -1, "RC": -1, "RD": 1}
    amounts = [
        signs[mark] * fen(amount.replace(",", "."))
        for mark, amount in re.findall(r"^:61:\d{10}(R?[CD])([\d,]+)N", text, re.MULTILINE)
    ]
    ends = re.findall(r"^:6[02]F:([CD])\d{6}CNY([\d,]+)\r$", text, re.MULTILINE)
    opening, closing = (signs[mark] * fen(amount.replace(",", ".")) for mark, amount in ends)
    return opening, amounts, closing


def camt053(file: bytes) -> tuple[int, list[int], int]:
    name = {"c": "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"}
    root = ElementTree.fromstring(file)

    def signed(element: Any) -> int:
        credit = element.findtext("c:CdtDbtInd", namespaces=name) == "CRDT"
        amount = fen(element.findtext("c:Amt", namespaces=name))
        return amount if credit else -amount

    opening, closing = (signed(one) for one in root.iterfind(".//c:Bal", name))
    return opening, [signed(one) for one in root.iterfind(".//c:Ntry", name)], closing


READERS = {"ccb_csv": ccb, "cmb_xlsx": cmb, "mt940": mt940, "camt053": camt053}


@pytest.mark.parametrize("opening", [0, 99, 10_000_000, -5_000_000])
@pytest.mark.parametrize("format", READERS)
def test_opening_and_all_lines_make_closing(format: str, opening: int) -> None:
    file = statements.render(format, ACCOUNT, DAY, opening, BOOKINGS)

    said_opening, amounts, closing = READERS[format](file)

    assert said_opening == opening
    assert amounts == [one.signed_fen for one in BOOKINGS]
    assert closing == opening + sum(amounts)


@pytest.mark.parametrize("format", ["cmb_xlsx", "mt940", "camt053"])
def test_a_day_without_bookings_says_so_itself(format: str) -> None:
    file = statements.render(format, ACCOUNT, DAY, 4_200, [])

    assert READERS[format](file) == (4_200, [], 4_200)


@pytest.mark.parametrize("format", READERS)
def test_every_line_names_its_virtual_account_serial_and_payer(format: str) -> None:
    file = statements.render(format, ACCOUNT, DAY, 0, BOOKINGS[:1])
    text = file.decode("gb18030" if format == "ccb_csv" else "utf-8", "replace")
    if format == "cmb_xlsx":
        sheet = CalamineWorkbook.from_filelike(io.BytesIO(file)).get_sheet_by_index(0)
        text = str(sheet.to_python())

    for known in (f"{ACCOUNT}0000000001", BOOKINGS[0].serial, "欧阳小明", "PX7K"):
        assert known in text


def test_mt940_lines_are_short_and_none_looks_like_another_tag() -> None:
    text = statements.render("mt940", ACCOUNT, DAY, 0, BOOKINGS).decode()
    tags = re.findall(r"^:(\w+):", text, re.MULTILINE)

    assert max(map(len, text.split("\r\n"))) <= 65
    assert tags == [*("20", "25", "28C", "60F"), *("61", "86") * len(BOOKINGS), "62F"]
    details = re.search(
        r"^:86:(.*?)\r\n:61:", text[text.index("000002") :], re.DOTALL | re.MULTILINE
    )
    assert details
    subfields = re.findall(r"\?2\d([^?]*)", details[1].replace("\r\n", ""))
    assert "".join(subfields) == " ".join(HOSTILE.replace("?", "？").split())
    assert max(map(len, subfields)) <= 27


@pytest.mark.parametrize(
    ("format", "start"),
    [("ccb_csv", "账号".encode("gb18030")), ("cmb_xlsx", b"PK\x03\x04"), ("mt940", b":20:")],
)
def test_the_bank_hands_out_the_day_with_its_balances(
    sandbox: Sandbox, format: str, start: bytes
) -> None:
    sandbox.open_account(ACCOUNT, opening_fen=500)
    sandbox.transfer(ACCOUNT, 8_800)
    sandbox.move_clock(86_400)
    sandbox.transfer(ACCOUNT, 100)
    tomorrow = datetime.now(SHANGHAI).date() + timedelta(days=1)

    file = sandbox.statement(ACCOUNT, tomorrow, format)

    assert file.startswith(start)
    assert READERS[format](file) == (9_300, [100], 9_400)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        (f"account_no={ACCOUNT}&date=2026-11-22&format=pdf", 400),
        (f"account_no={ACCOUNT}&date=22.11.2026&format=mt940", 400),
        ("account_no=000000000&date=2026-11-22&format=mt940", 404),
    ],
)
def test_the_bank_refuses_what_it_cannot_give(sandbox: Sandbox, query: str, status: int) -> None:
    sandbox.open_account(ACCOUNT)

    assert sandbox.get(f"/bank/statements?{query}").status_code == status
