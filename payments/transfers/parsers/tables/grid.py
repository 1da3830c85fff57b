"""Statements that are tables: a header line found by its names, rows read by name, footers checked.

Where the table comes from is not its business: `csv_text` and `workbook` make a `Grid` of theirs.
A new bank is a new `Layout` in `banks`.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from payments.transfers.parsers import cells
from payments.transfers.parsers.refusals import BadCell, CountsDiffer, DamagedFile
from payments.transfers.parsers.statement import Known, Row, Stream, Summary
from payments.transfers.parsers.sums import Chain, Serials, Tally

from . import labels
from .layout import DIRECTIONS, Days, Layout, Places
from .owner import Owner

Sheet = Sequence[Sequence[object]]  # typed cells, from the first row on

HEADER_WITHIN = 40  # rows
MAX_COLUMNS = 200
MAX_IDLE = 100_000  # rows without money one after the other: sheets may be formatted far down
FIRST_ROWS = 500  # that tell whose account it is, where the lines above the header do not

_NOT_REVERSED = frozenset({"", "N", "NO", "0", "否", "正常", "未冲账", "FALSE", "非退汇", "未退汇"})
_PARTY = re.compile(r"(?<!\d)\d[\d*]{7,39}\Z", re.ASCII)
_PARTY_BEHIND = re.compile(r"([\d*]{8,40})\s*/\s*(.*)", re.DOTALL | re.ASCII)
_TITLE_MONTH = re.compile(r"(\d{4})年(\d{1,2})月", re.ASCII)
_SCIENTIFIC = re.compile(r"\dE\+\d", re.ASCII)
_EXACT = frozenset(
    {"day", "clock", "in", "out", "amount", "balance", "currency", "serial", "entry", "account"}
    | {"party"}
    | {"payer_account", "payee_account"}
)
_YUAN = frozenset({"", "人民币", "人民币元", "RMB", "CNY", "156", "01"})


@dataclass(slots=True)
class Grid:
    """A table split at its header line; row numbers are the file's own, from 1."""

    container: str  # second half of the format's name
    header_row: int
    header: Sequence[str]  # as `header_names` leaves it
    lead: list[Sequence[str]]
    body: Callable[[], Iterator[tuple[int, list[str]]]]  # each call begins anew
    whole_end: Callable[[], bool] = lambda: True  # asked at the end: was the last line ended?


def header_names(row: Sequence[object]) -> list[str]:
    """A row's names as they are compared, without empty ones at its end."""
    texts = row[:MAX_COLUMNS] if len(row) > MAX_COLUMNS else row
    names = [cells.name(cell) if isinstance(cell, str) else "" for cell in texts]
    while names and not names[-1]:
        names.pop()
    return names


def stream(layout: Layout, at: Places, grid: Grid, known: Known) -> Stream:
    """Raises what the lines above the rows and the first rows already tell to be wrong."""
    table = _Table(layout, at, grid, known)
    return Stream(
        format=f"{layout.bank}_{grid.container}",
        account_no=table.own,
        rows=table.rows(),
        summary=table.summary,
        source=layout.source,
    )


@dataclass(frozen=True, slots=True)
class _Side:
    """Columns of the other side and of ours, for money in or for money out."""

    name: int
    account: int
    bank: int
    own: int


class _Columns:
    """Column of each role; -1 where the bank has none: an empty cell is added to each row."""

    def __init__(self, layout: Layout, at: Places) -> None:
        def place(role: str) -> int:
            return at.get(role, -1)

        self.day, self.clock, self.balance = place("day"), place("clock"), place("balance")
        self.into, self.out = place("in"), place("out")
        self.amount, self.direction = place("amount"), place("direction")
        self.serial, self.entry = place("serial"), place("entry")
        self.currency, self.party = place("currency"), place("party")
        self.reversal, self.kind = place("reversal"), place(layout.bank_words)
        self.texts = [at[role] for role in layout.texts if role in at]
        self.references = [at[role] for role in layout.references if role in at]
        # The columns of a bank that names payer and payee trade places with the money.
        own = ("payee_account", "payer_account") if layout.two_sided else ("account", "account")
        payer = _Side(place("name"), place("payer_account"), place("payer_bank"), place(own[0]))
        payee = _Side(
            place("payee_name"), place("payee_account"), place("payee_bank"), place(own[1])
        )
        self.credit, self.debit = payer, payee if layout.two_sided else payer


