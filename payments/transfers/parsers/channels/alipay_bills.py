"""Alipay's bills for merchants: 账务明细 (signcustomer) and 业务明细 (trade).

What they list was paid at Alipay: such a file explains money, it never pays a transfer.  Lines
that begin with `#` stand around the table; text cells end in a tab, which tells where a product's
name ends that holds commas.
"""

import csv
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import BinaryIO, ClassVar

from payments.transfers.parsers import cells, text
from payments.transfers.parsers.refusals import BadCell, DamagedFile
from payments.transfers.parsers.statement import (
    UNKNOWN,
    Declared,
    Known,
    Row,
    Stream,
    differs,
    yuan,
)
from payments.transfers.parsers.sums import Chain

from . import bill
from .bill import BillRow, Lines, Record

MAX_JOINED = 20  # lines of one record

_ACCOUNT = re.compile(r"#+\s*账号:\[?([0-9A-Za-z@._-]{4,64})\]?\s*", re.ASCII)
_PERIOD = re.compile(
    r"#+\s*起始日期:\[?(\d{4})年(\d\d)月(\d\d)日 \d\d:\d\d:\d\d\]?"
    r"\s*终止日期:\[?(\d{4})年(\d\d)月(\d\d)日 (\d\d:\d\d:\d\d)\]?\s*",
    re.ASCII,
)
_TOTAL = re.compile(r"#+\s*(支出|收入|交易|退款)合计:(\d{1,10})笔(.*)", re.ASCII)
_SUM = re.compile(r"([^\d,:]*?)共([+-]?\d[\d,]*(?:\.\d{1,2}0*)?)元", re.ASCII)
_PERSON = re.compile(r"(.*?)\s*[(（]([^()（）]*)[)）]")
# A name or a remark: the only cells that may hold commas.
_FREE = frozenset(
    ["商品名称", "门店名称", "操作员", "对方账号", "对方账户", "券名称", "备注", "业务描述"]
)


