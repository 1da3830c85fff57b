"""What is checked while a file is read: totals, running balances, serials; no row is kept."""

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import timedelta

from .refusals import CountsDiffer, SerialTwice, Unbalanced
from .statement import Declared, Row, Stream, Summary, yuan

_FIGURES = {
    "count": "总笔数",
    "credits": "收入笔数",
    "credit_fen": "收入合计",
    "debits": "支出笔数",
    "debit_fen": "支出合计",
}
_SLOTS = 1 << 12


@dataclass(slots=True)
class Totals:
    """Counts and sums so far; a row of 0 counts as a row, not as money in or out."""

    count: int = 0
    credits: int = 0
    credit_fen: int = 0
    debits: int = 0
    debit_fen: int = 0

    def add(self, fen: int) -> None:
        self.count += 1
        if fen > 0:
            self.credits += 1
            self.credit_fen += fen
        elif fen < 0:
            self.debits += 1
            self.debit_fen -= fen

    @property
    def sum_fen(self) -> int:
        return self.credit_fen - self.debit_fen

    def confirm(self, declared: Declared) -> None:
        """Raise CountsDiffer at the first figure that the rows do not confirm."""
        for figure in fields(self):
            said, found = getattr(declared, figure.name), getattr(self, figure.name)
            if said is None or said == found:
                continue
            if figure.name.endswith("_fen"):
                said, found = f"{yuan(said)} 元", f"{yuan(found)} 元"
            raise differs(_FIGURES[figure.name], said, found, figure=figure.name)


def differs(title: str, said: object, found: object, *, figure: str) -> CountsDiffer:
    return CountsDiffer(f"文件声明{title}为 {said}，实际为 {found}：文件可能不完整", figure=figure)


class Balances:
    """A running balance, row by row: printed oldest first or newest first, never a mixture."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None  # amount, balance after it
        self._last = (0, 0)
        self._down = self._up = True

    def add(self, fen: int, balance: int, row: int) -> None:
        """Raises Unbalanced at the first row that follows from neither neighbour."""
        if self._first is None:
            self._first = (fen, balance)
        else:
            before_fen, before = self._last
            self._down = self._down and balance - before == fen
            self._up = self._up and before - balance == before_fen
            if not (self._down or self._up):
                raise Unbalanced(
                    f"第 {row} 行起余额对不上：上一行余额加减本行金额不等于本行余额", row=row
                )
        self._last = (fen, balance)

    def ends(self) -> tuple[int | None, int | None]:
        """Opening and closing balance; None, None without rows."""
        if self._first is None:
            return None, None
        (first_fen, first), (last_fen, last) = self._first, self._last
        return (first - first_fen, last) if self._down else (last - last_fen, first)


class Serials:
    """Where each serial was first seen: 16 bytes a serial, in an open table of their digests."""

    def __init__(self) -> None:
        self._digests = array("Q", bytes(8 * _SLOTS))
        self._rows = array("Q", bytes(8 * _SLOTS))
        self._used = 0

    def first(self, serial: str, row: int) -> int:
        """The row that had this serial first: `row` itself when it is new."""
        digest = int.from_bytes(
            hashlib.blake2b(serial.encode("utf-8", "replace"), digest_size=8).digest()
        )
        digest = digest or 1  # 0 is a free slot
        place = self._place(digest)
        if self._digests[place]:
            return self._rows[place]
        self._digests[place], self._rows[place] = digest, row
        self._used += 1
        if self._used * 3 > len(self._digests) * 2:
            self._grow()
        return row

    def take(self, serial: str, row: int, *, account: str = "") -> None:
        """Raises SerialTwice when another row of that account had it."""
        first = self.first(f"{account}\n{serial}" if account else serial, row)
        if first != row:
            raise SerialTwice(
                f"流水号 {serial} 出现两次：第 {first} 行与第 {row} 行",
                serial=serial,
                rows=[first, row],
            )

    def _place(self, digest: int) -> int:
        mask = len(self._digests) - 1
        place = digest & mask
        while self._digests[place] not in {0, digest}:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        digests, rows = self._digests, self._rows
        self._digests = array("Q", bytes(16 * len(digests)))
        self._rows = array("Q", bytes(16 * len(digests)))
        for digest, row in zip(digests, rows, strict=True):
            if digest:
                place = self._place(digest)
                self._digests[place], self._rows[place] = digest, row


def once(rows: Iterator[Row], *, per_account: bool = False) -> Iterator[Row]:
    """The same rows; raises SerialTwice at the second row with a serial.

    The details of one entry share its position and may share its serial.
    """
    seen = Serials()
    for row in rows:
        if row.serial is not None:
            seen.take(row.serial, row.position, account=row.account_no if per_account else "")
        yield row


def begun(stream: Stream) -> Stream:
    """The stream with its first row read, so that `account_no` is known as early as it can be."""
    first = next(stream.rows, None)
    stream.account_no = next(iter(stream.summary.accounts), None)
    if first is not None:
        stream.rows = _again(first, stream.rows)
    return stream


def _again(first: Row, rows: Iterator[Row]) -> Iterator[Row]:
    yield first
    yield from rows


def note_day(summary: Summary, row: Row) -> None:
    """Widen the days a summary covers."""
    day = row.booked_at.date()
    if summary.booked_from is None or day < summary.booked_from:
        summary.booked_from = day
    if summary.booked_until is None or day >= summary.booked_until:
        summary.booked_until = day + timedelta(days=1)
