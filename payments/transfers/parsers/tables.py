"""Statements that are tables: a header line found by its names, rows read by name, footers checked.

Where the table comes from (CSV text, a sheet of a workbook) is not its business: `csv_text`,
`xlsx` and `xls` make a `Grid` of theirs.  A new bank is a new `Layout` in `banks`.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from . import cells, labels
from .layout import DIRECTIONS, Days, Layout, Places
from .refusals import BadCell, CountsDiffer, DamagedFile
from .statement import Checks, Row, Stream, Summary
from .sums import Chain, Serials, Tally

HEADER_WITHIN = 40  # rows
MAX_COLUMNS = 200
FIRST_ROWS = 500  # that tell whose account it is, where the lines above the header do not
MAX_UNIT_DIGITS = 10  # of a virtual account, behind the number of its parent

_ORIGINAL = re.compile(r"原(?:交易)?流水号?[:： ]*([0-9A-Za-z-]{4,40})")
_REVERSED = re.compile("冲正|冲账|冲帐|冲销|抹账|抹帐|退汇")
_NOT_REVERSED = frozenset({"", "N", "NO", "0", "否", "正常", "未冲账", "FALSE"})
_PARTY = re.compile(r"(.*?)[\s/]*((?<!\d)\d[\d*]{7,39})?", re.DOTALL | re.ASCII)
_PARTY_BEHIND = re.compile(r"([\d*]{8,40})\s*/\s*(.*)", re.DOTALL | re.ASCII)
_TITLE_MONTH = re.compile(r"(\d{4})年(\d{1,2})月", re.ASCII)
_YUAN = frozenset({"", "人民币", "人民币元", "RMB", "CNY", "156", "01"})


@dataclass(slots=True)
class Grid:
    """A table split at its header line; row numbers are the file's own, from 1."""

    container: str  # second half of the format's name
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


def stream(layout: Layout, at: Places, grid: Grid, ours: Collection[str], checks: Checks) -> Stream:
    """Raises what the lines above the rows and the first rows already tell to be wrong."""
    table = _Table(layout, at, grid, ours, checks)
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


