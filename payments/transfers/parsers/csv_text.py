"""Separated text → grid, for every layout of `LAYOUTS`."""

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import BinaryIO

from . import foreign, layouts, tables, text
from .refusals import DamagedFile
from .statement import Checks, Stream

DELIMITERS = (",", "\t")
MAX_LINES_OF_A_ROW = 50  # a quoted remark may hold line breaks, but not a file


def recognises(head: bytes) -> bool:
    """Any text may be a table; its header decides, so this format is asked last."""
    return True


def open(
    source: BinaryIO,
    ours: Collection[str],
    columns: Mapping[str, str] | None,
    checks: Checks,
) -> Stream:
    """The table under the first known header line; raises Unreadable."""
    encoding = text.encoding_of(source)
    top = list(islice(text.lines(source, encoding), tables.HEADER_WITHIN))
    wanted = layouts.wanted(columns)
    seen: list[list[str]] = []
    for number, line in enumerate(top):
        for delimiter in DELIMITERS:
            header = tables.header_names(_cells(line, delimiter))
            seen.append(header)
            if found := layouts.recognised(header, wanted):
                lines = _Lines(source, encoding, delimiter, above=number + 1)
                grid = tables.Grid(
                    container="csv",
                    header_row=number + 1,
                    header=header,
                    lead=[_cells(above, delimiter) for above in top[:number]],
                    body=lines.rows,
                    whole_end=lines.was_ended,
                )
                return tables.stream(*found, grid, ours, checks)
    raise foreign.refuse(seen, columns)


def first_rows(source: BinaryIO) -> list[list[str]]:
    """The first rows as text, by the separator that makes the most of them; raises Unreadable."""
    top = list(islice(text.lines(source, text.encoding_of(source)), tables.HEADER_WITHIN))
    ways = [[list(_cells(line, delimiter)) for line in top] for delimiter in DELIMITERS]
    return max(ways, key=lambda rows: sum(map(len, rows)))


def _cells(line: str, delimiter: str) -> Sequence[str]:
    if len(line) > text.MAX_LINE:
        return []
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []


class _Lines:
    """The rows below a header line, as often as they are asked for."""

    def __init__(self, source: BinaryIO, encoding: str, delimiter: str, *, above: int) -> None:
        self.source = source
        self.encoding = encoding
        self.delimiter = delimiter
        self.above = above  # lines, the header among them
        self.pending = 0  # lines of the row that is being read
        self.ended = True

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Row numbers are those of the file's lines; raises DamagedFile, WrongEncoding."""
        below = islice(text.lines(self.source, self.encoding), self.above, None)
        reader = csv.reader(self._plain(below), delimiter=self.delimiter, strict=True)
        try:
            for row in reader:
                self.pending = 0
                yield self.above + reader.line_num, row
        except csv.Error as error:
            line = self.above + reader.line_num
            raise DamagedFile(
                f"第 {line} 行的引号或换行不完整，文件可能被截断", row=line
            ) from error

    def was_ended(self) -> bool:
        """Whether the last line that was read had an end."""
        return self.ended

    def _plain(self, below: Iterable[str]) -> Iterator[str]:
        comma = self.delimiter == ","
        line = ""
        for number, line in enumerate(below, start=self.above + 1):
            if len(line) > text.MAX_LINE:
                raise DamagedFile(f"第 {number} 行长达十万个字符以上，不是明细", row=number)
            self.pending += 1
            if self.pending > MAX_LINES_OF_A_ROW:
                raise DamagedFile(f"第 {number} 行之前的引号没有结束，文件可能被截断", row=number)
            # Chinese exporters put a tab behind a quoted id to keep Excel from rounding it.
            yield line.replace('"\t', '"') if comma and '"\t' in line else line
        self.ended = line.endswith(("\n", "\r"))
