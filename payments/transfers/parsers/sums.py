"""What a file must add up to, kept while it is read: balances, totals, serials, days.

Each takes one row after the other in memory that hardly grows, and says at the end whether the
whole holds.
"""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date, datetime, timedelta

from .refusals import SerialTwice, Unbalanced
from .statement import Declared, yuan

_BUCKETS = 256


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
    """How many rows, how much in and out (fen), from which day to which."""

    __slots__ = ("count", "credit_fen", "credits", "debit_fen", "debits", "first", "last")

    def __init__(self) -> None:
        self.count = self.credits = self.credit_fen = self.debits = self.debit_fen = 0
        self.first: datetime | None = None
        self.last: datetime | None = None

    def add(self, fen: int, at: datetime) -> None:
        self.count += 1
        if fen > 0:
            self.credits += 1
            self.credit_fen += fen
        elif fen < 0:
            self.debits += 1
            self.debit_fen -= fen
        if self.first is None or self.last is None:
            self.first = self.last = at
        elif at > self.last:
            self.last = at
        elif at < self.first:
            self.first = at

    def declared(self) -> Declared:
        """The same figures, as a file would declare them."""
        return Declared(self.count, self.credits, self.credit_fen, self.debits, self.debit_fen)

    def days(self) -> tuple[date | None, date | None]:
        """From the first row's day to the day after the last row's; none for no rows."""
        if self.first is None or self.last is None:
            return None, None
        return self.first.date(), self.last.date() + timedelta(days=1)


class Serials:
    """One serial once, in eight bytes a row.

    Only 64-bit hashes are kept; where two are equal the file is read again for the serials
    themselves, so that a chance hit never refuses a sound file.
    """

    __slots__ = ("_buckets",)

    def __init__(self) -> None:
        self._buckets = [array("q") for _ in range(_BUCKETS)]

    def add(self, serial: str) -> None:
        mark = hash(serial)
        self._buckets[mark & 255].append(mark)

    def check(self, again: Callable[[], Iterable[tuple[str, int]]]) -> None:
        """`again` reads (serial, position) of every row once more.  Raises SerialTwice."""
        twice: set[int] = set()
        for bucket in self._buckets:
            if len(set(bucket)) != len(bucket):
                twice.update(mark for mark, times in Counter(bucket).items() if times > 1)
        if twice:
            one_once((serial, at) for serial, at in again() if hash(serial) in twice)


def one_once(serials: Iterable[tuple[str, int]]) -> None:
    """Raises SerialTwice for the first serial at two positions."""
    seen: dict[str, int] = {}
    for serial, position in serials:
        first = seen.setdefault(serial, position)
        if first != position:
            raise SerialTwice(
                f"流水号 {serial} 出现两次：第 {first} 行与第 {position} 行",
                serial=serial,
                rows=[first, position],
            )