class _Table:
    """One pass over the rows.  A column the bank does not have is -1: a cell added to each row."""

    def __init__(
        self, layout: Layout, at: Places, grid: Grid, ours: Collection[str], checks: Checks
    ) -> None:
        self.layout = layout
        self.at = at
        self.grid = grid
        self.trusting = checks is Checks.ROWS_ONLY
        self.width = len(grid.header)
        self.summary = Summary()
        self.facts = labels.Facts()
        self.facts.take(grid.lead)
        self.chain = Chain()
        self.tally = Tally()
        self.serials = Serials()
        self.has_negatives = False
        place = self._place
        self.day, self.clock, self.balance = place("day"), place("clock"), place("balance")
        self.into, self.out = place("in"), place("out")
        self.amount, self.direction = place("amount"), place("direction")
        self.serial, self.currency = place("serial"), place("currency")
        self.reversal, self.kind = place("reversal"), place(layout.bank_words)
        self.party = place("party")
        self.texts = [at[role] for role in layout.texts if role in at]
        self.remarks = [at[role] for role in layout.remark if role in at]
        # The account columns of a bank that names payer and payee trade places with the money.
        self.credit = _Side(
            place("name"),
            place("payer_account"),
            place("payer_bank"),
            place("payee_account") if layout.two_sided else place("account"),
        )
        self.debit = self.credit
        if layout.two_sided:
            self.debit = _Side(
                place("payee_name"),
                place("payee_account"),
                place("payee_bank"),
                place("payer_account"),
            )
        self.money = self._single if "amount" in at else self._two_columns
        self.written_day = self._days()
        self._find_own(ours)

    def _place(self, role: str) -> int:
        return self.at.get(role, -1)

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

    # --- whose account ------------------------------------------------------------------------

    def _find_own(self, ours: Collection[str]) -> None:
        """As the head says, or ours, or the one all others in the first rows are below.

        None when the file does not tell.  Raises DamagedFile when rows belong to unrelated
        accounts.
        """
        said = self.own = self.facts.account
        self.units: str | None = None  # what virtual accounts begin with, their parent unknown
        numbers = self._first_accounts()
        if numbers:
            self.own = said or _known(numbers, ours) or min(numbers, key=len)
            alien = [number for number in numbers if not _is_below(number, self.own)]
            stem = self.own[:-MAX_UNIT_DIGITS]
            if alien and said is None and _all_begin(alien, stem):
                self.own, self.units = None, stem
            elif alien and self.layout.names_itself:
                raise self._not_ours(alien[0], numbers[alien[0]])
            elif alien:
                self.own = said
        self.summary.accounts = (self.own,) if self.own else ()

    def _first_accounts(self) -> dict[str, int]:
        """Account numbers in the first rows of money, with the row that names them first."""
        numbers: dict[str, int] = {}
        if self.credit.own < 0:
            return numbers
        for number, row in islice(self.grid.body(), FIRST_ROWS):
            if len(row) >= self.width and self._is_money(row):
                place = self.credit.own
                if self.layout.two_sided and self._direction(number, row) < 0:
                    place = self.debit.own
                if account := cells.clean(row[place]):
                    numbers.setdefault(account, number)
        return numbers

    def _not_ours(self, account: str, number: int) -> DamagedFile:
        return DamagedFile(
            f"第 {number} 行的账号 {account} 不属于账户 {self.own}，请按账户分别导出", row=number
        )

    def _virtual(self, account: str, number: int) -> str | None:
        """The number itself when it is one of a virtual account; None when it is our own."""
        own = self.own
        if own is not None:
            if _is_below(account, own):
                return account
            if self.layout.names_itself:
                raise self._not_ours(account, number)
            return None
        if self.units is not None:
            if not account.startswith(self.units):
                raise self._not_ours(account, number)
            if len(account) <= len(self.units):
                raise DamagedFile(
                    f"第 {number} 行是主账号 {account}，之前只有它的子账号，请按账户导出",
                    row=number,
                )
        return account

    # --- rows -----------------------------------------------------------------------------------

    def rows(self) -> Iterator[Row]:
        """Every row of money; raises BadCell, DamagedFile, CountsDiffer, Unbalanced, SerialTwice."""
        row = self._row
        for number, line in self._lines():
            yield row(number, line)
        self._close()

    def _is_money(self, row: list[str]) -> bool:
        cell = row[self.day]
        return cell[:1].isdigit() or cell.strip(" \t`'=\"")[:1].isdigit()

    def _lines(self) -> Iterator[tuple[int, list[str]]]:
        """Rows of money apart from blank lines, repeated headers and footers."""
        day = self.day
        ended = short = 0
        for number, row in self.grid.body():
            short = 0
            if len(row) > day and self._is_money(row):
                if ended:
                    raise DamagedFile(
                        f"第 {number} 行：合计行（第 {ended} 行）之后还有明细", row=number
                    )
                short = number if len(row) < self.width else 0
                self._fit(number, row)
                yield number, row
            elif not any(cells.clean(cell) for cell in row):
                continue
            elif header_names(row[: self.width]) != list(self.grid.header):
                ended = self._footer(number, row) or ended
        if short and not self.grid.whole_end():
            raise DamagedFile(f"最后一行（第 {short} 行）不完整，文件可能被截断", row=short)

    def _fit(self, number: int, row: list[str]) -> None:
        """Exactly as wide as the header, and the empty cell behind it."""
        width = self.width
        if len(row) > width:
            if any(cells.clean(cell) for cell in row[width:]):
                raise DamagedFile(f"第 {number} 行比表头多出内容", row=number)
            del row[width:]
        elif len(row) < width:
            # Some banks leave out what is empty at the end; never what says how much.
            if not self.layout.ragged or len(row) <= max(self.balance, self.amount):
                raise DamagedFile(
                    f"第 {number} 行只有 {len(row)} 列，应为 {width} 列：文件可能被截断", row=number
                )
            row.extend([""] * (width - len(row)))
        row.append("")

    def _row(self, number: int, row: list[str]) -> Row:
        clean = cells.clean
        fen, is_reversal = self.money(number, row)
        try:
            day = clean(row[self.day])
            if self.written_day:
                day = self.written_day(day)
            booked_at = cells.moment(day, clean(row[self.clock]))
        except ValueError:
            said = f"{row[self.day].strip()} {row[self.clock].strip()}"
            raise self.wrong(number, "day", said.strip(), "不是日期时间") from None
        balance = self._balance(number, row)
        if balance is not None and not self.trusting:
            self.chain.add(number, fen, balance)
        self.tally.add(fen, booked_at)

        side = self.credit if fen >= 0 else self.debit
        name, payer_account = clean(row[side.name]), clean(row[side.account])
        if self.party >= 0:
            name, payer_account = _party(clean(row[self.party]))
        own = clean(row[side.own]) or self.own or ""
        serial = clean(row[self.serial])
        if "E+" in serial or "E+" in payer_account or "E+" in own:
            raise self._damaged_id(number, row)
        if serial.strip("0"):
            self.serials.add(serial)
        texts = tuple([text for at in self.texts if (text := row[at]) and clean(text)])
        if not is_reversal:
            words = row[self.kind]
            is_reversal = bool(words and _REVERSED.search(words)) or (
                self.reversal >= 0 and clean(row[self.reversal]).upper() not in _NOT_REVERSED
            )
        currency = clean(row[self.currency])
        # By position, for speed: in the order of Row's fields.
        return Row(
            serial if serial.strip("0") else None,
            booked_at,
            fen,
            "CNY" if currency in _YUAN else currency,
            balance,
            name,
            payer_account,
            clean(row[side.bank]),
            self._remark(row),
            texts,
            self._virtual(own, number) if own and own != self.own else None,
            is_reversal,
            original(texts) if is_reversal else None,
            number,
            own,
            self.layout.caution,
        )

    def _remark(self, row: list[str]) -> str:
        for at in self.remarks:
            if said := cells.clean(row[at]):
                return said
        return ""

    def _two_columns(self, number: int, row: list[str]) -> tuple[int, bool]:
        """Fen, and whether a negative amount says that it takes something back."""
        try:
            out, into = cells.fen(row[self.out]), cells.fen(row[self.into])
        except ValueError:
            out, into = self._fen(number, row, "out"), self._fen(number, row, "in")
        if out is None and into is None:
            raise self.wrong(number, "in", "", "为空，借方与贷方至少要有一个金额")
        if out and into:
            raise self.wrong(number, "in", row[self.into], "与借方金额同时出现")
        fen = (into or 0) - (out or 0)
        taken_back = (into or 0) < 0 or (out or 0) < 0
        if taken_back:
            self.has_negatives = True
        if self.direction >= 0 and fen and cells.clean(row[self.direction]):
            said = self._direction(number, row)
            if said * fen < 0 and not taken_back:
                raise self.wrong(number, "direction", row[self.direction], "与金额所在的列矛盾")
        return fen, taken_back

    def _single(self, number: int, row: list[str]) -> tuple[int, bool]:
        fen = self._fen(number, row, "amount")
        if fen is None:
            raise self.wrong(number, "amount", "", "为空")
        if self.direction < 0:
            return fen * self.layout.sign, False
        direction = self._direction(number, row)
        if not self.layout.amounts_signed:
            return fen * direction, fen < 0
        # The sign says again what the direction says; the running balance proves both.
        if direction > 0 > fen:
            raise self.wrong(number, "amount", row[self.amount], "的正负号与收付方向矛盾")
        return abs(fen) * direction, False

    def _direction(self, number: int, row: list[str]) -> int:
        said = cells.name(row[self.direction])
        try:
            return DIRECTIONS[said.upper()]
        except KeyError:
            raise self.wrong(number, "direction", said, "不是借贷方向") from None

    def _balance(self, number: int, row: list[str]) -> int | None:
        if self.balance < 0:
            return None
        try:
            found = cells.fen(row[self.balance])
        except ValueError:
            found = None if self.trusting else self._fen(number, row, "balance")
        if found is None and not self.trusting:
            raise self.wrong(number, "balance", "", "为空")
        return found

    def _fen(self, number: int, row: list[str], role: str) -> int | None:
        text = row[self.at[role]]
        try:
            return cells.fen(text)
        except ValueError:
            raise self.wrong(number, role, text, "不是金额") from None

    def _damaged_id(self, number: int, row: list[str]) -> BadCell:
        """6.2222E+18: a spreadsheet has saved this file, and the number is lost."""
        roles = ("serial", "payer_account", "account", "payee_account", "party")
        role, text = next((r, t) for r in roles if "E+" in (t := row[self._place(r)]))
        return self.wrong(number, role, text, "已被 Excel 改成科学计数，请重新导出")

    def wrong(self, number: int, role: str, text: str, reason: str) -> BadCell:
        title = self.grid.header[self.at[role]]
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
        day = row[self.day] if len(row) > self.day else ""
        raise self.wrong(number, "day", day, "不是日期时间")

    def _check_totals(self, number: int, row: list[str]) -> None:
        # A reversal printed as a negative amount is netted on its own side.
        if self.trusting or self.has_negatives or "in" not in self.at:
            return
        row = [*row, *[""] * self.width]
        for role, found in (("in", self.tally.credit_fen), ("out", self.tally.debit_fen)):
            said = self._fen(number, row, role)
            if said is not None and said != found:
                title = self.grid.header[self.at[role]]
                raise CountsDiffer(
                    f"第 {number} 行合计「{title}」与明细之和不符", row=number, column=title
                )

    def _close(self) -> None:
        facts, said = self.facts, self.facts.declared()
        self.summary.declared = said
        self.summary.booked_from, self.summary.booked_until = self.tally.days()
        if self.trusting:
            return
        said.confirm(self.tally.declared())
        opening, closing = self.chain.ends(facts.opening_fen, facts.closing_fen)
        if not self.tally.count and facts.count != 0 and (opening is None or opening != closing):
            raise DamagedFile("表头之后没有任何明细，文件也没有声明笔数为 0")
        self.summary.opening_fen, self.summary.closing_fen = opening, closing
        self.serials.check(self._serials_again)

    def _serials_again(self) -> Iterator[tuple[str, int]]:
        for number, row in self.grid.body():
            if len(row) > max(self.day, self.serial) and self._is_money(row):
                serial = cells.clean(row[self.serial])
                if serial.strip("0"):
                    yield serial, number


