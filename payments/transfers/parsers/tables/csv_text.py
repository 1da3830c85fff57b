"""Separated text → grid, for every layout of `LAYOUTS`."""

import csv
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import BinaryIO

from payments.transfers.parsers import text
from payments.transfers.parsers.refusals import DamagedFile
from payments.transfers.parsers.statement import UNKNOWN, Known, Stream

from . import foreign, grid, layouts

DELIMITERS = (",", "\t")
MAX_LINES_OF_A_ROW = 50  # a quoted remark may hold line breaks, but not a file


def recognises(head: bytes) -> bool:
    """Any text may be a table; its header decides, so this format is asked last."""
    return True


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """The table under the first known header line; raises Unreadable."""
    encoding = text.encoding_of(source)
    top = list(islice(text.lines(source, encoding), grid.HEADER_WITHIN))
    wanted = layouts.wanted(known.columns)
    seen: list[list[str]] = []
    for number, line in enumerate(top):
        for delimiter in DELIMITERS:
            header = grid.header_names(cells(line, delimiter))
            seen.append(header)
            if found := layouts.recognised(header, wanted):
                lines = Lines(partial(_below, source, encoding, number + 1), number + 1, delimiter)
                table = grid.Grid(
                    container="csv",
                    header_row=number + 1,
                    header=header,
                    lead=[cells(above, delimiter) for above in top[:number]],
                    body=lines.rows,
                    whole_end=lines.was_ended,
                )
                return grid.stream(*found, table, known)
    raise foreign.refuse(seen, known.columns)


def first_rows(source: BinaryIO) -> list[list[str]]:
    """The first rows as text, by the separator that makes the most of them; raises Unreadable."""
    top = list(islice(text.lines(source, text.encoding_of(source)), grid.HEADER_WITHIN))
    ways = [[cells(line, delimiter) for line in top] for delimiter in DELIMITERS]
    return max(ways, key=lambda rows: sum(map(len, rows)))


def cells(line: str, delimiter: str = ",") -> list[str]:
    """One line's cells; none of a line that is no row by itself."""
    if len(line) > text.MAX_LINE:
        return []
    try:
        return next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter), [])
    except csv.Error:
        return []


def _below(source: BinaryIO, encoding: str, above: int) -> Iterator[str]:
    return islice(text.lines(source, encoding), above, None)


class Lines:
    """The rows below a header line, as often as `below` gives those lines."""

    def __init__(
        self, below: Callable[[], Iterable[str]], above: int, delimiter: str = ","
    ) -> None:
        self.below = below
        self.above = above  # lines, the header among them
        self.delimiter = delimiter
        self.pending = 0  # lines of the row that is being read
        self.ended = True

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Row numbers are those of the file's lines; raises DamagedFile, WrongEncoding."""
        reader = csv.reader(self._plain(), delimiter=self.delimiter, strict=True)
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

    def _plain(self) -> Iterator[str]:
        comma = self.delimiter == ","
        line = ""
        for number, line in enumerate(self.below(), start=self.above + 1):
            if len(line) > text.MAX_LINE:
                raise text.too_long(number)
            self.pending += 1
            if self.pending > MAX_LINES_OF_A_ROW:
                raise DamagedFile(f"第 {number} 行之前的引号没有结束，文件可能被截断", row=number)
            # Chinese exporters put a tab behind a quoted id to keep Excel from rounding it.
            yield line.replace('"\t', '"') if comma and '"\t' in line else line
        self.ended = line.endswith(("\n", "\r"))
