"""Old workbooks: read as another reader reads them, and never further than they reach."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from payments.transfers import parsers
from payments.transfers.parsers.tables import xls as reader
from tests.payments.parsers.bank import table, written
from tests.payments.parsers.biff import ole, record, xls
from tests.payments.parsers.corporate import CORPORATE
from tests.payments.parsers.made import CCB_HEADER, OURS, bookings, ccb_row

BANK = CORPORATE["abc_xls"]
HEADER = CCB_HEADER.split(",")
SHEET = [
    ["交易日期", "abc", ""],
    ["x" * 30, "", "贷款" * 20],
    [1.5, "2", 20260105.0],
    ["张三", 45000.75, 0.5],
]


def refusal(content):
    with pytest.raises(parsers.Unreadable) as refused:
        parsers.read(content, ours=[OURS])
    return refused.value


def trimmed(rows):
    """Rows without the empty cells at their ends."""
    rows = [list(row) for row in rows]
    for row in rows:
        while row and row[-1] == "":
            row.pop()
    return rows


@pytest.mark.parametrize("cut", [20, 33, 50, 8000])
def test_a_workbook_is_read_as_another_reader_reads_it(cut):
    """Also where a shared string goes on in the next record, which says its width again."""
    content = xls(SHEET, [["二", 1.0]], cut=cut, dates={(3, 1), (3, 2)})

    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    others = [book.get_sheet_by_index(i).to_python(skip_empty_area=False) for i in range(2)]

    ours = list(reader.sheets(content))
    assert [trimmed(rows) for rows in ours] == [trimmed(rows) for rows in others]


def test_a_corporate_statement_below_nine_lines_is_read():
    rows = parsers.read(xls([*[["建设银行"]] * 9, HEADER, ccb_row()]), ours=[OURS]).rows
    assert [(row.amount_fen, row.position) for row in rows] == [(10_000, 11)]


def test_numbers_and_moments_in_cells_are_their_values():
    cells = ccb_row()
    cells[HEADER.index("贷方发生额（收入）")] = 0.1 + 0.2
    cells[HEADER.index("余额")] = 1100.3
    cells[HEADER.index("交易时间")] = 46027.75
    content = xls([HEADER, cells], dates={(1, HEADER.index("交易时间"))})

    row = parsers.read(content, ours=[OURS]).rows[0]

    assert (row.amount_fen, row.balance_fen) == (30, 110_030)
    assert row.booked_at.isoformat() == "2026-01-05T18:00:00+08:00"


def test_a_number_too_long_to_be_itself_refuses_the_file():
    cells = ccb_row()
    cells[HEADER.index("对方账号")] = 6222001200000001234.0
    assert refusal(xls([HEADER, cells])).code == "BAD_CELL"


def test_a_hidden_sheet_is_not_read_and_two_are_not_chosen_from():
    rows = [HEADER, ccb_row()]
    assert len(parsers.read(xls(rows, rows, hidden={1})).rows) == 1
    assert refusal(xls(rows, rows)).code == "DAMAGED_FILE"


def sheet(*records):
    """A workbook whose only sheet has these records."""
    bof = record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
    name = struct.pack("<BB", 1, 0) + b"a"
    at = len(bof) + 4 + 6 + len(name) + 4
    bound = record(0x85, struct.pack("<IBB", at, 0, 0) + name)
    body = record(0x809, struct.pack("<HHHHII", 0x600, 0x10, 0, 0, 0, 0)) + b"".join(records)
    return ole(bof + bound + record(0x0A) + body + record(0x0A))


@pytest.mark.parametrize(
    ("content", "code"),
    [
        # Four billion cells, of which one is there.
        (sheet(record(0x200, struct.pack("<IIHHH", 0, 2**32 - 1, 0, 65535, 0))), "UNKNOWN_FORMAT"),
        (sheet(record(0x203, struct.pack("<HHHd", 65535, 65535, 0, 1.0))), "EXPANDS_TOO_FAR"),
        (sheet(record(0x203, struct.pack("<HHHd", 65535, 255, 0, 1.0))), "UNKNOWN_FORMAT"),
        (sheet(record(0xFD, struct.pack("<HHHI", 0, 0, 0, 7))), "DAMAGED_FILE"),
        (sheet(record(0x203, b"\0\0")), "DAMAGED_FILE"),
        (sheet(record(0x204, struct.pack("<HHHHB", 0, 0, 0, 9, 0) + b"short")), "DAMAGED_FILE"),
        # Shared strings without end.
        (ole(record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
            + record(0xFC, struct.pack("<II", 2**32 - 1, 2**32 - 1)) + record(0x0A)),
            "EXPANDS_TOO_FAR"),
        (ole(record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0))
            + record(0xFC, struct.pack("<II", 9, 9)) + record(0x0A)), "DAMAGED_FILE"),
        # Encrypted; of Excel 5; another program's; a circle of sectors.
        (ole(record(0x809, struct.pack("<HHHHII", 0x600, 5, 0, 0, 0, 0)) + record(0x2F, b"\1\0")
            + record(0x0A)), "DAMAGED_FILE"),
        (ole(record(0x809, struct.pack("<HHHH", 0x500, 5, 0, 0)) + record(0x0A)),
            "UNSUPPORTED_STATEMENT"),
        (ole(b"", name="WordDocument"), "UNSUPPORTED_STATEMENT"),
        (ole(b"", name="Workbook"), "DAMAGED_FILE"),
    ],
)  # fmt: skip
def test_a_workbook_is_never_read_further_than_it_reaches(content, code):
    assert refusal(content).code == code


def test_sectors_in_a_circle_end():
    content = bytearray(xls(SHEET))
    struct.pack_into("<I", content, 512 + 4 * 3, 2)
    assert refusal(bytes(content)).code == "DAMAGED_FILE"


def test_a_short_workbook_lies_in_the_mini_stream():
    """Streams under 4096 bytes are kept in pieces of 64: the same book, moved there by hand."""
    content = bytearray(xls(SHEET))
    count = 2048 // 64
    directory, book = 512 * 2, 512 * 3
    # The root's stream is where the book was; the book's table of pieces is one more sector.
    struct.pack_into("<II", content, directory + 116, 2, 2048)
    struct.pack_into("<II", content, directory + 128 + 116, 0, 2048)
    assert not any(content[book + 2048 : book + 4096])
    pieces = [*range(1, count), 0xFFFF_FFFE]
    content += struct.pack(f"<{count}I", *pieces).ljust(512, b"\xff")
    sector = len(content) // 512 - 2
    struct.pack_into("<II", content, 60, sector, 1)
    struct.pack_into("<I", content, 512 + 4 * sector, 0xFFFF_FFFE)

    assert list(reader.sheets(bytes(content))) == list(reader.sheets(xls(SHEET)))


WHOLE = written(BANK)
AMOUNTS = [one.signed_fen for one in bookings()]


@settings(max_examples=400, deadline=None, derandomize=True)
@given(draw=st.data())
def test_flipped_and_missing_bytes_are_the_same_money_or_a_refusal(draw):
    broken = bytearray(WHOLE)
    for _ in range(draw.draw(st.integers(1, 3))):
        broken[draw.draw(st.integers(0, len(broken) - 1))] = draw.draw(st.integers(0, 255))
    size = draw.draw(st.sampled_from([len(broken)] * 3 + [len(broken) // 2, 600]))
    try:
        rows = parsers.read(bytes(broken[:size]), ours=[OURS]).rows
    except parsers.Unreadable:
        return
    assert [row.amount_fen for row in rows] == AMOUNTS
    assert len(table(BANK)) > len(rows)
