"""Bytes that mean harm or met an accident: refused, or the same money; nothing in between."""

import io
import subprocess
import sys
import zipfile
import zlib
from functools import cache
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from payments.transfers import parsers
from tests.payments.parsers.bank import written
from tests.payments.parsers.corporate import CORPORATE
from tests.payments.parsers.made import CCB_HEADER, OURS, bookings, counted, guarded_ccb, rendered
from tests.payments.parsers.personal import PERSONAL

CLONE = Path(__file__).resolve().parents[3]
RENDERED = ("cmb_xlsx", "mt940", "camt053")
NAMES = ("ccb", "boc", "abc_xls", "spdb_xls", "citic_xls", "cgb", *RENDERED)
TEXTS = ("ccb", "boc", "cgb", "mt940", "camt053")
WHOLE = {
    "ccb": guarded_ccb(),
    "boc": written(CORPORATE["boc_csv"]),
    "abc_xls": written(CORPORATE["abc_xls"]),
    "spdb_xls": written(CORPORATE["spdb_xls"]),
    "citic_xls": written(CORPORATE["citic_xls"]),
    "cgb": written(CORPORATE["cgb_csv"]),
    **{name: rendered(name) for name in RENDERED},
}
AMOUNTS = [one.signed_fen for one in bookings()]
every_format = pytest.mark.parametrize("name", NAMES)
properties = settings(max_examples=200, deadline=None, derandomize=True)


def outcome(content):
    """Figures of a statement, or the refusal; any other exception fails the test."""
    try:
        statement = parsers.read(content, ours=[OURS])
    except parsers.Unreadable as refused:
        return refused
    amounts = [row.amount_fen for row in statement.rows]
    return statement.opening_fen, statement.closing_fen, counted(amounts)


def same_or_refused(name, content):
    found = outcome(content)
    return isinstance(found, parsers.Unreadable) or found == outcome(WHOLE[name])


@every_format
@properties
@given(draw=st.data())
def test_a_truncated_file_never_has_other_totals(name, draw):
    whole = WHOLE[name]
    assert same_or_refused(name, whole[: draw.draw(st.integers(0, len(whole) - 1))])


@every_format
@properties
@given(draw=st.data())
def test_a_flipped_byte_never_changes_a_total(name, draw):
    broken = bytearray(WHOLE[name])
    broken[draw.draw(st.integers(0, len(broken) - 1))] ^= draw.draw(st.integers(1, 255))
    assert same_or_refused(name, bytes(broken))


@pytest.mark.parametrize("name", TEXTS)
def test_a_line_dropped_or_doubled_never_changes_a_total(name):
    lines = WHOLE[name].splitlines(keepends=True)
    for i, line in enumerate(lines):
        assert same_or_refused(name, b"".join(lines[:i] + lines[i + 1 :])), line
        assert same_or_refused(name, b"".join([*lines[:i], line, *lines[i:]])), line


@pytest.mark.parametrize("name", TEXTS)
@properties
@given(draw=st.data())
def test_a_digit_changed_never_changes_a_total(name, draw):
    whole = WHOLE[name]
    places = [i for i, byte in enumerate(whole) if 48 <= byte <= 57]
    broken = bytearray(whole)
    broken[draw.draw(st.sampled_from(places))] = draw.draw(st.integers(48, 57))
    assert same_or_refused(name, bytes(broken))


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16", "utf-16-le", "utf-8-sig"])
def test_another_encoding_is_the_same_money_or_a_refusal(name, encoding):
    text = WHOLE[name].decode("gb18030" if name in {"ccb", "boc", "cgb"} else "utf-8")
    assert same_or_refused(name, text.encode(encoding))


@pytest.mark.parametrize("name", ["ccb", "boc", "mt940"])
def test_other_line_ends_are_the_same_money(name):
    whole = outcome(WHOLE[name])
    assert outcome(WHOLE[name].replace(b"\r\n", b"\n")) == whole
    assert outcome(WHOLE[name].replace(b"\r\n", b"\r")) == whole


