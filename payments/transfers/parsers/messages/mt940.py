"""SWIFT MT940, one or many statements in a file, of one or many accounts.

The grammar and the sign of :61: are mt-940's, with every correction switched on (RC takes money
out, RD brings it back); fields are split here, because the library skips what it does not know.
Virtual account: sub-field ?60VA<number> of :86:; serial: the bank reference behind // in :61:.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, BinaryIO

import mt940

from payments.transfers.parsers import held
from payments.transfers.parsers.cells import SHANGHAI, original, perhaps_taken_back
from payments.transfers.parsers.refusals import BadCell, DamagedFile, NotBooked
from payments.transfers.parsers.statement import UNKNOWN, Known, Row, Stream, Summary, begun
from payments.transfers.parsers.sums import add_up, watched
from payments.transfers.parsers.text import decode

_NOT_BOOKED = re.compile(r"^:(?:34F|90[CD]|13D):|\{2:[IO]942", re.MULTILINE)
_START = re.compile(r"^:20:", re.MULTILINE)
_FIELD = re.compile(r"^:(\d{2}[A-Z]?|NS):", re.MULTILINE)
_END = re.compile(r"^-(?:\}.*|X+|\x03)?\s*$")
_BALANCE = re.compile(r"([CD])(\d{6})([A-Z]{3})?(\d{1,15}),(\d{0,2})", re.ASCII)
_AMOUNT = re.compile(r"\d{6}(?:\d{4}|\s{4})?R?[CD][A-Z]?\s?(\d{1,13}),(\d{0,2})(?=[A-Z])", re.ASCII)
_STRUCTURED = re.compile(r"\s*\d{3}\?\d{2}")
_SUBFIELD = re.compile(r"\?(\d{2})")
_VIRTUAL = re.compile(r"VA(\d{6,40})", re.ASCII)
_NO_SERIAL = frozenset({"", "NONREF", "NOTPROVIDED"})
_LINE = mt940.tags.Statement()


@dataclass(slots=True)
class _Field:
    tag: str
    value: str
    line: int


@dataclass(slots=True)
class _Page:
    """From one :20: to the next."""

    line: int
    account: str = ""
    number: str = ""
    first: bool = True  # opened by :60F:, not continued from the page before
    last: bool = True  # closed by :62F:
    currency: str = ""
    opening_fen: int | None = None
    closing_fen: int | None = None
    entries: list[tuple[_Field, str]] = field(default_factory=list)  # :61: with its :86:


def recognises(head: bytes) -> bool:
    """By the fields that open a statement, in whatever encoding."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        head = head.decode("utf-16", errors="ignore").encode()
    head = head.removeprefix(b"\xef\xbb\xbf").replace(b"\r", b"\n")
    fields = {match[1] for match in re.finditer(rb"^:(\d{2})[A-Z]?:", head, re.MULTILINE)}
    return b"20" in fields and bool(fields & {b"25", b"28", b"60", b"61", b"34"})


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Rows page by page; raises NotBooked for MT942, FileTooLarge, and any other Unreadable.

    The text is held whole, for its encoding can only be told from all of it.  `account_no` is the
    first page's account.
    """
    document = decode(held.content(source), european=True).replace("\r\n", "\n").replace("\r", "\n")
    if _NOT_BOOKED.search(document):
        raise NotBooked("MT942 是日内预报，不是已入账明细，请导出 MT940")
    summary = Summary()
    rows = _read(document, summary, is_checked=known.is_checked)
    return begun(
        Stream("mt940", None, watched(rows, summary, is_checked=known.is_checked), summary)
    )


def _read(document: str, summary: Summary, *, is_checked: bool) -> Iterator[Row]:
    unfinished: dict[str, _Page] = {}
    for fields in _pages(document):
        page = _page(fields)
        if is_checked:
            _continue(unfinished, page)
        _sum_up(summary, page)
        yield from _rows(page, is_checked=is_checked)
    for page in unfinished.values():
        raise DamagedFile(
            f"账户 {page.account} 的对账单缺最后一页（第 {page.line} 行的一页未结束）",
            row=page.line,
        )


def _sum_up(summary: Summary, page: _Page) -> None:
    """Opening and closing balance, as long as there is one account without a gap."""
    first = not summary.accounts
    follows = first or summary.closing_fen == page.opening_fen
    if page.account not in summary.accounts:
        summary.accounts += (page.account,)
    if follows and len(summary.accounts) == 1:
        summary.opening_fen = page.opening_fen if first else summary.opening_fen
        summary.closing_fen = page.closing_fen
    else:
        summary.opening_fen = summary.closing_fen = None


def _pages(document: str) -> Iterator[list[_Field]]:
    starts = [match.start() for match in _START.finditer(document)]
    if not starts:
        raise DamagedFile("没有找到 MT940 的 :20: 起始行")
    line = document.count("\n", 0, starts[0]) + 1
    for start, end in zip(starts, [*starts[1:], len(document)], strict=True):
        yield list(_fields(document[start:end], line))
        line += document.count("\n", start, end)


def _fields(page: str, line: int) -> Iterator[_Field]:
    marks = list(_FIELD.finditer(page))
    place = 0
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        line += page.count("\n", place, mark.start())
        place = mark.start()
        lines = page[mark.end() : following.start() if following else None].split("\n")
        end = next((i for i, text in enumerate(lines) if _END.match(text)), len(lines))
        yield _Field(mark[1], "\n".join(lines[:end]).rstrip("\n"), line)


def _page(fields: list[_Field]) -> _Page:
    page = _Page(line=fields[0].line)
    for one in fields:
        if one.tag == "25":
            page.account = "".join(one.value.split())
        elif one.tag.startswith(("60", "62")):
            _balance(one, page)
        elif page.closing_fen is None:
            _entry(one, page)
    for found, missing in (
        (page.account, ":25: 账号"),
        (page.opening_fen is not None and page.currency, ":60: 期初余额"),
        (page.closing_fen is not None, ":62: 期末余额：文件可能被截断"),
    ):
        if not found:
            raise DamagedFile(f"第 {page.line} 行开始的对账单没有 {missing}", row=page.line)
    return page


def _entry(one: _Field, page: _Page) -> None:
    if one.tag == "61":
        page.entries.append((one, ""))
    elif one.tag == "86" and page.entries and not page.entries[-1][1]:
        page.entries[-1] = (page.entries[-1][0], one.value)


def _balance(one: _Field, page: _Page) -> None:
    found = _BALANCE.fullmatch(one.value.strip())
    opens = one.tag.startswith("60")
    twice = (page.opening_fen if opens else page.closing_fen) is not None
    if not found or twice or one.tag[2:] not in {"F", "M"}:
        raise BadCell(f"第 {one.line} 行 :{one.tag}: “{one.value[:40]}”不是余额", row=one.line)
    mark, _, currency, yuan, cents = found.groups()
    page.currency = page.currency or currency or ""
    if currency not in {None, page.currency}:
        raise BadCell(f"第 {one.line} 行 :{one.tag}: 币种与期初余额不同", row=one.line)
    fen = int(yuan + (cents + "00")[:2]) * (-1 if mark == "D" else 1)
    if opens:
        page.opening_fen, page.first = fen, one.tag == "60F"
    else:
        page.closing_fen, page.last = fen, one.tag == "62F"


def _continue(unfinished: dict[str, _Page], page: _Page) -> None:
    """An account's pages follow one another without a gap."""
    before = unfinished.pop(page.account, None)
    if (before is None) != page.first:
        raise DamagedFile(f"第 {page.line} 行：账户 {page.account} 的对账单缺页", row=page.line)
    if before and before.closing_fen != page.opening_fen:
        raise DamagedFile(f"第 {page.line} 行：与上一页的余额不衔接", row=page.line)
    if not page.last:
        unfinished[page.account] = page