def _known(numbers: Collection[str], ours: Collection[str]) -> str | None:
    """The longest of our accounts that every row's account is, or is below."""
    fits = [one for one in ours if one and numbers and all(_is_below(n, one) for n in numbers)]
    return max(fits, key=len, default=None)


def _all_begin(numbers: Iterable[str], stem: str) -> bool:
    return len(stem) >= 8 and all(number.startswith(stem) for number in numbers)


def _is_below(number: str, parent: str) -> bool:
    return number.startswith(parent) and len(number) - len(parent) <= MAX_UNIT_DIGITS


def _party(text: str) -> tuple[str, str]:
    """Name and account that a bank prints in one cell: 张三 6222…, 张三6222… or 6222…/张三."""
    if found := _PARTY_BEHIND.fullmatch(text):
        return found[2], found[1]
    found = _PARTY.fullmatch(text)
    return (found[1], found[2] or "") if found else (text, "")


def _month(cell: str) -> tuple[int, int] | None:
    found = _TITLE_MONTH.search(cell)
    return (int(found[1]), int(found[2])) if found and 1 <= int(found[2]) <= 12 else None


def original(texts: Sequence[str]) -> str | None:
    """Serial of the booking that a reversal takes back, where the bank's words name it."""
    return next((found[1] for text in texts if (found := _ORIGINAL.search(text))), None)
