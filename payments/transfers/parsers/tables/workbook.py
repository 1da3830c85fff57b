"""Sheets of a workbook → grid; how they are unpacked is the business of `xlsx` and `xls`."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

from payments.transfers.parsers import cells, held
from payments.transfers.parsers.refusals import BadCell, DamagedFile
from payments.transfers.parsers.statement import UNKNOWN, Known, Stream

from . import foreign, grid, layouts, xls, xlsx

_CONTAINERS = {"xlsx": xlsx, "xls": xls}


def recognises(head: bytes) -> bool:
    """By the container's mark."""
    return _container(head) is not None


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """The one sheet with a known header; raises Unreadable."""
    container, sheets = _sheets(source)
    wanted = layouts.wanted(known.columns)
    found = []
    seen: list[list[str]] = []
    for rows in sheets:
        for number, row in enumerate(rows[: grid.HEADER_WITHIN], start=1):
            header = grid.header_names(row)
            seen.append(header)
            if layout := layouts.recognised(header, wanted):
                found.append((*layout, _grid(rows, number, header, container)))
                break
    if not found:
        raise foreign.refuse(seen, known.columns)
    if len(found) > 1:
        raise DamagedFile(f"工作簿里有 {len(found)} 张明细表，请只保留一张")
    return grid.stream(*found[0], known)


def first_rows(source: BinaryIO) -> list[list[str]]:
    """The first rows of the first sheet that has any, as text; raises Unreadable."""
    for rows in _sheets(source)[1]:
        if rows:
            top = rows[: grid.HEADER_WITHIN]
            return [_written(number, row) for number, row in enumerate(top, start=1)]
    return []


def _sheets(source: BinaryIO) -> tuple[str, Iterator[grid.Sheet]]:
    content = held.content(source)
    container = _container(content)
    if container is None:
        raise DamagedFile("不是 Excel 工作簿")
    return container, _CONTAINERS[container].sheets(content)


def _container(head: bytes) -> str | None:
    return next((name for name, one in _CONTAINERS.items() if head.startswith(one.MARK)), None)


def _grid(rows: grid.Sheet, number: int, header: list[str], container: str) -> grid.Grid:
    def body() -> Iterator[tuple[int, list[str]]]:
        for place in range(number, len(rows)):
            row = _written(place + 1, rows[place])
            # A sheet is as wide as its widest row; what a row leaves out is empty, not cut off.
            yield place + 1, row + [""] * (len(header) - len(row))

    return grid.Grid(
        container=container,
        header_row=number,
        header=header,
        lead=[_written(place, row) for place, row in enumerate(rows[: number - 1], start=1)],
        body=body,
    )


def _written(number: int, row: Sequence[object]) -> list[str]:
    try:
        return [cell if type(cell) is str else cells.written(cell) for cell in row]
    except ValueError as error:
        raise BadCell(
            f"第 {number} 行有超过 15 位的数字 {error}：Excel 已改掉它的末几位，请以文本格式导出",
            row=number,
        ) from error