def _rows(page: _Page, *, is_checked: bool) -> list[Row]:
    rows = [_row(one, details, page) for one, details in page.entries]
    if is_checked:
        add_up(
            opening_fen=page.opening_fen or 0,
            moved_fen=sum(row.amount_fen for row in rows),
            closing_fen=page.closing_fen or 0,
            where=f"账户 {page.account}（第 {page.line} 行起）",
        )
    return rows


def _row(one: _Field, details: str, page: _Page) -> Row:
    wrong = BadCell(
        f"第 {one.line} 行 :61: “{one.value[:40]}”无法识别", row=one.line, column=":61:"
    )
    amount = _AMOUNT.match(one.value)
    parts = _LINE.re.match(one.value)  # not parse(): it logs what does not match, names and all
    if not amount or not parts:
        raise wrong
    book = mt940.models.Transactions(options=mt940.Options.all())
    try:
        said: dict[str, Any] = dict(_LINE(book, parts.groupdict()))
    except (ValueError, TypeError, KeyError, ArithmeticError) as error:
        raise wrong from error
    fen = int(amount[1] + (amount[2] + "00")[:2])
    if fen != abs(said["amount"].amount * 100) or not said["id"]:
        raise wrong
    more = _Details(details)
    texts = tuple(
        text for text in (more.text, said["customer_reference"], said["extra_details"]) if text
    )
    serial = (said["bank_reference"] or "").strip()
    reversal = said["status"].startswith("R")
    signed_fen = -fen if said["amount"].amount < 0 else fen
    return Row(
        serial=None if serial in _NO_SERIAL else serial,
        booked_at=_day(said),
        amount_fen=signed_fen,
        currency=page.currency,
        balance_fen=None,
        payer_name=more.name,
        payer_account=more.account,
        payer_bank=more.bank,
        remark=more.text or (said["extra_details"] or "").strip(),
        texts=texts,
        virtual_account=more.virtual_account,
        is_reversal=reversal,
        reverses=_original(texts, said["customer_reference"], serial) if reversal else None,
        position=one.line,
        account_no=page.account,
        caution="" if reversal else perhaps_taken_back(signed_fen, texts),
    )


