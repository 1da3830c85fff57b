"""What the bills of WeChat Pay and Alipay share: lines, a header found by its names, records.

What they list was paid at the channel: such a file explains money, it never pays a transfer.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, ClassVar

from payments.transfers.parsers import cells, sums, text
from payments.transfers.parsers.refusals import BadCell, DamagedFile, UnknownFormat
from payments.transfers.parsers.statement import Known, Row, Source, Stream, Summary, begun
from payments.transfers.parsers.tables import csv_text
from payments.transfers.parsers.tables.grid import HEADER_WITHIN, header_names

Lines = Iterator[tuple[int, str]]  # numbered from 1


@dataclass(frozen=True, slots=True)
class BillRow(Row):
    """A row, and what only a channel's bill says of it, in the channel's own words."""

    own_number: str = ""  # ours: of the trade, of a refund that of the refund
    state: str = ""  # of a refund
    kind: str = ""  # 业务类型 of a movement of the channel's account
    fee_fen: int = 0  # what the channel keeps; below zero where it gives back


class Record:
    """One line of a bill; cells by the names of the header."""

    def __init__(self, number: int, values: Sequence[str], at: Mapping[str, int]) -> None:
        self.number = number
        self._values = values
        self._at = at

    def raw(self, name: str) -> str:
        """The cell as it stands; empty when this version of the bill has no such column."""
        place = self._at.get(name)
        return "" if place is None else self._values[place]

    def text(self, name: str) -> str:
        return cells.clean(self.raw(name))

    def texts(self, *names: str) -> tuple[str, ...]:
        """The cells that say something, as they stand."""
        return tuple(text for name in names if (text := self.raw(name).strip(" \t")))

    def said(self, name: str) -> str:
        """Raises BadCell for an empty cell."""
        text = self.text(name)
        if text in {"", "0"}:
            raise self.wrong(name, "为空")
        return text

    def fen(self, name: str) -> int:
        """0 for an empty cell."""
        try:
            return cells.fen(self.text(name)) or 0
        except ValueError:
            raise self.wrong(name, "不是金额") from None

    def amount(self, name: str) -> int:
        """The same; raises BadCell for an empty cell too."""
        if not self.text(name):
            raise self.wrong(name, "为空，不是金额")
        return self.fen(name)

    def moment(self, *names: str) -> datetime:
        """The first of these columns that says something."""
        name = next((one for one in names if self.text(one)), names[-1])
        try:
            return cells.moment(self.text(name))
        except ValueError:
            raise self.wrong(name, "不是日期时间") from None

    def wrong(self, name: str, reason: str) -> BadCell:
        text = self.text(name)[:40]
        return BadCell(
            f"第 {self.number} 行「{name}」“{text}”{reason}", row=self.number, column=name
        )


class Bill:
    """One kind of bill, for one pass over one file."""

    form: ClassVar[str]
    needed: ClassVar[frozenset[str]]  # names of its header

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        """`lead`: the lines above the header, in half width and without empty cells."""
        if len(set(header)) != len(header):
            raise DamagedFile("表头里有重名的列")
        self.at = {name: place for place, name in enumerate(header)}
        self.lead = lead
        self.known = known
        self.summary = Summary()
        self.tally = sums.Tally()
        self.serials = sums.Serials()

    def rows(self, lines: Lines) -> Iterator[Row]:
        """Everything below the header; raises CountsDiffer and DamagedFile at its end."""
        raise NotImplementedError

    def counted(self, lines: Lines) -> Iterator[Row]:
        for row in self.rows(lines):
            self.tally.add(row.amount_fen, row.booked_at)
            yield row
        self.tally.note_days(self.summary)

    def serial(self, record: Record, serial: str, *more: str) -> str:
        """That number, told apart by `more` when the file repeats it.

        One payment, its fee and its refunds may be entered under one number; footers and running
        balances count every line.  Raises SerialTwice when `more` agrees too.
        """
        longer = "#".join([serial, *more])
        if self.known.is_checked:
            self.serials.take(longer, record.number)
        first = self.serials.first(serial, record.number)
        return serial if first == record.number else longer


def recognises(head: bytes, kinds: Sequence[type[Bill]]) -> bool:
    """A header line of one of these bills is among the first lines."""
    headers = [set(names(line)) for line in text.top(head, HEADER_WITHIN)]
    return any(kind.needed <= header for kind in kinds for header in headers)


def stream(source: BinaryIO, kinds: Sequence[type[Bill]], known: Known) -> Stream:
    """Rows in the file's order; raises Unreadable, at the end of the file what does not add up."""
    lines = text.numbered(source)
    lead: list[str] = []
    for number, line in lines:
        header = names(line)
        kind = next((kind for kind in kinds if kind.needed <= set(header)), None)
        if kind:
            bill = kind(header, lead, known)
            rows = bill.counted(lines)
            return begun(Stream(bill.form, None, rows, bill.summary, source=Source.CHANNEL))
        if number >= HEADER_WITHIN:
            break
        lead.append(unicodedata.normalize("NFKC", line).strip(" \t,"))
    raise UnknownFormat("文件里没有微信支付或支付宝账单的表头")


def names(line: str) -> list[str]:
    """A line as a header's names."""
    return header_names(csv_text.cells(line))
