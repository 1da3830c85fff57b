"""ISO 20022 camt.053 (statement) and camt.054 (notification), .001.02 to .08, entry by entry.

The sign is CdtDbtInd of the Ntry alone; RvslInd says what it is and never turns it.  A batch whose
details add up to it is one row per detail; any other batch is one row for a person to look at.
Virtual account: TxDtls/RltdPties/CdtrAcct; serial: AcctSvcrRef, the same in both messages, so that
a booking that was notified before is known again.  A notification has no balances.
"""

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Protocol
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from payments.transfers.parsers.refusals import (
    BadCell,
    DamagedFile,
    EntitiesForbidden,
    ExpandsTooFar,
    NotBooked,
    UnknownFormat,
    UnsupportedStatement,
)
from payments.transfers.parsers.statement import (
    UNKNOWN,
    Declared,
    Known,
    Row,
    Stream,
    Summary,
    begun,
)
from payments.transfers.parsers.sums import Tally, add_up, watched

from .camt_entry import Entry, amount_of, fen_of, sign_of, text_of

MAX_DEPTH = 40
MAX_PENDING = 500_000  # elements of one entry; a batch detail has about 50

_MESSAGE = re.compile(r"camt\.(05[234])\.001\.(\d{2})")
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding=["'](gb[\w-]*)["'][^>]*\?>""", re.IGNORECASE)
_REPORTS = {"053": "Stmt", "054": "Ntfctn"}
_TAKEN = frozenset({"Ntry", "Bal", *_REPORTS.values()})


@dataclass(slots=True)
class _Account:
    """One Stmt or Ntfctn."""

    ordinal: int = 0  # of the last entry, in the whole file
    account: str = ""
    currency: str = ""
    opening_fen: int | None = None
    closing_fen: int | None = None
    declared: Declared = field(default_factory=Declared)
    entries: Tally = field(default_factory=Tally)
    booked_fen: int = 0


def recognises(head: bytes) -> bool:
    text = head
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="ignore").encode()
    return text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<Document", b"<!D"))


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Rows of every Stmt or Ntfctn; raises NotBooked for camt.052, and any other Unreadable.

    `account_no` is the first account's; `summary.accounts` tells at the end whether there are
    more.
    """
    reader = _Reader(is_checked=known.is_checked)
    rows = watched(reader.rows(_recoded(source)), reader.summary, is_checked=known.is_checked)
    stream = begun(Stream("camt053", None, rows, reader.summary))
    stream.format = f"camt{reader.message}"
    return stream


class _Reader:
    """One pass; each part is read and taken away, so memory does not grow with the file."""

    def __init__(self, *, is_checked: bool) -> None:
        self.message = "053"
        self.summary = Summary()
        self._is_checked = is_checked
        self._booked = 0
        self._follow = True  # every Stmt opens with the balance that the one before closed with

    def rows(self, source: "_Readable") -> Iterator[Row]:
        try:
            yield from self._rows(source)
        except DefusedXmlException as error:
            raise EntitiesForbidden from error
        except (ParseError, UnicodeError, ValueError, LookupError) as error:
            raise DamagedFile(f"XML 不完整或已损坏：{error}") from error
        if not self.summary.accounts:
            raise DamagedFile(f"camt.{self.message} 里没有对账单（Stmt）或通知（Ntfctn）")
        if self.summary.not_booked and not self._booked:
            raise NotBooked(f"文件里的 {self.summary.not_booked} 笔都还没有入账（状态不是 BOOK）")

    def _rows(self, source: "_Readable") -> Iterator[Row]:
        current: _Account | None = None
        ordinal = 0
        path: list[Element] = []
        for event, name, element in self._events(source):
            if event == "start":
                path.append(element)
                if name == _REPORTS[self.message]:
                    if current is not None:
                        raise DamagedFile(f"{name} 里还有 {name}")
                    current = _Account(ordinal=ordinal)
                continue
            path.pop()
            if current is None:
                continue
            if name == _REPORTS[self.message]:
                self._close(current)
                ordinal, current = current.ordinal, None
            elif path and _local(path[-1].tag) == _REPORTS[self.message]:
                yield from self._part(current, name, element)
            else:
                continue
            del path[-1][:]  # what was read: an emptied element would stay a child

    def _events(self, source: "_Readable") -> Iterator[tuple[str, str, Element]]:
        """Start and end of every element, by local name, within depth and number."""
        depth = pending = 0
        for event, element in iterparse(source, events=("start", "end"), forbid_dtd=True):
            name = _local(element.tag)
            if event == "start":
                depth += 1
                pending += 1
                if depth == 1:
                    self.message = _known(element.tag)
                if depth > MAX_DEPTH or pending > MAX_PENDING:
                    raise ExpandsTooFar("XML 嵌套过深或单笔内容过多")
            else:
                element.tag = name  # so that paths below need no namespace
                depth -= 1
                if name in _TAKEN:
                    pending = 0
            yield event, name, element

    def _part(self, current: _Account, name: str, element: Element) -> Iterator[Row]:
        if name == "Ntry":
            current.ordinal += 1
            yield from self._entry(current, element)
        elif name == "Acct":
            self._account(current, element)
        elif name == "Bal":
            kind = text_of(element, "Tp/CdOrPrtry/Cd")
            if kind in {"OPBD", "CLBD"}:
                _balance(current, kind, element)
        elif name == "TxsSummry":
            current.declared = _declared(element)

    def _account(self, current: _Account, element: Element) -> None:
        if current.account or current.entries.count:
            raise DamagedFile("账号（Acct）重复，或在明细之后")
        current.account = text_of(element, "Id/IBAN") or text_of(element, "Id/Othr/Id")
        current.currency = text_of(element, "Ccy")
        if current.account and current.account not in self.summary.accounts:
            self.summary.accounts += (current.account,)

    def _entry(self, current: _Account, element: Element) -> Iterator[Row]:
        where = f"第 {current.ordinal} 笔（Ntry）"
        if not current.account:
            raise DamagedFile("对账单没有账号（Acct/Id）")
        fen, currency = amount_of(element, where)
        fen *= sign_of(element, where)
        status = text_of(element, "Sts/Cd") or text_of(element, "Sts")
        if status not in {"BOOK", "PDNG", "INFO", "FUTR"}:
            raise BadCell(
                f"{where}的状态“{status[:20]}”无法识别", row=current.ordinal, column="Sts"
            )
        current.currency = current.currency or currency
        if currency != current.currency:
            raise BadCell(
                f"{where}的币种 {currency} 与账户币种不同", row=current.ordinal, column="Amt"
            )
        current.entries.add(fen)
        if status != "BOOK":
            self.summary.not_booked += 1
            return
        self._booked += 1
        current.booked_fen += fen
        entry = Entry(
            element, account=current.account, currency=currency, fen=fen, ordinal=current.ordinal
        )
        yield from entry.rows(element.findall("NtryDtls/TxDtls"))

    def _close(self, current: _Account) -> None:
        """The end of a Stmt: it must add up."""
        if not current.account:
            raise DamagedFile("对账单没有账号（Acct/Id）")
        if self._is_checked:
            current.declared.confirm(current.entries.declared())
        if self.message == "053":
            self._balanced(current)
        elif not current.entries.count and current.declared.count != 0:
            raise DamagedFile("通知里没有任何明细，也没有声明笔数为 0")
        one = len(self.summary.accounts) == 1 and current.ordinal == current.entries.count
        self.summary.declared = current.declared if one else Declared()

    def _balanced(self, current: _Account) -> None:
        opening, closing = current.opening_fen, current.closing_fen
        if opening is None or closing is None:
            raise DamagedFile(f"账户 {current.account} 的对账单没有期初（OPBD）或期末（CLBD）余额")
        if self._is_checked:
            add_up(
                opening_fen=opening,
                moved_fen=current.booked_fen,
                closing_fen=closing,
                where=f"账户 {current.account}",
            )
        summary = self.summary
        self._follow = self._follow and summary.closing_fen in {None, opening}
        if self._follow and len(summary.accounts) == 1:
            first = opening if summary.opening_fen is None else summary.opening_fen
            summary.opening_fen, summary.closing_fen = first, closing
        else:
            summary.opening_fen = summary.closing_fen = None
            self._follow = False


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class _Recoded:
    """GB18030, which Chinese banks declare and expat does not know, as UTF-8."""

    def __init__(self, head: bytes, source: BinaryIO) -> None:
        self._head = head
        self._source = source
        self._decoder = codecs.getincrementaldecoder("gb18030")()

    def read(self, size: int = -1, /) -> bytes:
        head, self._head = self._head, b""
        found = ""
        while not found:
            chunk = head or self._source.read(size)
            head = b""
            found = self._decoder.decode(chunk, final=not chunk)
            if not chunk:
                break
        return found.encode()


class _Prefixed:
    """A stream of which the first bytes were read already."""

    def __init__(self, head: bytes, source: BinaryIO) -> None:
        self._head = head
        self._source = source

    def read(self, size: int = -1, /) -> bytes:
        head, self._head = self._head, b""
        return head or self._source.read(size)


def _recoded(source: BinaryIO) -> _Readable:
    head = source.read(1024)
    declared = _DECLARED.match(head)
    return _Recoded(head[declared.end() :], source) if declared else _Prefixed(head, source)


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def _known(tag: str) -> str:
    found = _MESSAGE.search(tag)
    if not found:
        raise UnknownFormat(f"不认识的文件格式：XML 的根元素 {tag[:80]} 不是 camt.053 对账单")
    message, version = found.groups()
    if message not in _REPORTS:
        raise NotBooked("camt.052 是日内报告，不是已入账对账单，请导出 camt.053")
    if not "02" <= version <= "08":
        raise UnsupportedStatement(f"camt.{message} 第 {version} 版，暂不支持（支持 02–08）")
    return message


def _balance(current: _Account, kind: str, element: Element) -> None:
    fen, currency = amount_of(element, kind)
    current.currency = current.currency or currency
    signed = fen * sign_of(element, kind)
    if currency != current.currency:
        raise BadCell(f"{kind} 余额的币种 {currency} 与账户币种 {current.currency} 不同")
    before = current.opening_fen if kind == "OPBD" else current.closing_fen
    if before not in {None, signed}:
        raise DamagedFile(f"同一对账单有两个不同的 {kind} 余额")
    if kind == "OPBD":
        current.opening_fen = signed
    else:
        current.closing_fen = signed


def _declared(element: Element) -> Declared:
    def number(path: str) -> int | None:
        text = text_of(element, path)
        return int(text) if text else None

    def fen(path: str) -> int | None:
        text = text_of(element, path)
        return fen_of(text, path) if text else None

    return Declared(
        count=number("TtlNtries/NbOfNtries"),
        credits=number("TtlCdtNtries/NbOfNtries"),
        credit_fen=fen("TtlCdtNtries/Sum"),
        debits=number("TtlDbtNtries/NbOfNtries"),
        debit_fen=fen("TtlDbtNtries/Sum"),
    )
