"""ISO 20022 camt.053.001.02 to .08 (booked statement), read entry by entry.

The sign is CdtDbtInd of the Ntry alone; RvslInd says what it is and never turns it.  A batch whose
details add up to it is one row per detail; any other batch is one row for a person to look at.
Virtual account: TxDtls/RltdPties/CdtrAcct; serial: AcctSvcrRef.
"""

import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import iterparse

from .cells import SHANGHAI, plausible
from .refusals import (
    BadCell,
    DamagedFile,
    EntitiesForbidden,
    ExpandsTooFar,
    NotBooked,
    UnknownFormat,
    UnsupportedStatement,
)
from .statement import Declared, Row, Statement, assemble, total, yuan
from .tables import original

MAX_DEPTH = 40
MAX_PENDING = 500_000  # elements of one entry; a batch detail has about 50

_MESSAGE = re.compile(r"camt\.(05[234])\.001\.(\d{2})")
_AMOUNT = re.compile(r"(\d{1,15})(?:\.(\d{1,2})0*)?", re.ASCII)
_DECLARED = re.compile(rb"""^\s*<\?xml[^>]*encoding=["'](gb[\w-]*)["'][^>]*\?>""", re.IGNORECASE)
_BOOLEAN = {"true": True, "1": True, "false": False, "0": False}
_TAKEN = frozenset({"Ntry", "Bal", "Stmt"})
_NOT_BOOKED = {
    "052": "camt.052 是日内报告，不是已入账对账单，请导出 camt.053",
    "054": "camt.054 是入账通知，同一笔钱还会出现在 camt.053 里，请导出 camt.053",
}


@dataclass(slots=True)
class _Account:
    """One Stmt."""

    before: int = 0  # entries of the Stmts above
    entries: int = 0
    account: str = ""
    currency: str = ""
    opening_fen: int | None = None
    closing_fen: int | None = None
    declared: Declared = field(default_factory=Declared)
    rows: list[Row] = field(default_factory=list)
    booked: list[int] = field(default_factory=list)  # entries, signed
    others: list[int] = field(default_factory=list)  # entries that are not booked


def recognises(head: bytes) -> bool:
    text = head
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = head.decode("utf-16", errors="ignore").encode()
    return text.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"<?xml", b"<Document", b"<!D"))


def read(content: bytes, ours: Collection[str] = ()) -> Statement:
    """Every Stmt; raises NotBooked for camt.052 and .054, and any other Unreadable."""
    try:
        accounts = list(_accounts(_events(_as_utf8(content))))
    except DefusedXmlException as error:
        raise EntitiesForbidden from error
    except (ParseError, UnicodeError, ValueError, LookupError) as error:
        raise DamagedFile(f"XML 不完整或已损坏：{error}") from error
    if not accounts:
        raise DamagedFile("camt.053 里没有对账单（Stmt）")
    rows = [row for one in accounts for row in _checked(one)]
    others = sum(len(one.others) for one in accounts)
    if others and not rows:
        raise NotBooked(f"文件里的 {others} 笔都还没有入账（状态不是 BOOK）")
    ends = (accounts[0].opening_fen, accounts[-1].closing_fen)
    return assemble(
        form="camt053",
        accounts=[one.account for one in accounts],
        rows=rows,
        balances=ends if _follow(accounts) else (None, None),
        declared=accounts[0].declared if len(accounts) == 1 else Declared(),
        not_booked=others,
    )


def _follow(accounts: list[_Account]) -> bool:
    return all(a.closing_fen == b.opening_fen for a, b in pairwise(accounts))


def _as_utf8(content: bytes) -> bytes:
    """Expat knows no GB18030, which Chinese banks declare."""
    declared = _DECLARED.match(content[:200])
    if not declared:
        return content
    return content[declared.end() :].decode("gb18030").encode()


def _events(content: bytes) -> Iterator[tuple[str, str, Element]]:
    """Start and end of every element, by local name, within depth and number."""
    depth = pending = 0
    for event, element in iterparse(io.BytesIO(content), events=("start", "end"), forbid_dtd=True):
        name = element.tag.rpartition("}")[2]
        if event == "start":
            depth += 1
            pending += 1
            if depth == 1:
                _known(element.tag)
            if depth > MAX_DEPTH or pending > MAX_PENDING:
                raise ExpandsTooFar("XML 嵌套过深或单笔内容过多")
        if event == "end":
            element.tag = name  # so that paths below need no namespace
            depth -= 1
            if name in _TAKEN:
                pending = 0
        yield event, name, element


def _known(tag: str) -> None:
    found = _MESSAGE.search(tag)
    if not found:
        raise UnknownFormat(f"不认识的文件格式：XML 的根元素 {tag[:80]} 不是 camt.053 对账单")
    message, version = found.groups()
    if message != "053":
        raise NotBooked(_NOT_BOOKED[message])
    if not "02" <= version <= "08":
        raise UnsupportedStatement(f"camt.053 第 {version} 版，暂不支持（支持 02–08）")


