"""What every reader returns."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from enum import StrEnum
from itertools import chain
from typing import Self

from .refusals import CountsDiffer


@dataclass(frozen=True, slots=True)
class Row:
    """One booked line; amounts are minor units with two digits (fen), whatever the currency."""

    serial: str | None  # the bank's own number of this booking; None where the format has none
    booked_at: datetime  # aware; midnight where the format knows only the day
    amount_fen: int  # + is money in
    currency: str
    balance_fen: int | None
    payer_name: str  # the other side, also when money goes out
    payer_account: str
    payer_bank: str
    remark: str  # for people
    texts: tuple[str, ...]  # every text the payer's words may be in, raw
    virtual_account: str | None  # the full number, when money came to one
    is_reversal: bool
    reverses: str | None  # serial of the original, when the bank names it
    position: int  # row of a table, line of a text, ordinal of an XML entry (shared by its details)
    account_no: str = ""  # the account as this very row names it, virtual or own
    caution: str = ""  # why a person must look before this row pays anything


@dataclass(frozen=True, slots=True)
class Declared:
    """What a file says about itself; None where it is silent."""

    count: int | None = None
    credits: int | None = None
    credit_fen: int | None = None
    debits: int | None = None
    debit_fen: int | None = None

    def confirm(self, counted: Self) -> None:
        """Raise CountsDiffer at the first figure that the rows, counted, do not confirm."""
        for figure in fields(self):
            said, found = getattr(self, figure.name), getattr(counted, figure.name)
            if said is None or said == found:
                continue
            if figure.name.endswith("_fen"):
                said, found = f"{yuan(said)} 元", f"{yuan(found)} 元"
            raise differs(_FIGURES[figure.name], said, found, figure=figure.name)


_FIGURES = {
    "count": "总笔数",
    "credits": "收入笔数",
    "credit_fen": "收入合计",
    "debits": "支出笔数",
    "debit_fen": "支出合计",
}


def differs(title: str, said: object, found: object, *, figure: str) -> CountsDiffer:
    """The refusal for a figure of the file's own that its rows do not confirm."""
    return CountsDiffer(f"文件声明{title}为 {said}，实际为 {found}：文件可能不完整", figure=figure)


class Source(StrEnum):
    """Whose books a file is from."""

    BANK = "BANK"  # a bank account: its credits may pay transfers
    CHANNEL = "CHANNEL"  # a bill of WeChat Pay or Alipay: what it lists was paid there


class Checks(StrEnum):
    """How much of what a file says about itself must hold."""

    ALL = "ALL"  # running balances, declared totals, one serial once: the only way to pay anything
    # For samples whose owners changed figures to hide themselves: every row must be readable,
    # what the rows say together is not asked.  No upload ever passes it.
    ROWS_ONLY = "ROWS_ONLY"


@dataclass(frozen=True, slots=True)
class Known:
    """What the caller knows before a file is opened."""

    ours: Collection[str] = ()  # our account numbers
    columns: Mapping[str, str] | None = None  # role → header text, of a table no module knows
    checks: Checks = Checks.ALL
    is_personal: bool = False  # the receiving account is a person's wallet

    @property
    def is_checked(self) -> bool:
        return self.checks is Checks.ALL


UNKNOWN = Known()


@dataclass(slots=True)
class Summary:
    """What the whole file says, complete once its last row was read."""

    accounts: tuple[str, ...] = ()  # own accounts in the file, in its order
    opening_fen: int | None = None  # None where unknown, and where there are several accounts
    closing_fen: int | None = None
    booked_from: date | None = None
    booked_until: date | None = None  # the day after the last row's day
    declared: Declared = Declared()
    not_booked: int = 0  # rows that are pending or for information: left out
    period: tuple[date, date] | None = None  # [first day, end) as the head says; None where silent


@dataclass(slots=True)
class Stream:
    """A file while it is read, in memory that does not grow with it.

    `rows` may raise Unreadable at any row and at the end, where the file does not add up: nothing
    may come of a row before the last one was read.  `account_no` is the file's own word, from its
    head or its first rows; None where it is silent.
    """

    format: str
    account_no: str | None
    rows: Iterator[Row]
    summary: Summary = field(default_factory=Summary)
    source: Source = Source.BANK


@dataclass(frozen=True, slots=True)
class Statement:
    """A whole file, already checked: balances hold, counts agree, no serial occurs twice."""

    format: str
    account_no: str | None  # None: not said; several: all of them joined by 、, equal to none
    accounts: tuple[str, ...]  # own accounts in the file, in its order
    rows: tuple[Row, ...]
    opening_fen: int | None = None  # None where unknown, and where there are several accounts
    closing_fen: int | None = None
    booked_from: date | None = None
    booked_until: date | None = None  # the day after the last row's day
    declared: Declared = Declared()
    not_booked: int = 0  # rows the file has but that are pending or for information: left out
    source: Source = Source.BANK


def gathered(stream: Stream) -> Statement:
    """A stream read to its end; raises what it raises."""
    rows = tuple(stream.rows)
    said = stream.summary
    return Statement(
        format=stream.format,
        account_no="、".join(said.accounts) if len(said.accounts) > 1 else stream.account_no,
        accounts=said.accounts,
        rows=rows,
        opening_fen=said.opening_fen,
        closing_fen=said.closing_fen,
        booked_from=said.booked_from,
        booked_until=said.booked_until,
        declared=said.declared,
        not_booked=said.not_booked,
        source=stream.source,
    )


def begun(stream: Stream) -> Stream:
    """The stream with its first row read, so that `account_no` is known as early as it can be."""
    first = next(stream.rows, None)
    stream.account_no = next(iter(stream.summary.accounts), None)
    if first is not None:
        stream.rows = chain([first], stream.rows)
    return stream


def yuan(fen: int) -> str:
    """For messages: -1230 is -12.30."""
    sign, whole = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{whole // 100}.{whole % 100:02d}"