def test_without_declared_balances_only_an_end_of_a_ccb_file_can_go_missing():
    """Control: what the chain alone protects, and why the caller compares statements' balances."""
    lines = rendered("ccb_csv").splitlines(keepends=True)
    for first in range(1, len(lines)):
        for gone in range(first + 1, len(lines) + 1):
            found = outcome(b"".join(lines[:first] + lines[gone:]))
            if not isinstance(found, parsers.Unreadable):
                kept = AMOUNTS[: first - 1] + AMOUNTS[gone - 1 :]
                assert first == 1 or gone == len(lines)
                assert found[1] - found[0] == sum(kept)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    start=st.sampled_from(
        [
            b"",
            b"PK\x03\x04",
            b"<?xml version='1.0'?>",
            b":20:\n:25:1\n:60F:",
            b"\xff\xfe",
            b"\xef\xbb\xbf",
        ]
    ),
    noise=st.binary(max_size=3000),
)
@example(start=b":20:A\n:25:1\n:28:", noise=b"")
@example(start=b"\xff\xfe", noise=b"\x00\xdc")
def test_noise_is_always_a_refusal(start, noise):
    assert isinstance(outcome(start + noise), parsers.Unreadable)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(draw=st.data())
def test_a_sheet_with_noise_inside_an_intact_archive_is_only_ever_refused(draw):
    """Past the archive's checksum, to the reader of the sheet itself."""
    parts = unzipped(WHOLE["cmb_xlsx"])
    name = draw.draw(st.sampled_from(sorted(parts)))
    part = bytearray(parts[name])
    for _ in range(draw.draw(st.integers(1, 4))):
        part[draw.draw(st.integers(0, len(part) - 1))] = draw.draw(st.integers(0, 255))
    assert same_or_refused("cmb_xlsx", zipped({**parts, name: bytes(part)}))


def unzipped(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zipped(parts):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return target.getvalue()


def with_sheet(sheet, **more):
    parts = unzipped(WHOLE["cmb_xlsx"])
    return zipped({**parts, "xl/worksheets/sheet1.xml": sheet, **more})


def sheet_of(rows):
    space = b"http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    return b'<worksheet xmlns="' + space + b'"><sheetData>' + rows + b"</sheetData></worksheet>"


def zeros_that_lie_about_their_size():
    """The directory says 1,000 bytes; the stream holds 200 MB."""
    content = bytearray(with_sheet(bytes(1000)))
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = b"".join([packer.compress(bytes(1 << 20)) for _ in range(200)]) + packer.flush()
    parts = unzipped(bytes(content))
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part if "sheet1" not in name else stream)
    with zipfile.ZipFile(io.BytesIO(target.getvalue())) as archive:
        offset = archive.getinfo("xl/worksheets/sheet1.xml").header_offset
    lying = bytearray(target.getvalue())
    central = lying.rindex(b"xl/worksheets/sheet1.xml") - 46
    for method, size in ((offset + 8, offset + 22), (central + 10, central + 24)):
        lying[method : method + 2] = (8).to_bytes(2, "little")
        lying[size : size + 4] = (1000).to_bytes(4, "little")
    return bytes(lying)


