"""Statements that are tables: a header line found by its names, rows read by name, footers checked.

Where the table comes from (CSV text, a sheet of a workbook) is not its business: `csv_text` and
`xlsx` make a `Grid` of either.  A new bank is a new `Layout`.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from . import cells, labels
from .refusals import BadCell, CountsDiffer, DamagedFile
from .statement import Declared, Row, Statement, assemble, chain

HEADER_WITHIN = 40  # rows
MAX_UNIT_DIGITS = 10  # of a virtual account, behind the number of its parent

_ORIGINAL = re.compile(r"原(?:交易)?流水号?[:： ]*([0-9A-Za-z-]{4,40})")
_NOT_REVERSED = frozenset({"", "N", "NO", "0", "否", "正常", "未冲账", "FALSE"})


@dataclass(frozen=True, slots=True)
class Layout:
    """How one bank names its columns: role → spellings, as `cells.name` leaves them."""

    bank: str  # first half of the format's name
    columns: Mapping[str, tuple[str, ...]]
    optional: frozenset[str]  # roles the bank may leave out
    remark: tuple[str, ...]  # roles; the first that is not empty is shown
    texts: tuple[str, ...]  # roles searched for codes
    bank_words: str = ""  # role of a text only the bank writes, searched for reversals
    names_itself: bool = True  # the account column always holds our account or one below it

    def find(self, header: Sequence[str]) -> dict[str, int] | None:
        """Column of each role, or None when this is not the bank's header."""
        at: dict[str, int] = {}
        for role, spellings in self.columns.items():
            found = [i for i, text in enumerate(header) if text in spellings]
            if len(found) == 1:
                at[role] = found[0]
            elif role not in self.optional or found:
                return None
        return at


@dataclass(slots=True)
class Grid:
    """A table split at its header line; row numbers are the file's own, from 1."""

    container: str  # second half of the format's name
    header: Sequence[str]
    header_row: int
    lead: list[Sequence[str]]
    body: Iterator[tuple[int, list[str]]]


@dataclass(slots=True)
class _Columns:
    """The body, column by column."""

    rows: list[tuple[int, list[str]]] = field(default_factory=list)
    amounts: list[int] = field(default_factory=list)
    negatives: list[bool] = field(default_factory=list)
    balances: list[int | None] = field(default_factory=list)


def read(layout: Layout, at: dict[str, int], grid: Grid, ours: Collection[str]) -> Statement:
    """The whole table; raises BadCell, DamagedFile, CountsDiffer, Unbalanced, SerialTwice."""
    facts = labels.Facts()
    facts.take(grid.lead)
    column = _Column(grid.header, at)
    body = _Columns()
    _split(grid, column, body, facts)
    facts.declared().check(body.amounts)
    opening, closing = _balances(body, facts)
    if not body.rows and facts.count != 0 and (opening is None or opening != closing):
        raise DamagedFile("表头之后没有任何明细，文件也没有声明笔数为 0")
    own = _own(layout, column, body, facts.account, ours)
    return assemble(
        form=f"{layout.bank}_{grid.container}",
        accounts=[own] if own else [],
        rows=list(_rows(layout, column, body, own)),
        balances=(opening, closing),
        declared=facts.declared(),
    )


class _Column:
    """Cells by role, with the header's own words when something is wrong."""

    def __init__(self, header: Sequence[str], at: dict[str, int]) -> None:
        self.width = len(header)
        self.header = header
        self.at = at

    def raw(self, row: list[str], role: str) -> str:
        """The cell as it stands; empty when the bank has no such column."""
        place = self.at.get(role)
        return "" if place is None else row[place]

    def text(self, row: list[str], role: str) -> str:
        place = self.at.get(role)
        return "" if place is None else cells.clean(row[place])

    def fen(self, number: int, row: list[str], role: str) -> int | None:
        text = self.raw(row, role)
        try:
            return cells.fen(text)
        except ValueError:
            raise self.wrong(number, role, text, "不是金额") from None

    def moment(self, number: int, row: list[str]) -> datetime:
        day, clock = self.text(row, "day"), self.text(row, "clock")
        try:
            return cells.moment(day, clock)
        except ValueError:
            raise self.wrong(number, "day", f"{day} {clock}".strip(), "不是日期时间") from None

    def wrong(self, number: int, role: str, text: str, reason: str) -> BadCell:
        title = self.header[self.at[role]]
        return BadCell(f"第 {number} 行「{title}」“{text[:40]}”{reason}", row=number, column=title)


