"""Sheets of a workbook → grid; how the sheets are unpacked is `xlsx`'s and `xls`'s business."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from . import cells, foreign, layouts, tables
from .refusals import BadCell, DamagedFile
from .statement import Checks, Stream

Sheet = Sequence[Sequence[object]]  # typed cells, from the first row on


def stream(
    sheets: Iterable[Sheet],
    container: str,
    ours: Collection[str],
    columns: Mapping[str, str] | None,
    checks: Checks,
) -> Stream:
    """The one sheet with a known header; raises Unreadable."""
    wanted = layouts.wanted(columns)
    found = []
    seen: list[list[str]] = []
    for rows in sheets:
        for number, row in enumerate(rows[: tables.HEADER_WITHIN], start=1):
            header = tables.header_names(row)
            seen.append(header)
            if known := layouts.recognised(header, wanted):
                found.append((*known, _grid(rows, number, header, container)))
                break
    if not found:
        raise foreign.refuse(seen, columns)
    if len(found) > 1:
        raise DamagedFile(f"工作簿里有 {len(found)} 张明细表，请只保留一张")
    return tables.stream(*found[0], ours, checks)


def first_rows(sheets: Iterable[Sheet]) -> list[list[str]]:
    """The first rows of the first sheet that has any, as text; raises Unreadable."""
    for rows in sheets:
        if rows:
            top = rows[: tables.HEADER_WITHIN]
            return [_written(number, row) for number, row in enumerate(top, start=1)]
    return []


def _grid(rows: Sheet, number: int, header: list[str], container: str) -> tables.Grid:
    def body() -> Iterator[tuple[int, list[str]]]:
        for place in range(number, len(rows)):
            row = _written(place + 1, rows[place])
            # A sheet is as wide as its widest row; what a row leaves out is empty, not cut off.
            yield place + 1, row + [""] * (len(header) - len(row))

    return tables.Grid(
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
