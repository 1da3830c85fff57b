"""Old Excel workbooks (BIFF8 in an OLE2 container) → sheets, as China's banks still export them.

Read here by hand, because a workbook of a few bytes may declare four billion cells or strings:
nothing is built from what a file declares, only from what it holds.  Formats: [MS-CFB], [MS-XLS].
"""

import re
import struct
from collections.abc import Iterator
from datetime import datetime, timedelta

from payments.transfers.parsers.refusals import DamagedFile, ExpandsTooFar, UnsupportedStatement

from . import grid
from .ole import stream_of

MARK = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"

MAX_CELLS = 2_000_000
MAX_COLUMNS = 256  # of this format

_BOF, _EOF, _CONTINUE, _STRING = 0x0809, 0x000A, 0x003C, 0x0207
_BOUNDSHEET, _SST, _FILEPASS, _DATEMODE, _FORMAT, _XF = 0x85, 0xFC, 0x2F, 0x22, 0x41E, 0xE0
_NUMBER, _RK, _MULRK, _LABELSST, _LABEL, _RSTRING = 0x203, 0x27E, 0xBD, 0xFD, 0x204, 0xD6
_FORMULA, _BOOLERR = 0x06, 0x205

_BUILT_IN_DATES = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_QUOTED = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]')
_BROKEN = (struct.error, LookupError, ValueError, OverflowError)


def sheets(content: bytes) -> Iterator[grid.Sheet]:
    """Visible sheets, from their first row on; raises DamagedFile, ExpandsTooFar."""
    try:
        book = _Book(stream_of(content, "Workbook"))
        for offset in book.offsets:
            yield _Sheet(book, offset).rows()
    except _BROKEN as error:
        raise DamagedFile("xls 工作簿不完整或已损坏") from error