def recognises(head: bytes) -> bool:
    """By the names of either bill's header line."""
    return bill.recognises(head, (_Account, _Trade))


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Rows in the file's order; raises Unreadable, at the footer CountsDiffer and DamagedFile.

    账务明细 has the balance after every row.  业务明细: a row is worth 商家实收, which the
    file adds up, negative for a refund.  `account_no` as the head says it; the first of `texts`
    is 商户订单号.  The rows of both are `BillRow`s.
    """
    return bill.stream(source, (_Account, _Trade), known)


class _Bill(bill.Bill):
    """What both bills share: rows up to the line that ends the list, then the totals."""

    totalled: ClassVar[frozenset[str]]  # what the lines below the list add up

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        said = [found[1] for line in lead if (found := _ACCOUNT.fullmatch(line))]
        self.account = said[-1] if said else ""
        self.summary.accounts = tuple(said[-1:])
        self.summary.period = _period(lead)

    def rows(self, lines: Lines) -> Iterator[Row]:
        for number, line in lines:
            if not line.strip(" \t,"):
                continue
            if line.startswith("#"):
                if "结束" not in line:
                    continue
                self._finish(lines)
                return
            values = _cells(number, line, lines, tuple(self.at))
            yield self.row(Record(number, values, self.at))
        raise DamagedFile("文件没有明细列表结束的一行，可能被截断")

    def _finish(self, lines: Lines) -> None:
        said: dict[str, tuple[int, dict[str, int]]] = {}
        for number, line in lines:
            if line.strip(" \t,") and not line.startswith("#"):
                raise DamagedFile(f"第 {number} 行：明细列表结束之后还有内容", row=number)
            found = _TOTAL.match(unicodedata.normalize("NFKC", line))
            if found and found[1] in self.totalled:
                figures = {title: _fen(sum, number) for title, sum in _SUM.findall(found[3])}
                if not figures:
                    raise BadCell(f"第 {number} 行「{found[1]}合计」无法识别", row=number)
                if said.setdefault(found[1], (int(found[2]), figures)) != (int(found[2]), figures):
                    raise DamagedFile(f"文件先后声明了不同的「{found[1]}合计」")
        missing = self.totalled - said.keys()
        if missing:
            raise DamagedFile(f"文件没有「{min(missing)}合计」一行，可能被截断")
        self.confirm(said)

    def row(self, record: Record) -> Row:
        raise NotImplementedError

    def confirm(self, said: Mapping[str, tuple[int, Mapping[str, int]]]) -> None:
        """Raise CountsDiffer at the first total that the rows do not confirm."""
        raise NotImplementedError


class _Account(_Bill):
    form = "alipay_account"
    needed = frozenset(
        ["账务流水号", "业务流水号", "发生时间", "收入金额(+元)", "支出金额(-元)", "账户余额(元)"]
    )
    totalled = frozenset({"收入", "支出"})

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        self._chain = Chain()

    def row(self, record: Record) -> Row:
        into, out = record.fen("收入金额(+元)"), abs(record.fen("支出金额(-元)"))
        if into < 0 or (into and out):
            raise record.wrong("收入金额(+元)", "为负，或与支出同时出现")
        balance = record.amount("账户余额(元)")
        self._chain.add(record.number, into - out, balance)
        name, account = _person(record.text("对方账号"))
        kind = record.text("业务类型")
        return BillRow(
            serial=self.serial(record, record.said("账务流水号")),
            booked_at=record.moment("发生时间"),
            amount_fen=into - out,
            currency="CNY",
            balance_fen=balance,
            payer_name=name,
            payer_account=account,
            payer_bank=record.text("交易渠道"),
            remark=record.text("备注") or record.text("商品名称") or kind,
            texts=record.texts(
                "商户订单号", "业务流水号", "商品名称", "备注", "业务描述", "业务订单号"
            ),
            virtual_account=None,
            is_reversal="退款" in kind,
            reverses=None,
            position=record.number,
            account_no=self.account,
            own_number=record.text("商户订单号"),
            kind=kind,
        )

    def confirm(self, said: Mapping[str, tuple[int, Mapping[str, int]]]) -> None:
        (credits, ins), (debits, outs) = said["收入"], said["支出"]
        self.summary.declared = Declared(
            credits=credits,
            credit_fen=sum(ins.values()),
            debits=debits,
            debit_fen=abs(sum(outs.values())),
        )
        self.summary.declared.confirm(self.tally.declared())
        self.summary.opening_fen, self.summary.closing_fen = self._chain.ends(None, None)


class _Trade(_Bill):
    form = "alipay_trade"
    needed = frozenset(
        ["支付宝交易号", "商户订单号", "业务类型", "创建时间", "订单金额(元)", "商家实收(元)"]
    )
    totalled = frozenset({"交易", "退款"})

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        # 交易 or 退款 → rows, 商家实收, 商家优惠; in fen
        self._sums = {kind: [0, 0, 0] for kind in self.totalled}

    def row(self, record: Record) -> Row:
        kind = record.text("业务类型")[:2]
        if kind not in self._sums:
            raise record.wrong("业务类型", "无法识别")
        ordered, fen = record.fen("订单金额(元)"), record.amount("商家实收(元)")
        sign = 1 if kind == "交易" else -1
        if fen * sign < 0:
            raise record.wrong("商家实收(元)", f"与业务类型「{kind}」不符")
        sums = self._sums[kind]
        sums[0], sums[1] = sums[0] + 1, sums[1] + fen
        sums[2] += record.fen("商家优惠(元)")
        trade = record.said("支付宝交易号")
        request = record.text("退款批次号/请求号")
        name, account = _person(record.text("对方账户"))
        return BillRow(
            serial=self.serial(record, trade if sign > 0 else f"{trade}#{request}"),
            booked_at=record.moment("完成时间", "创建时间"),
            amount_fen=fen,
            currency="CNY",
            balance_fen=None,
            payer_name=name,
            payer_account=account,
            payer_bank="",
            remark=record.text("备注") or record.text("商品名称"),
            texts=record.texts("商户订单号", "退款批次号/请求号", "商品名称", "备注"),
            virtual_account=None,
            is_reversal=sign < 0,
            reverses=trade if sign < 0 else None,
            position=record.number,
            account_no=self.account,
            caution="" if ordered == fen else f"订单金额 {yuan(ordered)} 元，与商家实收不同",
            own_number=record.text("商户订单号") if sign > 0 else request,
            fee_fen=-record.fen("服务费(元)"),  # printed as what it takes from us
        )

    def confirm(self, said: Mapping[str, tuple[int, Mapping[str, int]]]) -> None:
        for kind, (count, figures) in said.items():
            rows, received, discount = self._sums[kind]
            if count != rows:
                raise differs(f"{kind}合计笔数", count, rows, figure=f"{kind}合计")
            for title, figure in figures.items():
                found = discount if "优惠" in title else received
                # A refund's totals are printed with and without their minus.
                if abs(figure) != abs(found):
                    raise differs(
                        f"{kind}合计「{title}」",
                        f"{yuan(figure)} 元",
                        f"{yuan(found)} 元",
                        figure=f"{kind}合计",
                    )
        self.summary.declared = Declared(count=sum(count for count, _ in said.values()))


def _cells(number: int, line: str, lines: Lines, header: Sequence[str]) -> list[str]:
    """One record, which goes on in the next lines when a name holds line breaks."""
    found = _split(line, len(header))
    joined = 1
    while len(found) < len(header):
        _, more = next(lines, (0, "#"))
        joined += 1
        if more.startswith("#") or len(line) > text.MAX_LINE or joined > MAX_JOINED:
            raise DamagedFile(
                f"第 {number} 行只有 {len(found)} 列，应为 {len(header)} 列：文件可能被截断",
                row=number,
            )
        line = f"{line}\n{more}"
        found = _split(line, len(header))
    while True:
        whole = _rejoined(found, header)
        if whole:
            return whole
        if found[-1].strip():
            raise DamagedFile(
                f"第 {number} 行有 {len(found)} 列，应为 {len(header)} 列", row=number
            )
        found.pop()  # a comma at the end of every line


def _split(line: str, width: int) -> list[str]:
    if '"' in line:
        try:
            quoted = next(csv.reader([line.replace('"\t', '"')], strict=True), [])
        except csv.Error:
            quoted = []
        if len(quoted) == width:
            return quoted
    return line.split(",")


def _rejoined(parts: Sequence[str], header: Sequence[str]) -> list[str] | None:
    """Cells again, where names hold commas: a free text goes on until its tab."""
    surplus = len(parts) - len(header)
    rest = iter(parts)
    found: list[str] = []
    for name in header:
        cell = next(rest)
        while name in _FREE and surplus and not cell.endswith("\t"):
            cell = f"{cell},{next(rest)}"
            surplus -= 1
        found.append(cell)
    return None if surplus else found


def _period(lead: Sequence[str]) -> tuple[date, date] | None:
    """The days that the head says; a second before midnight is the end of its day."""
    found = next((found for line in lead if (found := _PERIOD.fullmatch(line))), None)
    if found is None:
        return None
    try:
        first, last = (date(*map(int, found.group(*at))) for at in ((1, 2, 3), (4, 5, 6)))
    except ValueError:
        raise DamagedFile("文件开头的起始日期、终止日期不是日期") from None
    return first, last if found[7] == "00:00:00" else last + timedelta(days=1)


def _person(text: str) -> tuple[str, str]:
    """(name, account) of `某某 (someone@example.com)`, or the account alone."""
    found = _PERSON.fullmatch(text)
    return (found[1], found[2]) if found else ("", text)


def _fen(text: str, number: int) -> int:
    try:
        return cells.fen(text.removeprefix("+")) or 0
    except ValueError:
        raise BadCell(f"第 {number} 行的合计“{text[:40]}”不是金额", row=number) from None