def _split(grid: Grid, column: _Column, body: _Columns, facts: labels.Facts) -> None:
    """Rows of money apart from blank lines, repeated headers and footers."""
    day = column.at["day"]
    ended = 0
    for number, row in grid.body:
        if len(row) > day and row[day].strip(" \t`'=\"")[:1].isdigit():
            if ended:
                raise DamagedFile(
                    f"第 {number} 行：合计行（第 {ended} 行）之后还有明细", row=number
                )
            _take(number, row, column, body)
        elif not any(cells.clean(cell) for cell in row):
            continue
        elif [cells.name(cell) for cell in row[: column.width]] != list(grid.header):
            ended = _footer(number, row, column, body, facts) or ended


def _take(number: int, row: list[str], column: _Column, body: _Columns) -> None:
    if len(row) < column.width:
        raise DamagedFile(
            f"第 {number} 行只有 {len(row)} 列，应为 {column.width} 列：文件可能被截断", row=number
        )
    if any(row[column.width :]) and any(cells.clean(cell) for cell in row[column.width :]):
        raise DamagedFile(f"第 {number} 行比表头多出内容", row=number)
    out, into = column.fen(number, row, "out"), column.fen(number, row, "in")
    if out is None and into is None:
        raise column.wrong(number, "in", "", "为空，借方与贷方至少要有一个金额")
    if out and into:
        raise column.wrong(number, "in", column.raw(row, "in"), "与借方金额同时出现")
    body.rows.append((number, row))
    body.amounts.append((into or 0) - (out or 0))
    body.negatives.append((into or 0) < 0 or (out or 0) < 0)
    body.balances.append(column.fen(number, row, "balance"))


def _footer(
    number: int, row: list[str], column: _Column, body: _Columns, facts: labels.Facts
) -> int:
    """Check or note a row that is no money; returns its number when no money may follow it."""
    first = next(cells.name(cell) for cell in row if cells.clean(cell))
    if first.startswith(("本页小计", "小计")):
        return 0
    if first.endswith("合计") or first == "汇总":
        _check_totals(number, row, column, body)
        return number
    if facts.take([row]) or first.startswith("以上数据仅供参考"):
        return number
    if first.startswith("#"):
        return number if "结束" in first else 0
    raise column.wrong(
        number, "day", column.text([*row, *[""] * column.width], "day"), "不是日期时间"
    )


def _check_totals(number: int, row: list[str], column: _Column, body: _Columns) -> None:
    row = [*row, *[""] * column.width]
    counted = Declared.of(body.amounts)
    for role, found in (("in", counted.credit_fen), ("out", counted.debit_fen)):
        said = column.fen(number, row, role)
        # A reversal printed as a negative amount is netted on its own side.
        if said is not None and said != found and not any(body.negatives):
            title = column.header[column.at[role]]
            raise CountsDiffer(
                f"第 {number} 行合计「{title}」与明细之和不符", row=number, column=title
            )


def _balances(body: _Columns, facts: labels.Facts) -> tuple[int | None, int | None]:
    known = [fen for fen in body.balances if fen is not None]
    positions = [number for number, _ in body.rows]
    if len(known) != len(body.rows):
        row = next(n for n, fen in zip(positions, body.balances, strict=True) if fen is None)
        raise BadCell(f"第 {row} 行「余额」为空", row=row, column="余额")
    return chain(
        positions=positions,
        amounts=body.amounts,
        balances=known,
        opening=facts.opening_fen,
        closing=facts.closing_fen,
    )


