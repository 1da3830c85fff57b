"""Separated text → grid, for every layout of `LAYOUTS`."""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence

from . import cells, foreign, tables, text
from .layouts import LAYOUTS
from .refusals import DamagedFile
from .statement import Statement

MAX_LINE = 100_000  # characters; a statement line has some hundred


def recognises(head: bytes) -> bool:
    """Any text may be a table; its header decides, so this format is asked last."""
    return True


def read(content: bytes, ours: Collection[str] = ()) -> Statement:
    """The table under the first known header line; raises Unreadable."""
    document = text.decode(content)
    if "\n" not in document:
        document = document.replace("\r", "\n")
    lines = document.split("\n", tables.HEADER_WITHIN)[: tables.HEADER_WITHIN]
    seen: list[list[str]] = []
    for number, line in enumerate(lines):
        for delimiter in (",", "\t"):
            header = _header(line, delimiter)
            seen.append(header)
            for layout in LAYOUTS:
                if at := layout.find(header):
                    rest = document[sum(len(above) + 1 for above in lines[: number + 1]) :]
                    grid = tables.Grid(
                        container="csv",
                        header=header,
                        header_row=number + 1,
                        lead=[_cells(above, delimiter) for above in lines[:number]],
                        body=_body(rest, delimiter, number + 1),
                    )
                    return tables.read(layout, at, grid, ours)
    raise foreign.refuse(seen)


def _header(line: str, delimiter: str) -> list[str]:
    names = [cells.name(cell) for cell in _cells(line, delimiter)]
    while names and not names[-1]:
        names.pop()
    return names


def _cells(line: str, delimiter: str) -> Sequence[str]:
    if len(line) > MAX_LINE:
        return []
    try:
        return next(csv.reader([line.rstrip("\r")], delimiter=delimiter), [])
    except csv.Error:
        return []


def _body(rest: str, delimiter: str, above: int) -> Iterator[tuple[int, list[str]]]:
    # Chinese exporters put a tab behind a quoted id to keep Excel from rounding it.
    lines = io.StringIO(rest.replace('"\t', '"'), newline="")
    reader = csv.reader(_short(lines, above), delimiter=delimiter, strict=True)
    try:
        for row in reader:
            yield above + reader.line_num, row
    except csv.Error as error:
        line = above + reader.line_num
        raise DamagedFile(f"第 {line} 行的引号或换行不完整，文件可能被截断", row=line) from error


def _short(lines: Iterable[str], above: int) -> Iterator[str]:
    for number, line in enumerate(lines, start=above + 1):
        if len(line) > MAX_LINE:
            raise DamagedFile(f"第 {number} 行长达 {len(line)} 个字符，不是明细", row=number)
        yield line