@cache
def bombs():
    text = b"<si><t>" + b"x" * 30_000 + b"</t></si>"
    shared = b'<sst xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">' + text
    cells = b"".join(b'<c r="A%d" t="s"><v>0</v></c>' % i for i in range(1, 50_000))
    laugh = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10 if i else "lol"}">' for i in range(10))
    xml = '<?xml version="1.0"?>'
    header = PERSONAL["cmb_personal_csv"].header
    blanks = f"{header}\n20260105,CNY,1.00,1.00,,a{' ' * 90_000}b,\n2026,,,,,,\n".encode()
    camt = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><a><Stmt>'
    return {
        "zeros": (with_sheet(bytes(100 << 20)), "EXPANDS_TOO_FAR"),
        "ratio": (with_sheet(bytes(20 << 20)), "EXPANDS_TOO_FAR"),
        "lying size": (zeros_that_lie_about_their_size(), "DAMAGED_FILE"),
        "many parts": (zipped({f"p{i}": b"" for i in range(600)}), "EXPANDS_TOO_FAR"),
        "corner to corner": (
            with_sheet(
                sheet_of(
                    b'<row r="1"><c r="A1"><v>1</v></c></row>'
                    b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>'
                )
            ),
            "EXPANDS_TOO_FAR",
        ),
        "one string everywhere": (
            with_sheet(sheet_of(cells), **{"xl/sharedStrings.xml": shared + b"</sst>"}),
            "EXPANDS_TOO_FAR",
        ),
        "entities in a sheet": (
            with_sheet(f"{xml}<!DOCTYPE z [{laugh}]><z>&l9;</z>".encode()),
            "ENTITIES_FORBIDDEN",
        ),
        "entities": (f"{xml}<!DOCTYPE z [{laugh}]><z>&l9;</z>".encode(), "ENTITIES_FORBIDDEN"),
        "deep": (camt + b"<a>" * 3_000_000, "EXPANDS_TOO_FAR"),
        "wide": (camt + b"<Ntry>" + b"<a/>" * 4_000_000, "EXPANDS_TOO_FAR"),
        "commas": (b"," * (19 << 20), "UNKNOWN_FORMAT"),
        "quotes": (b'"' * (30 << 20), "UNKNOWN_FORMAT"),
        "a row without end": (CCB_HEADER.encode() + b"\n2" + b',"\n"' * (7 << 20), "DAMAGED_FILE"),
        "a wide row": (CCB_HEADER.encode() + (b"\n" + b"," * 90_000) * 300, "DAMAGED_FILE"),
        "blank lines": (CCB_HEADER.encode() + b"\n" * (30 << 20), "DAMAGED_FILE"),
        "commas below a header": (CCB_HEADER.encode() + b"\n,,," * (7 << 20), "DAMAGED_FILE"),
        "wide headers": ((b"\n" + b"a," * 49_000) * 300, "UNKNOWN_FORMAT"),
        "brackets": ((b"\n" + b"[" * 90_000) * 40, "UNKNOWN_FORMAT"),
        "blanks in a name": (blanks, "BAD_CELL"),
        "pages": (b":20:\n:25:\n" * 1_900_000, "DAMAGED_FILE"),
        "letters": (b"\xe9A" * (9 << 20), "UNKNOWN_FORMAT"),
    }


MEASURED = """
import io, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (700 << 20, 700 << 20))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
from payments.transfers import parsers
try:
    list(parsers.stream(io.BytesIO(sys.stdin.buffer.read())).rows)
except parsers.Unreadable as refused:
    print(refused.code)
"""


@pytest.mark.parametrize("name", bombs())
def test_a_bomb_is_refused_within_bounded_memory_and_time(name):
    content, code = bombs()[name]
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], input=content, capture_output=True, cwd=CLONE, check=False
    )
    assert done.stdout.decode().strip() == code, done.stderr.decode()[-2000:]


STREAMED = """
import csv, resource, sys
from payments.transfers import parsers

header = sys.argv[2].split(",")
path, rows = sys.argv[1], 150_000
with open(path, "w", encoding="gb18030", newline="") as target:
    lines = csv.writer(target)
    lines.writerow(header)
    filled = {"账号": "755900001234567", "币种": "人民币元", "对方户名": "张喆", "摘要": "转账"}
    for i in range(rows):
        said = {
            **filled,
            "交易时间": f"20260105 {i // 3600 % 24:02d}:{i // 60 % 60:02d}:{i % 60:02d}",
            "贷方发生额（收入）": "100.01",
            "余额": f"{(i + 1) * 10001 // 100}.{(i + 1) * 10001 % 100:02d}",
            "备注": f"货款 {i:08d}",
            "账户明细编号-交易流水号": f"S{i}",
        }
        lines.writerow([said.get(name, "") for name in header])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with open(path, "rb") as source:
    total = sum(row.amount_fen for row in parsers.stream(source).rows)
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(total == rows * 10001, grown // 1024)
"""


def test_a_long_file_is_read_in_the_memory_of_a_short_one(tmp_path):
    """150,000 lines, 22 MB: kept whole, its rows would take over a hundred megabytes."""
    done = subprocess.run(
        [sys.executable, "-c", STREAMED, tmp_path / "long.csv", CCB_HEADER],
        capture_output=True,
        cwd=CLONE,
        check=True,
    )
    summed, megabytes = done.stdout.decode().split()
    assert summed == "True"
    assert int(megabytes) < 30