def _own(
    layout: Layout, column: _Column, body: _Columns, said: str | None, ours: Collection[str]
) -> str | None:
    """The account of the file: as its head says, or ours, or the one all others are below.

    None when the file does not tell.  Raises DamagedFile when rows belong to unrelated accounts.
    """
    distinct: dict[str, int] = {}
    for place, row in body.rows:
        if number := column.text(row, "account"):
            distinct.setdefault(number, place)
    own = said or _known(distinct, ours) or min(distinct, key=len, default=None)
    alien = [number for number in distinct if own and not _is_below(number, own)]
    if not alien:
        return own
    if said is None and _is_sibling(alien, own or ""):
        return None  # virtual accounts only: their parent is in no row
    if layout.names_itself:
        raise DamagedFile(
            f"第 {distinct[alien[0]]} 行的账号 {alien[0]} 不属于账户 {own}，请按账户分别导出",
            row=distinct[alien[0]],
        )
    return said


def _known(numbers: Collection[str], ours: Collection[str]) -> str | None:
    """The longest of our accounts that every row's account is, or is below."""
    fits = [one for one in ours if one and numbers and all(_is_below(n, one) for n in numbers)]
    return max(fits, key=len, default=None)


def _is_sibling(numbers: Sequence[str], other: str) -> bool:
    stem = other[:-MAX_UNIT_DIGITS]
    return len(stem) >= 8 and all(number.startswith(stem) for number in numbers)


def _is_below(number: str, parent: str) -> bool:
    return number.startswith(parent) and len(number) - len(parent) <= MAX_UNIT_DIGITS


def _rows(layout: Layout, column: _Column, body: _Columns, own: str | None) -> Iterator[Row]:
    text = column.text
    for i, (number, row) in enumerate(body.rows):
        texts = tuple(raw for role in layout.texts if (raw := column.raw(row, role)).strip())
        account = text(row, "account") or own or ""
        serial, payer_account = text(row, "serial"), text(row, "payer_account")
        if "E+" in serial or "E+" in payer_account or "E+" in account:
            # 6.2222E+18: a spreadsheet has saved this file, and the number is lost.
            role = next(r for r in ("serial", "payer_account", "account") if "E+" in text(row, r))
            raise column.wrong(number, role, text(row, role), "已被 Excel 改成科学计数，请重新导出")
        reversal = body.negatives[i] or _says_reversal(layout, column, row)
        yield Row(
            serial=serial or None,
            booked_at=column.moment(number, row),
            amount_fen=body.amounts[i],
            currency=_currency(text(row, "currency")),
            balance_fen=body.balances[i],
            payer_name=text(row, "name"),
            payer_account=payer_account,
            payer_bank=text(row, "payer_bank"),
            remark=next((said for role in layout.remark if (said := text(row, role))), ""),
            texts=texts,
            virtual_account=account if _is_virtual(account, own) else None,
            is_reversal=reversal,
            reverses=original(texts) if reversal else None,
            position=number,
            account_no=account,
        )


def _is_virtual(account: str, own: str | None) -> bool:
    return bool(account) and account != own and (own is None or _is_below(account, own))


def _says_reversal(layout: Layout, column: _Column, row: list[str]) -> bool:
    if column.text(row, "reversal").upper() not in _NOT_REVERSED:
        return True
    words = column.text(row, layout.bank_words)
    return any(word in words for word in ("冲正", "冲账", "冲帐", "冲销", "抹账", "抹帐", "退汇"))


def original(texts: Sequence[str]) -> str | None:
    """Serial of the booking that a reversal takes back, where the bank's words name it."""
    return next((found[1] for text in texts if (found := _ORIGINAL.search(text))), None)


def _currency(text: str) -> str:
    return "CNY" if text in {"", "人民币", "人民币元", "RMB", "CNY", "156", "01"} else text
