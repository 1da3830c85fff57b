"""What a file must add up to, kept while it is read: balances, totals, serials, days.

Each takes one row after the other in memory that hardly grows, and says at the end whether the
whole holds.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from .refusals import SerialTwice, Unbalanced
from .statement import Declared, Row, Summary, yuan

_BUCKETS = (1 << 12) - 1
_ROW = struct.Struct("<I")
_pack_row = _ROW.pack
_pack_mark = struct.Struct("<qq").pack


class Chain:
    """Every running balance follows from its neighbour's.

    Banks print rows oldest first or newest first; either will do, a mixture will not.
    """

    __slots__ = ("amount", "balance", "down", "first", "position", "up")

    def __init__(self) -> None:
        self.first: tuple[int, int, int] | None = None  # position, amount, balance
        self.position = self.amount = self.balance = 0  # of the last row
        self.down = self.up = True  # so far the rows fit oldest first, newest first

    def add(self, position: int, amount: int, balance: int) -> None:
        """Raises Unbalanced at the first row that fits neither way."""
        if self.first is None:
            self.first = (position, amount, balance)
        else:
            step = balance - self.balance
            if step != amount:
                self.down = False
            if step != -self.amount:
                self.up = False
            if not (self.down or self.up):
                raise Unbalanced(
                    f"第 {position} 行起余额对不上：上一行余额加减本行金额不等于本行余额",
                    row=position,
                )
        self.position, self.amount, self.balance = position, amount, balance

    def ends(self, opening: int | None, closing: int | None) -> tuple[int | None, int | None]:
        """Opening and closing balance; raises Unbalanced where the file declares others."""
        if self.first is None:
            return opening, closing
        top, amount, balance = self.first
        ways = []
        if self.down:
            ways.append((balance - amount, self.balance, top, self.position))
        if self.up:
            ways.append((self.balance - self.amount, balance, self.position, top))
        for before, after, _, _ in ways:
            if opening in {None, before} and closing in {None, after}:
                return before, after
        before, after, oldest, newest = ways[0]
        if opening not in {None, before}:
            raise Unbalanced(
                f"第 {oldest} 行：期初余额 {yuan(opening or 0)} 与第一笔之前的余额"
                f" {yuan(before)} 不符",
                row=oldest,
            )
        raise Unbalanced(
            f"第 {newest} 行：期末余额 {yuan(closing or 0)} 与最后一笔的余额 {yuan(after)} 不符",
            row=newest,
        )


class Tally:
    """How many rows, how much in and out (fen), from which day to which.

    A row of 0 counts as a row, not as money in or out.
    """

    __slots__ = ("count", "credit_fen", "credits", "debit_fen", "debits", "first", "last")

    def __init__(self) -> None:
        self.count = self.credits = self.credit_fen = self.debits = self.debit_fen = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, fen: int, at: datetime | None = None) -> None:
        """Of a row that is not booked there is no day."""
        self.count += 1
        if fen > 0:
            self.credits += 1
            self.credit_fen += fen
        elif fen < 0:
            self.debits += 1
            self.debit_fen -= fen
        if at is None:
            return
        if self.first is None or self.last is None:
            self.first = self.last = at
        elif at > self.last:
            self.last = at
        elif at < self.first:
            self.first = at

    def declared(self) -> Declared:
        """The same figures, as a file would declare them."""
        return Declared(self.count, self.credits, self.credit_fen, self.debits, self.debit_fen)

    def note_days(self, summary: Summary) -> None:
        """From the first row's day to the day after the last row's; nothing without rows."""
        if self.first is not None and self.last is not None:
            summary.booked_from = self.first.date()
            summary.booked_until = self.last.date() + timedelta(days=1)


class Serials:
    """Which row had each serial first, in some 30 bytes a serial.

    Two 64-bit hashes under the process's secret key stand for a serial: as good as the serial
    itself, where one of them alone would once in a while refuse a sound file.
    """

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets: defaultdict[int, bytearray] = defaultdict(bytearray)

    def first(self, serial: str, row: int) -> int:
        """The row that had this serial first: `row` itself when it is new."""
        mark = hash(serial)
        known = _pack_mark(mark, hash(serial + "\n"))
        bucket = self._buckets[mark & _BUCKETS]
        at = bucket.find(known)
        if at >= 0:
            found: int = _ROW.unpack_from(bucket, at + len(known))[0]
            return found
        bucket += known
        bucket += _pack_row(row)
        return row

    def take(self, serial: str, row: int, *, account: str = "") -> None:
        """Raises SerialTwice when another row (of that account) had it."""
        first = self.first(f"{account}\n{serial}" if account else serial, row)
        if first != row:
            raise SerialTwice(
                f"流水号 {serial} 出现两次：第 {first} 行与第 {row} 行",
                serial=serial,
                rows=[first, row],
            )


def watched(rows: Iterable[Row], summary: Summary, *, is_checked: bool = True) -> Iterator[Row]:
    """The same rows; tells `summary` their days, raises SerialTwice for an account's serial.

    The details of one entry share its position and may share its serial.
    """
    tally, serials = Tally(), Serials()
    for row in rows:
        if is_checked and row.serial is not None:
            serials.take(row.serial, row.position, account=row.account_no)
        tally.add(row.amount_fen, row.booked_at)
        yield row
    tally.note_days(summary)


def add_up(*, opening_fen: int, moved_fen: int, closing_fen: int, where: str) -> None:
    """Raises Unbalanced unless opening plus all rows is closing; for rows without balances."""
    if opening_fen + moved_fen != closing_fen:
        raise Unbalanced(
            f"{where}：期初 {yuan(opening_fen)} 加明细合计 {yuan(moved_fen)}"
            f" 不等于期末 {yuan(closing_fen)}，文件可能不完整"
        )
