"""Workbook → sheets.  It is a zip of XML, measured before anything is built from it."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence

from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from payments.transfers.parsers import zipped
from payments.transfers.parsers.refusals import (
    DamagedFile,
    EntitiesForbidden,
    ExpandsTooFar,
    UnknownFormat,
    Unreadable,
)

from . import grid

MARK = b"PK\x03\x04"

MAX_PARTS = 500
MAX_EXPANDED = 64 * 1024 * 1024  # bytes, all parts
MAX_TAGS = 5_000_000  # of one part
MAX_CELLS = 2_000_000  # rows × columns, empty ones too: the reader builds a full rectangle
MAX_SHARED_TEXT = 128 * 1024 * 1024  # bytes, once every cell has its own copy of a shared string

_NEEDED = re.compile(
    r"\[content_types\]\.xml|_rels/\.rels|xl/(_rels/)?workbook\.xml(\.rels)?"
    r"|xl/(sharedstrings|styles)\.xml|xl/worksheets/[^/]+\.xml",
    re.IGNORECASE,
)
_REFERENCE = re.compile(rb"""\sr\s*=\s*["']([^"']*)["']""")
_CELL = re.compile(rb"<(?:[\w.-]+:)?c[\s/>]")
_ROW = re.compile(rb"<(?:[\w.-]+:)?row[\s/>]")
_VALUE_TAG = re.compile(rb"<(?:[\w.-]+:)?v[\s/>]")
_VALUE = re.compile(rb"""<(?:[\w.-]+:)?v(?:\s+xml:space="preserve")?\s*(?:/>|>([^<]*)</)""")
_SHARED = re.compile(rb"<(?:[\w.-]+:)?si[\s/>]")


def sheets(content: bytes) -> Iterator[grid.Sheet]:
    """Visible sheets, from their first row on; raises DamagedFile."""
    small = _rebuilt(_parts(content))
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(small))
        for sheet in book.sheets_metadata:
            worksheet = sheet.typ == SheetTypeEnum.WorkSheet
            if worksheet and sheet.visible == SheetVisibleEnum.Visible:
                yield book.get_sheet_by_name(sheet.name).to_python(skip_empty_area=False)
    except Unreadable:
        raise
    except (CalamineError, ValueError, OSError) as error:
        raise DamagedFile("工作簿内容已损坏") from error
    except BaseException as error:
        # A panic of the Rust reader is no Exception, yet it means the same: a broken file.
        if type(error).__name__ != "PanicException":
            raise
        raise DamagedFile("工作簿内容已损坏") from error


def _parts(content: bytes) -> dict[str, bytes]:
    """The parts a reader needs, unpacked by our own hand within our own limits."""
    source = io.BytesIO(content)
    with zipped.opened(source, max_parts=MAX_PARTS, max_bytes=MAX_EXPANDED) as archive:
        members = archive.infolist()
        if "xl/workbook.xml" not in {member.filename.lower() for member in members}:
            raise UnknownFormat(
                "不认识的文件格式：是 ZIP 压缩包但不是 xlsx，请先解压再上传其中的明细"
            )
        return {
            member.filename: zipped.whole(archive, member)
            for member in members
            if _NEEDED.fullmatch(member.filename)
        }


def _rebuilt(parts: dict[str, bytes]) -> bytes:
    """The checked parts in a fresh archive: the reader sees the very bytes that were measured."""
    for name, part in parts.items():
        _plain_xml(name, part)
    shared = next((p for n, p in parts.items() if n.lower() == "xl/sharedstrings.xml"), b"")
    lengths = [len(item) for item in _SHARED.split(shared)[1:]]
    room = MAX_SHARED_TEXT
    rectangle = 0
    for name, part in parts.items():
        if name.lower().startswith("xl/worksheets/"):
            rectangle += _rectangle(part)
            room -= _copied_text(part, lengths)
    if rectangle > MAX_CELLS:
        raise ExpandsTooFar(f"表格范围超过 {MAX_CELLS} 个单元格")
    if room < 0:
        raise ExpandsTooFar("表格展开后的文字过多")
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return target.getvalue()


def _plain_xml(name: str, part: bytes) -> None:
    if part.count(b"<") > MAX_TAGS or part.count(b"=") > MAX_TAGS:
        raise ExpandsTooFar("表格展开后的单元格过多")
    if b"<!DOCTYPE" in part or b"<!ENTITY" in part:
        raise EntitiesForbidden
    if b"\0" in part or b"<![CDATA[" in part or b"<!--" in part:
        # What Excel never writes, and what would hide cells from the measuring below.
        raise DamagedFile(f"{name[:60]} 的写法少见，不是 Excel 或银行系统保存的文件")


def _rectangle(sheet: bytes) -> int:
    """Rows × columns the reader will build, from the cells' own references (not <dimension>)."""
    named = _REFERENCE.findall(sheet)
    height, width = _unnamed(sheet, len(named))
    references = set(named)
    columns = {reference.rstrip(b"0123456789") for reference in references}
    rows = {reference.lstrip(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ") for reference in references}
    if any(len(name) > 3 or not name.isalpha() for name in columns if name):
        raise DamagedFile("工作表的单元格编号有误")
    if any(len(number) > 7 or not number.isdigit() for number in rows):
        raise DamagedFile("工作表的单元格编号有误")
    return (max(map(int, rows), default=0) + height) * (
        max(map(_column, columns), default=0) + width
    )


def _unnamed(sheet: bytes, named: int) -> tuple[int, int]:
    """Rows and columns that cells without a reference may add: they follow one another."""
    lines = _ROW.split(sheet)
    widths = [len(_CELL.findall(line)) for line in lines]
    if named >= len(lines) - 1 + sum(widths):
        return 0, 0
    return len(lines), max(widths)


def _column(name: bytes) -> int:
    place = 0
    for letter in name:
        place = place * 26 + letter - 64
    return place


def _copied_text(sheet: bytes, lengths: Sequence[int]) -> int:
    """Bytes of shared strings once copied into every cell that may point at them, at most."""
    values = _VALUE.findall(sheet)
    if len(values) != len(_VALUE_TAG.findall(sheet)) or any(b"&#" in value for value in values):
        raise DamagedFile("工作表的写法少见，不是 Excel 或银行系统保存的文件")
    indexes = (int(value) for value in values if value.isdigit() and len(value) < 8)
    return sum(lengths[index] for index in indexes if index < len(lengths))