class _Table:
    """One pass over the rows."""

    def __init__(self, layout: Layout, at: Places, grid: Grid, known: Known) -> None:
        self.layout = layout
        self.places = at
        self.grid = grid
        self.is_checked = known.is_checked
        self.width = len(grid.header)
        self.summary = Summary()
        self.facts = labels.Facts()
        self.facts.take(grid.lead)
        self.chain = Chain()
        self.tally = Tally()
        self.serials = Serials()
        self.has_negatives = False
        self.has_mixed_words = layout.bank_words not in at
        self.at = _Columns(layout, at)
        self.ends_exactly = self._ends_exactly()
        self.money = self._single if "amount" in at else self._two_columns
        self.written_day = self._days()
        self.owner = Owner(
            self._first_accounts(),
            said=self.facts.account,
            ours=known.ours,
            names_itself=layout.names_itself,
        )
        self.own = self.owner.own
        self.summary.accounts = (self.own,) if self.own else ()

    def _ends_exactly(self) -> bool:
        """Whether the last column is one of which half would be another value, unnoticed."""
        proved = {"in", "out", "amount", "balance"} if "balance" in self.places else set()
        last = {role for role, place in self.places.items() if place == self.width - 1}
        return bool(last & (_EXACT - proved))

    def _days(self) -> Callable[[str], str] | None:
        """How a day is rewritten before it is read; None where it is not."""
        if self.layout.days is Days.DAY_FIRST:
            return cells.day_first
        if self.layout.days is Days.WITHOUT_YEAR:
            titles = (found for row in self.grid.lead for cell in row if (found := _month(cell)))
            year, month = next(titles, (0, 0))
            if not year:
                raise DamagedFile("日期没有年份，标题里也没有账单年月（如“2024年01月”），无法确定")
            return lambda day: cells.without_year(day, year, month)
        return None

    def _first_accounts(self) -> dict[str, int]:
        """Account numbers in the first rows of money, with the row that names them first."""
        numbers: dict[str, int] = {}
        if self.at.credit.own < 0:
            return numbers
        for number, row in islice(self.grid.body(), FIRST_ROWS):
            if len(row) >= self.width and self._is_money(row):
                side = self.at.credit
                if self.layout.two_sided and self._direction(number, row) < 0:
                    side = self.at.debit
                if account := cells.clean(row[side.own]):
                    numbers.setdefault(account, number)
        return numbers

    # --- rows -----------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """Every row of money; raises any Unreadable, at the end what the whole does not hold."""
        row = self._row
        for number, line in self._lines():
            yield row(number, line)
        self._close()

    def _is_money(self, row: list[str]) -> bool:
        cell = row[self.at.day]
        return cell[:1].isdigit() or cell.strip(" \t`'=\"")[:1].isdigit()

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Rows of money apart from blank lines, repeated headers and footers."""
        day, width, money = self.at.day, self.width, self.grid.header_row
        ended = unsure = 0  # rows: of a footer, of one that would look no different when cut
        for number, row in self.grid.body():
            if len(row) <= day or not (row[day][:1].isdigit() or self._is_money(row)):
                ended = self._between(number, row, number - money) or ended
                unsure = 0
                continue
            if ended:
                raise DamagedFile(
                    f"第 {number} 行：合计行（第 {ended} 行）之后还有明细", row=number
                )
            money = number
            unsure = number if self.ends_exactly or len(row) < width else 0
            if len(row) != width:
                self._fit(number, row)
            row.append("")  # for the roles that this bank does not have
            yield number, row
        if unsure and not self.grid.whole_end():
            raise DamagedFile(f"最后一行（第 {unsure} 行）没有换行，文件可能被截断", row=unsure)

    def _between(self, number: int, row: list[str], idle: int) -> int:
        """Pass over a row that is no money; its number when no money may follow it."""
        if idle > MAX_IDLE or len(row) > MAX_COLUMNS:
            raise DamagedFile(f"第 {number} 行起不再是明细，文件可能已损坏", row=number)
        if not any(cells.clean(cell) for cell in row):
            return 0
        if header_names(row[: self.width]) == list(self.grid.header):
            return 0
        return self._footer(number, row)

    def _fit(self, number: int, row: list[str]) -> None:
        """Make it exactly as wide as the header."""
        width = self.width
        if len(row) > width:
            if len(row) > MAX_COLUMNS or any(cells.clean(cell) for cell in row[width:]):
                raise DamagedFile(f"第 {number} 行比表头多出内容", row=number)
            del row[width:]
        elif len(row) < width:
            # Some banks leave out what is empty at the end; never what says how much.
            if not self.layout.ragged or len(row) <= max(self.at.balance, self.at.amount):
                raise DamagedFile(
                    f"第 {number} 行只有 {len(row)} 列，应为 {width} 列：文件可能被截断", row=number
                )
            row.extend([""] * (width - len(row)))

    def _row(self, number: int, row: list[str]) -> Row:
        at, clean = self.at, cells.clean
        fen, taken_back = self.money(number, row)
        booked_at = self._moment(number, row)
        balance = self._balance(number, row)
        if balance is not None and self.is_checked:
            self.chain.add(number, fen, balance)
        self.tally.add(fen, booked_at)
        side = at.credit if fen >= 0 else at.debit
        name, payer_account = clean(row[side.name]), clean(row[side.account])
        if at.party >= 0:
            name, payer_account = _party(clean(row[at.party]))
            if _SCIENTIFIC.search(name):
                raise self._damaged_id(number, row)
        own = clean(row[side.own]) or self.own or ""
        serial = self._serial(number, row)
        if "E+" in own or "E+" in payer_account or (serial and "E+" in serial):
            raise self._damaged_id(number, row)
        texts, remark = self._texts(row)
        is_reversal = taken_back or self._says_reversal(row)
        caution = self.layout.caution
        if self.has_mixed_words and not is_reversal:
            caution = caution or cells.perhaps_taken_back(fen, texts)
        currency = clean(row[at.currency])
        # By position, for speed: in the order of Row's fields.
        return Row(
            serial,
            booked_at,
            fen,
            "CNY" if currency in _YUAN else currency,
            balance,
            name,
            payer_account,
            clean(row[side.bank]),
            remark,
            texts,
            self.owner.virtual(own, number) if own and own != self.own else None,
            is_reversal,
            cells.original(texts) if is_reversal else None,
            number,
            own,
            caution,
        )

    def _moment(self, number: int, row: list[str]) -> datetime:
        day = cells.clean(row[self.at.day])
        clock = cells.clean(row[self.at.clock]) if self.at.clock >= 0 else ""
        try:
            return cells.moment(self.written_day(day) if self.written_day else day, clock)
        except ValueError:
            raise self.wrong(number, "day", f"{day} {clock}".strip(), "不是日期时间") from None

    def _serial(self, number: int, row: list[str]) -> str | None:
        serial = cells.clean(row[self.at.serial])
        if not serial.strip("0"):
            return None  # 0000000000 is how some banks say that there is none
        if self.at.entry >= 0 and (entry := cells.clean(row[self.at.entry])):
            serial = f"{serial}-{entry}"
        if self.is_checked and self.serials.first(serial, number) != number:
            self.serials.take(serial, number)
        return serial

    def _says_reversal(self, row: list[str]) -> bool:
        words = row[self.at.kind]
        if words and cells.TAKEN_BACK.search(words):
            return True
        if self.at.reversal < 0:
            return False
        return cells.clean(row[self.at.reversal]).upper() not in _NOT_REVERSED

    def _texts(self, row: list[str]) -> tuple[tuple[str, ...], str]:
        """Every text as it stands, and the first of them for people."""
        clean = cells.clean
        texts = [text for place in self.at.texts if (text := row[place]) and clean(text)]
        remark = clean(texts[0]) if texts else ""
        if self.at.references:
            texts += [text for place in self.at.references if clean(text := row[place])]
        return tuple(texts), remark

    def _two_columns(self, number: int, row: list[str]) -> tuple[int, bool]:
        """Fen, and whether a negative amount says that it takes something back."""
        try:
            out, into = cells.fen(row[self.at.out]), cells.fen(row[self.at.into])
        except ValueError:
            out, into = self._fen(number, row, "out"), self._fen(number, row, "in")
        if out is None and into is None:
            raise self.wrong(number, "in", "", "为空，借方与贷方至少要有一个金额")
        if out and into:
            raise self.wrong(number, "in", row[self.at.into], "与借方金额同时出现")
        fen = (into or 0) - (out or 0)
        taken_back = (into or 0) < 0 or (out or 0) < 0
        if taken_back:
            self.has_negatives = True
        if self.at.direction >= 0 and fen and cells.clean(row[self.at.direction]):
            said = self._direction(number, row)
            if said * fen < 0 and not taken_back:
                raise self.wrong(number, "direction", row[self.at.direction], "与金额所在的列矛盾")
        return fen, taken_back

    def _single(self, number: int, row: list[str]) -> tuple[int, bool]:
        fen = self._fen(number, row, "amount")
        if fen is None:
            raise self.wrong(number, "amount", "", "为空")
        if self.at.direction < 0:
            return fen * self.layout.sign, False
        direction = self._direction(number, row)
        if not self.layout.amounts_signed:
            return fen * direction, fen < 0
        # The sign says again what the direction says; the running balance proves both.
        if direction > 0 > fen:
            raise self.wrong(number, "amount", row[self.at.amount], "的正负号与收付方向矛盾")
        return abs(fen) * direction, False

    def _direction(self, number: int, row: list[str]) -> int:
        said = cells.name(row[self.at.direction])
        try:
            return DIRECTIONS[said.upper()]
        except KeyError:
            raise self.wrong(number, "direction", said, "不是借贷方向") from None

    def _balance(self, number: int, row: list[str]) -> int | None:
        if self.at.balance < 0:
            return None
        try:
            found = cells.fen(row[self.at.balance])
        except ValueError:
            found = self._fen(number, row, "balance") if self.is_checked else None
        if found is None and self.is_checked:
            raise self.wrong(number, "balance", "", "为空")
        return found

    def _fen(self, number: int, row: list[str], role: str) -> int | None:
        text = row[self.places[role]]
        try:
            return cells.fen(text)
        except ValueError:
            raise self.wrong(number, role, text, "不是金额") from None

    def _damaged_id(self, number: int, row: list[str]) -> BadCell:
        """6.2222E+18: a spreadsheet has saved this file, and the number is lost."""
        roles = ("serial", "payer_account", "account", "payee_account", "party")
        role, text = next((r, t) for r in roles if "E+" in (t := row[self.places.get(r, -1)]))
        return self.wrong(number, role, text, "已被 Excel 改成科学计数，请重新导出")

    def wrong(self, number: int, role: str, text: str, reason: str) -> BadCell:
        title = self.grid.header[self.places[role]]
        said = f"“{text[:40]}”" if text else ""
        return BadCell(f"第 {number} 行「{title}」{said}{reason}", row=number, column=title)

    # --- footers and the end --------------------------------------------------------------------

    def _footer(self, number: int, row: list[str]) -> int:
        """Check or note a row that is no money; its number when no money may follow it."""
        first = next(cells.name(cell) for cell in row if cells.clean(cell))
        if first.startswith(("本页小计", "小计")):
            return 0
        if first.endswith(("合计", "合计金额")) or first == "汇总":
            self._check_totals(number, row)
            return number
        if self.facts.take([row]) or first.startswith("以上数据仅供参考"):
            return number
        if first.startswith("#"):
            return number if "结束" in first else 0
        day = row[self.at.day] if len(row) > self.at.day else ""
        raise self.wrong(number, "day", day, "不是日期时间")

    def _check_totals(self, number: int, row: list[str]) -> None:
        # A reversal printed as a negative amount is netted on its own side.
        if not self.is_checked or self.has_negatives or "in" not in self.places:
            return
        row = [*row, *[""] * self.width]
        for role, found in (("in", self.tally.credit_fen), ("out", self.tally.debit_fen)):
            said = self._fen(number, row, role)
            if said is not None and said != found:
                title = self.grid.header[self.places[role]]
                raise CountsDiffer(
                    f"第 {number} 行合计「{title}」与明细之和不符", row=number, column=title
                )

    def _close(self) -> None:
        facts, said = self.facts, self.facts.declared()
        self.summary.declared = said
        self.tally.note_days(self.summary)
        if not self.is_checked:
            return
        said.confirm(self.tally.declared())
        opening, closing = self.chain.ends(facts.opening_fen, facts.closing_fen)
        if not self.tally.count and facts.count != 0 and (opening is None or opening != closing):
            raise DamagedFile("表头之后没有任何明细，文件也没有声明笔数为 0")
        self.summary.opening_fen, self.summary.closing_fen = opening, closing


def _party(text: str) -> tuple[str, str]:
    """Name and account that a bank prints in one cell: 张三 6222…, 张三6222… or 6222…/张三."""
    if found := _PARTY_BEHIND.fullmatch(text):
        return found[2], found[1]
    if found := _PARTY.search(text):
        return text[: found.start()].rstrip(" \t/"), found[0]
    return text, ""


def _month(cell: str) -> tuple[int, int] | None:
    found = _TITLE_MONTH.search(cell)
    return (int(found[1]), int(found[2])) if found and 1 <= int(found[2]) <= 12 else None