def _accounts(events: Iterator[tuple[str, str, Element]]) -> Iterator[_Account]:
    """One pass; each part is read and taken away, so memory does not grow with the file."""
    current: _Account | None = None
    path: list[str] = []
    before = 0
    for event, name, element in events:
        if event == "start":
            path.append(name)
            if name == "Stmt":
                current = _Account(before=before)
            continue
        path.pop()
        if current is not None and path[-1:] == ["Stmt"]:
            _part(current, name, element)
            element.clear()
        elif current is not None and name == "Stmt":
            yield current
            before, current = before + current.entries, None
            element.clear()


def _part(current: _Account, name: str, element: Element) -> None:
    if name == "Ntry":
        current.entries += 1
        _entry(current, element)
    elif name == "Acct":
        current.account = _text(element, "Id/IBAN") or _text(element, "Id/Othr/Id")
        current.currency = _text(element, "Ccy")
    elif name == "Bal":
        kind = _text(element, "Tp/CdOrPrtry/Cd")
        if kind in {"OPBD", "CLBD"}:
            _balance(current, kind, element)
    elif name == "TxsSummry":
        current.declared = _declared(element)


def _balance(current: _Account, kind: str, element: Element) -> None:
    fen, currency = _amount(element, kind)
    current.currency = current.currency or currency
    signed = fen * _sign(element, kind)
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
        text = _text(element, path)
        return int(text) if text else None

    def fen(path: str) -> int | None:
        text = _text(element, path)
        return _fen(text, path) if text else None

    return Declared(
        count=number("TtlNtries/NbOfNtries"),
        credits=number("TtlCdtNtries/NbOfNtries"),
        credit_fen=fen("TtlCdtNtries/Sum"),
        debits=number("TtlDbtNtries/NbOfNtries"),
        debit_fen=fen("TtlDbtNtries/Sum"),
    )


def _checked(one: _Account) -> list[Row]:
    if not one.account:
        raise DamagedFile("对账单没有账号（Acct/Id）")
    one.declared.check([*one.booked, *one.others])
    if one.opening_fen is None or one.closing_fen is None:
        raise DamagedFile(f"账户 {one.account} 的对账单没有期初（OPBD）或期末（CLBD）余额")
    total(
        opening=one.opening_fen,
        amounts=one.booked,
        closing=one.closing_fen,
        where=f"账户 {one.account}",
    )
    return one.rows


def _entry(current: _Account, element: Element) -> None:
    ordinal = current.before + current.entries
    where = f"第 {ordinal} 笔（Ntry）"
    fen, currency = _amount(element, where)
    signed = fen * _sign(element, where)
    status = _text(element, "Sts/Cd") or _text(element, "Sts")
    if status not in {"BOOK", "PDNG", "INFO", "FUTR"}:
        raise BadCell(f"{where}的状态“{status[:20]}”无法识别", row=ordinal, column="Sts")
    current.currency = current.currency or currency
    if currency != current.currency:
        raise BadCell(f"{where}的币种 {currency} 与账户币种不同", row=ordinal, column="Amt")
    if status != "BOOK":
        current.others.append(signed)
        return
    current.booked.append(signed)
    entry = _Entry(element, account=current.account, currency=currency, fen=signed, ordinal=ordinal)
    current.rows.extend(entry.rows(element.findall("NtryDtls/TxDtls")))


