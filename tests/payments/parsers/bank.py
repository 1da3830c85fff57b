"""One bank's table, filled with bookings as that bank writes them."""

import csv
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.payments.parsers.biff import xls
from tests.payments.parsers.made import OPENING, bookings, workbook


@dataclass(frozen=True)
class Bank:
    """How one bank writes; `cells` gives the filled cells of a booking, by their header."""

    header: str
    cells: Callable[..., dict[str, str]]
    container: str = "csv"
    encoding: str = "gb18030"
    delimiter: str = ","
    lead: Callable[..., list[list[str]]] = lambda rows: []
    footer: Callable[..., list[list[str]]] = lambda rows: []
    named: bool = False  # the file names its account
    has_serial: bool = False
    entry: str = ""  # what the bank's number of an entry adds to that of its transaction
    has_account: bool = True  # of the other side
    has_clock: bool = True
    has_balance: bool = True
    newest_first: bool = False
    card: bool = False
    currency: str = "CNY"
    reversal: dict[str, str] = field(default_factory=dict)  # cells that mark one
    total: str = ""  # a column whose sum stands below or above the table


def yuan(fen: int, *, commas: bool = False, plus: bool = False) -> str:
    sign = "-" if fen < 0 else "+" if plus else ""
    whole = f"{abs(fen) // 100:,}" if commas else str(abs(fen) // 100)
    return f"{sign}{whole}.{abs(fen) % 100:02d}"


def sides(row, into: str, out: str, empty: str = "") -> dict[str, str]:
    amount = yuan(row.amount_fen, commas=True)
    return {into: amount, out: empty} if row.signed_fen > 0 else {into: empty, out: amount}


def table(bank: Bank, rows=None) -> list[list[str]]:
    """The whole sheet: lead, header, one line per booking, footer."""
    rows = bookings() if rows is None else rows
    names = bank.header.split(",")
    balance, lines = OPENING, []
    for ordinal, row in enumerate(rows, start=1):
        balance += row.signed_fen
        filled = bank.cells(row, balance, ordinal)
        assert filled.keys() <= set(names), filled.keys() - set(names)
        if row.reverses:
            filled |= bank.reversal
        lines.append([filled.get(name, "") for name in names])
    if bank.newest_first:
        lines.reverse()
    return [*bank.lead(rows), names, *lines, *bank.footer(rows)]


def written(bank: Bank, rows=None) -> bytes:
    return packed(bank, table(bank, rows))


def packed(bank: Bank, lines: Sequence[Sequence[str]]) -> bytes:
    if bank.container == "xlsx":
        return workbook(*lines)
    if bank.container == "xls":
        return xls(lines)
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n", delimiter=bank.delimiter).writerows(lines)
    return out.getvalue().encode(bank.encoding)


def ins(rows):
    return [row.amount_fen for row in rows if row.direction == "C"]


def outs(rows):
    return [row.amount_fen for row in rows if row.direction == "D"]