def _original(texts: tuple[str, ...], reference: str | None, serial: str) -> str | None:
    """What a reversal takes back, as the bank's words or its :61: reference name it."""
    if named := original(texts):
        return named
    reference = (reference or "").strip()
    return None if reference in _NO_SERIAL | {serial} else reference


def _day(said: dict[str, Any]) -> datetime:
    """The booking day, which is the entry date where :61: has one."""
    for name in ("entry_date", "date"):
        day = said.get(name)
        if isinstance(day, date):
            return datetime(day.year, day.month, day.day, tzinfo=SHANGHAI)
    raise TypeError(name)


class _Details:
    """:86:, structured (166?00…?20…) or free."""

    def __init__(self, details: str) -> None:
        joined = "".join(details.split("\n"))
        parts = _SUBFIELD.split(joined)
        structured = bool(_STRUCTURED.match(joined))
        codes = parts[1::2] if structured else []
        found: dict[str, str] = {}
        for code, value in zip(codes, parts[2::2], strict=False):
            found[code] = found.get(code, "") + value
        purpose = "".join(v for c, v in sorted(found.items()) if "20" <= c <= "29")
        self.text = purpose.strip() if structured else " ".join(details.split())
        self.name = (found.get("32", "") + found.get("33", "")).strip()
        self.account = found.get("31", "").strip()
        self.bank = found.get("30", "").strip()
        virtual = _VIRTUAL.fullmatch(found.get("60", "").strip())
        # Out of order means that a payer wrote a "?60" into his own remark.
        in_order = codes == sorted(set(codes))
        self.virtual_account = virtual[1] if virtual and in_order else None