class _Entry:
    """One booked Ntry and the rows it becomes."""

    def __init__(
        self, element: Element, *, account: str, currency: str, fen: int, ordinal: int
    ) -> None:
        where = f"第 {ordinal} 笔（Ntry）"
        self.element = element
        self.account = account
        self.currency = currency
        self.fen = fen
        self.ordinal = ordinal
        self.reference = _text(element, "AcctSvcrRef") or None
        said = _text(element, "RvslInd") or "false"
        if said not in _BOOLEAN:
            raise BadCell(f"{where}的 RvslInd“{said[:20]}”无法识别", row=ordinal, column="RvslInd")
        self.is_reversal = _BOOLEAN[said]
        self.booked_at = _moment(element, where)

    def rows(self, details: list[Element]) -> list[Row]:
        if len(details) < 2:
            return [self._single(details)]
        amounts = [_detail_amount(one) for one in details]
        same = [fen for fen, currency in amounts if fen and currency == self.currency]
        if len(same) != len(details) or sum(same) != abs(self.fen):
            return [self._row(None, self.fen, self.reference, "批量明细与入账金额不符，请人工核对")]
        sign = -1 if self.fen < 0 else 1
        references = self._references(details)
        return [
            self._row(one, sign * fen, reference, "")
            for one, fen, reference in zip(details, same, references, strict=True)
        ]

    def _single(self, details: list[Element]) -> Row:
        count = _text(self.element, "NtryDtls/Btch/NbOfTxs")
        if not details:
            batch = bool(count) and count != "1"
            caution = f"批量入账共 {count} 笔，文件没有明细，请人工核对" if batch else ""
            return self._row(None, self.fen, self.reference, caution)
        fen, currency = _detail_amount(details[0])
        differs = fen is not None and currency == self.currency and fen != abs(self.fen)
        caution = f"明细金额 {yuan(fen or 0)} 与入账金额不符，已按入账金额" if differs else ""
        own = _text(details[0], "Refs/AcctSvcrRef") or self.reference
        return self._row(details[0], self.fen, own, caution)

    def _references(self, details: list[Element]) -> list[str | None]:
        own = [_text(one, "Refs/AcctSvcrRef") for one in details]
        if all(own) and len(set(own)) == len(own):
            return list(own)
        # Some banks repeat the batch's reference on every detail, or give none.
        base = self.reference
        return [f"{base}#{i}" if base else None for i in range(1, len(details) + 1)]

    def _row(self, detail: Element | None, fen: int, serial: str | None, caution: str) -> Row:
        element = self.element if detail is None else detail
        other, own = self._sides(element)
        remark = "".join(_texts(element, "RmtInf/Ustrd"))
        texts = (
            *_texts(element, "RmtInf/Ustrd"),
            *_texts(element, "RmtInf/Strd/CdtrRefInf/Ref"),
            *_texts(element, "Refs/EndToEndId"),
            *_texts(element, "AddtlTxInf"),
            *_texts(self.element, "AddtlNtryInf"),
        )
        texts = tuple(text for text in texts if text != "NOTPROVIDED")
        virtual = _account(element, f"RltdPties/{own}Acct")
        return Row(
            serial=serial,
            booked_at=self.booked_at,
            amount_fen=fen,
            currency=self.currency,
            balance_fen=None,
            payer_name=_party(element, other),
            payer_account=_account(element, f"RltdPties/{other}Acct"),
            payer_bank=_agent(element, f"RltdAgts/{other}Agt/FinInstnId"),
            remark=remark or next(iter(texts), ""),
            texts=texts,
            virtual_account=virtual if virtual not in {"", self.account} else None,
            is_reversal=self.is_reversal,
            reverses=original(texts) if self.is_reversal else None,
            position=self.ordinal,
            account_no=self.account,
            caution=caution,
        )

    def _sides(self, element: Element) -> tuple[str, str]:
        """(the other side, ours); a reversal keeps the parties of what it takes back."""
        sides = ("Dbtr", "Cdtr") if (self.fen > 0) != self.is_reversal else ("Cdtr", "Dbtr")
        # Not every bank does: our own account on the other side says so.
        if _account(element, f"RltdPties/{sides[0]}Acct") == self.account:
            return sides[1], sides[0]
        return sides


def _party(element: Element, side: str) -> str:
    return _text(element, f"RltdPties/{side}/Nm") or _text(element, f"RltdPties/{side}/Pty/Nm")


def _texts(element: Element, path: str) -> list[str]:
    return [text for one in element.findall(path) if (text := (one.text or "").strip())]


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _account(element: Element, path: str) -> str:
    return _text(element, f"{path}/Id/IBAN") or _text(element, f"{path}/Id/Othr/Id")


def _agent(element: Element, path: str) -> str:
    names = (_text(element, f"{path}/{name}") for name in ("Nm", "BICFI", "BIC"))
    return next((name for name in names if name), "")


def _fen(text: str, where: str) -> int:
    found = _AMOUNT.fullmatch(text)
    if not found:
        raise BadCell(f"{where}的金额“{text[:40]}”无法识别", column="Amt")
    return int(found[1] + ((found[2] or "") + "00")[:2])


def _amount(element: Element, where: str) -> tuple[int, str]:
    found = element.findall("Amt")
    if len(found) != 1:
        raise BadCell(f"{where}应有且只有一个金额（Amt）", column="Amt")
    currency = found[0].get("Ccy", "")
    if len(currency) != 3:
        raise BadCell(f"{where}的金额没有币种（Ccy）", column="Amt")
    return _fen((found[0].text or "").strip(), where), currency


def _detail_amount(element: Element) -> tuple[int | None, str]:
    """A detail's amount where its version keeps it; None when it is not one we can read."""
    for path in ("Amt", "AmtDtls/TxAmt/Amt"):
        for one in element.findall(path):
            found = _AMOUNT.fullmatch((one.text or "").strip())
            if found:
                return int(found[1] + ((found[2] or "") + "00")[:2]), one.get("Ccy", "")
    return None, ""


def _sign(element: Element, where: str) -> int:
    said = _text(element, "CdtDbtInd")
    if said not in {"CRDT", "DBIT"}:
        raise BadCell(f"{where}的借贷方向“{said[:20]}”无法识别", column="CdtDbtInd")
    return 1 if said == "CRDT" else -1


def _moment(element: Element, where: str) -> datetime:
    text = _text(element, "BookgDt/DtTm") or _text(element, "BookgDt/Dt")
    try:
        found = datetime.fromisoformat(text)
        return plausible(found if found.tzinfo else found.replace(tzinfo=SHANGHAI))
    except ValueError:
        raise BadCell(f"{where}的入账日期“{text[:40]}”无法识别", column="BookgDt") from None