def _records(book: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """From a BOF to its EOF; raises DamagedFile where the file ends before."""
    if struct.unpack_from("<H", book, offset)[0] != _BOF:
        raise DamagedFile("xls 工作簿已损坏")
    depth = 0
    while True:
        kind, length = struct.unpack_from("<HH", book, offset)
        payload = book[offset + 4 : offset + 4 + length]
        if len(payload) != length:
            raise DamagedFile("xls 工作簿被截断")
        offset += 4 + length
        depth += (kind == _BOF) - (kind == _EOF)  # a chart inside a sheet has its own pair
        if depth <= 0:
            return
        if depth == 1:
            yield kind, payload


class _Book:
    """What all sheets share: strings, which number formats are dates, where the sheets begin."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.strings: list[str] = []
        self.offsets: list[int] = []
        self.epoch = datetime(1899, 12, 30)  # noqa: DTZ001 - a workbook knows no zone
        self._xfs: list[int] = []
        self._formats: dict[int, str] = {}
        packed: list[bytes] = []
        before = 0
        for kind, payload in _records(content, 0):
            if kind == _SST or (kind == _CONTINUE and before in {_SST, _CONTINUE} and packed):
                packed.append(payload)
            else:
                self._note(kind, payload)
            before = kind
        if packed:
            self.strings = _Shared(packed).strings()
        self.dates = [self._is_date(number) for number in self._xfs]

    def _note(self, kind: int, payload: bytes) -> None:
        if kind == _BOF and payload[:2] != b"\x00\x06":
            raise UnsupportedStatement("早于 Excel 97 的工作簿，请另存为 xlsx", kind="xls")
        if kind == _FILEPASS:
            raise DamagedFile("工作簿有打开密码，请去掉密码后再上传")
        if kind == _DATEMODE and payload[:2] == b"\x01\x00":
            self.epoch = datetime(1904, 1, 1)  # noqa: DTZ001
        if kind == _BOUNDSHEET:
            offset, state, sort = struct.unpack_from("<IBB", payload)
            if not state & 3 and sort == 0:  # visible, a worksheet
                self.offsets.append(offset)
        if kind == _XF:
            self._xfs.append(struct.unpack_from("<H", payload, 2)[0])
        if kind == _FORMAT:
            self._formats[struct.unpack_from("<H", payload)[0]] = _text(payload, 2)

    def _is_date(self, number: int) -> bool:
        if number in self._formats:
            return bool(set(_QUOTED.sub("", self._formats[number]).lower()) & set("ymdhs"))
        return number in _BUILT_IN_DATES

    def number(self, value: float, xf: int) -> object:
        """A number, or the moment that its format shows."""
        if xf >= len(self.dates) or not self.dates[xf] or not 0 <= value < 2_958_466:
            return value
        at = self.epoch + timedelta(seconds=round(value * 86_400))
        return at.time() if value < 1 else at


class _Sheet:
    """The cells of one sheet, as they come; a row is as long as its last cell."""

    def __init__(self, book: _Book, offset: int) -> None:
        self.book = book
        self.cells: dict[int, dict[int, object]] = {}
        self.count = 0
        self._formula: tuple[int, int] | None = None  # whose text the next record holds
        for kind, payload in _records(book.content, offset):
            self._take(kind, payload)

    def rows(self) -> list[list[object]]:
        height = max(self.cells, default=-1) + 1
        return [self._row(self.cells.get(number)) for number in range(height)]

    def _row(self, found: dict[int, object] | None) -> list[object]:
        if not found:
            return []
        row: list[object] = [""] * (max(found) + 1)
        for column, value in found.items():
            row[column] = value
        return row

    def _put(self, row: int, column: int, value: object) -> None:
        self.count += 1
        if self.count > MAX_CELLS or column >= MAX_COLUMNS:
            raise ExpandsTooFar(f"表格超过 {MAX_CELLS} 个单元格，请改为导出 CSV")
        self.cells.setdefault(row, {})[column] = value

    def _take(self, kind: int, payload: bytes) -> None:
        if kind == _LABELSST:
            row, column, _, index = struct.unpack_from("<HHHI", payload)
            self._put(row, column, self.book.strings[index])
        elif kind == _NUMBER:
            row, column, xf, value = struct.unpack_from("<HHHd", payload)
            self._put(row, column, self.book.number(value, xf))
        elif kind == _RK:
            row, column, xf, packed = struct.unpack_from("<HHHI", payload)
            self._put(row, column, self.book.number(_unpacked(packed), xf))
        elif kind == _MULRK:
            row, column = struct.unpack_from("<HH", payload)
            for place in range((len(payload) - 6) // 6):
                xf, packed = struct.unpack_from("<HI", payload, 4 + 6 * place)
                self._put(row, column + place, self.book.number(_unpacked(packed), xf))
        elif kind in {_LABEL, _RSTRING}:
            row, column = struct.unpack_from("<HH", payload)
            self._put(row, column, _text(payload, 6))
        else:
            self._take_result(kind, payload)

    def _take_result(self, kind: int, payload: bytes) -> None:
        if kind == _STRING and self._formula:
            self._put(*self._formula, _text(payload, 0))
        elif kind == _BOOLERR:
            row, column, _, value, is_error = struct.unpack_from("<HHHBB", payload)
            self._put(row, column, "#ERROR" if is_error else bool(value))
        elif kind == _FORMULA:
            self._take_formula(payload)

    def _take_formula(self, payload: bytes) -> None:
        row, column, xf = struct.unpack_from("<HHH", payload)
        self._formula = None
        if payload[12:14] != b"\xff\xff":
            value = struct.unpack_from("<d", payload, 6)[0]
            self._put(row, column, self.book.number(value, xf))
        elif payload[6] == 0:
            self._formula = (row, column)
        elif payload[6] == 1:
            self._put(row, column, bool(payload[8]))
        elif payload[6] == 2:
            self._put(row, column, "#ERROR")


def _unpacked(packed: int) -> float:
    """RK: 30 bits of a float or an integer, perhaps of hundredths."""
    if packed & 2:
        value = float((packed >> 2) - ((packed & 0x8000_0000) >> 1))
    else:
        value = struct.unpack("<d", struct.pack("<II", 0, packed & 0xFFFF_FFFC))[0]
    return value / 100 if packed & 1 else value


def _text(payload: bytes, offset: int) -> str:
    """Length, one byte that says how wide, characters."""
    length, flags = struct.unpack_from("<HB", payload, offset)
    size = length * 2 if flags & 1 else length
    found = payload[offset + 3 : offset + 3 + size]
    if len(found) != size:
        raise DamagedFile("xls 工作簿被截断")
    return found.decode("utf-16-le" if flags & 1 else "latin-1")


class _Shared:
    """The shared strings, packed over several records, where one may go on in the next."""

    def __init__(self, parts: list[bytes]) -> None:
        self.parts = parts
        self.part = 0
        self.at = 8  # behind the two counts

    def strings(self) -> list[str]:
        _, count = struct.unpack_from("<II", self.parts[0])
        if count > MAX_CELLS:
            raise ExpandsTooFar("xls 工作簿里的文字过多")
        return [self._string() for _ in range(count)]

    def _string(self) -> str:
        length, flags = struct.unpack("<HB", self._bytes(3))
        runs = struct.unpack("<H", self._bytes(2))[0] if flags & 8 else 0
        more = struct.unpack("<I", self._bytes(4))[0] if flags & 4 else 0
        text = self._characters(length, flags & 1)
        self._bytes(4 * runs + more)  # fonts, phonetic signs
        return text

    def _bytes(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            self._turn()
            taken = self.parts[self.part][self.at : self.at + size - len(found)]
            self.at += len(taken)
            found += taken
        return found

    def _turn(self) -> bool:
        """To the next record where this one is at its end; IndexError behind the last."""
        turned = False
        while self.at >= len(self.parts[self.part]):
            self.part, self.at, turned = self.part + 1, 0, True
        return turned

    def _characters(self, length: int, wide: int) -> str:
        text = ""
        while len(text) < length:
            if self._turn():  # the rest says again how wide it is
                wide = self.parts[self.part][0] & 1
                self.at = 1
                continue
            size = (length - len(text)) * (2 if wide else 1)
            taken = self.parts[self.part][self.at : self.at + size]
            self.at += len(taken)
            text += taken.decode("utf-16-le" if wide else "latin-1")
        return text
