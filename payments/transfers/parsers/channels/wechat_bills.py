"""WeChat Pay's bills for merchants: 交易账单 (ALL, SUCCESS, REFUND) and 资金账单.

What they list was paid at WeChat Pay: such a file explains money, it never pays a transfer.
Every cell begins with a back-tick, and a product's name may hold commas, back-ticks and line
breaks: a record begins with back-tick and date, and is split on comma and back-tick together.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO, ClassVar

from payments.transfers.parsers import cells, text
from payments.transfers.parsers.refusals import BadCell, DamagedFile
from payments.transfers.parsers.statement import UNKNOWN, Declared, Known, Row, Stream, differs
from payments.transfers.parsers.sums import Chain

from . import bill
from .bill import BillRow, Lines, Record

_RECORD = re.compile(r"`\d{4}-\d{2}-\d{2}[ `]", re.ASCII)
_FINE = re.compile(r"(-?)(\d{1,13})(?:\.(\d{1,5})0*)?", re.ASCII)
_COUNT = re.compile(r"(\d{1,10})(?:\.0+)?", re.ASCII)
_STATES = {"SUCCESS": 1, "REFUND": -1, "REVOKED": -1}
# footer: the column it adds up
_SUMS = {
    "应结订单总金额": "应结订单金额",
    "退款总金额": "退款金额",
    "充值券退款总金额": "充值券退款金额",
    "手续费总金额": "手续费",
    "订单总金额": "订单金额",
    "申请退款总金额": "申请退款金额",
}


def recognises(head: bytes) -> bool:
    """By the names of either bill's header line."""
    return bill.recognises(head, (_Trade, _Fund))


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Rows in the file's order; raises Unreadable, at the footer CountsDiffer and DamagedFile.

    Trade bill: `account_no` is 商户号; an order is worth 订单金额, a refund takes back 退款金额;
    the first of `texts` is 商户订单号.  Fund flow: the file does not name its account.  The rows
    of both are `BillRow`s.
    """
    return bill.stream(source, (_Trade, _Fund), known)


class _Bill(bill.Bill):
    """What both bills share: records up to a footer of two lines, and nothing after it."""

    end: ClassVar[str]  # first name of the footer

    def rows(self, lines: Lines) -> Iterator[Row]:
        for number, record in _records(lines, self.end):
            if _ends(record, self.end):
                said = _footer(bill.names(record), lines)
                self.confirm(said)
                self.summary.declared = self.declared(said)
                return
            if not record.startswith("`"):
                raise DamagedFile(
                    f"第 {number} 行不以反引号开头：请上传原始文件，不要用表格软件另存", row=number
                )
            yield self.row(Record(number, self._cells(number, record), self.at))
        raise DamagedFile(f"文件没有「{self.end}」合计行，可能被截断")

    def _cells(self, number: int, record: str) -> list[str]:
        found = record[1:].split(",`")
        if len(found) != len(self.at):
            raise DamagedFile(
                f"第 {number} 行有 {len(found)} 列，应为 {len(self.at)} 列：文件被截断或改动过",
                row=number,
            )
        return found

    def row(self, record: Record) -> Row:
        raise NotImplementedError

    def confirm(self, said: Mapping[str, str]) -> None:
        """Raise CountsDiffer at the first figure of the footer that the rows do not confirm."""
        raise NotImplementedError

    def declared(self, said: Mapping[str, str]) -> Declared:
        raise NotImplementedError


class _Trade(_Bill):
    form = "wechat_tradebill"
    needed = frozenset(["交易时间", "商户号", "微信订单号", "商户订单号", "交易状态", "货币种类"])
    end = "总交易单数"

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        self._sums = {column: 0 for column in _SUMS.values() if column in self.at}

    def row(self, record: Record) -> Row:
        found = {column: _fine(record, column) for column in self._sums}
        for column, figure in found.items():
            self._sums[column] += figure
        state = record.text("交易状态")
        sign = _STATES.get(state)
        if sign is None:
            raise record.wrong("交易状态", "无法识别")
        self._own(record)
        out = sign < 0
        fen = -record.amount("退款金额") if out else record.amount("订单金额")
        if fen * sign < 0:
            raise record.wrong("退款金额" if out else "订单金额", "不应为负")
        number = "微信退款单号" if out else "微信订单号"
        named = ("商户订单号", *(("商户退款单号",) if out else ()), "商品名称", "商户数据包")
        ended = record.text("退款状态")
        return BillRow(
            serial=self.serial(record, record.said(number), record.text("商户订单号")),
            booked_at=record.moment("退款成功时间", "退款申请时间", "交易时间"),
            amount_fen=fen,
            currency=record.text("货币种类"),
            balance_fen=None,
            payer_name="",
            payer_account=record.text("用户标识"),
            payer_bank=record.text("付款银行"),
            remark=record.text("商品名称"),
            texts=record.texts(*named),
            virtual_account=None,
            is_reversal=out,
            reverses=record.text("微信订单号") if out else None,
            position=record.number,
            account_no=record.text("商户号"),
            caution=f"退款状态为 {ended}" if out and ended != "SUCCESS" else "",
            own_number=record.text("商户退款单号" if out else "商户订单号"),
            state=ended if out else "",
            fee_fen=_in_fen(found.get("手续费", 0)),
        )

    def _own(self, record: Record) -> None:
        own = record.text("商户号")
        if not own:
            raise record.wrong("商户号", "为空")
        if self.summary.accounts not in {(), (own,)}:
            raise record.wrong("商户号", f"与第一行的 {self.summary.accounts[0]} 不同")
        self.summary.accounts = (own,)

    def confirm(self, said: Mapping[str, str]) -> None:
        count = _count(said, self.end)
        if count != self.tally.count:
            raise differs(self.end, count, self.tally.count, figure=self.end)
        for title, column in _SUMS.items():
            if title not in said:
                continue
            found = self._sums.get(column, 0)
            if _fine_of(said[title], title) != found:
                raise differs(title, f"{said[title]} 元", f"{_shown(found)} 元", figure=title)

    def declared(self, said: Mapping[str, str]) -> Declared:
        return Declared(count=_count(said, self.end))


class _Fund(_Bill):
    form = "wechat_fundflow"
    needed = frozenset(
        [
            "记账时间",
            "微信支付业务单号",
            "资金流水单号",
            "业务类型",
            "收支类型",
            "收支金额(元)",
            "账户结余(元)",
        ]
    )
    end = "资金流水总笔数"

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        self._chain = Chain()

    def row(self, record: Record) -> Row:
        side = record.text("收支类型")
        if side not in {"收入", "支出"}:
            raise record.wrong("收支类型", "无法识别")
        fen = record.amount("收支金额(元)")
        if fen < 0:
            raise record.wrong("收支金额(元)", "不应为负")
        fen = fen if side == "收入" else -fen
        balance = record.amount("账户结余(元)")
        self._chain.add(record.number, fen, balance)
        kind = record.text("业务类型")
        named = ("业务凭证号", "微信支付业务单号", "业务名称", "业务类型", "备注")
        return BillRow(
            serial=self.serial(
                record, record.said("资金流水单号"), record.text("微信支付业务单号"), kind
            ),
            booked_at=record.moment("记账时间"),
            amount_fen=fen,
            currency="CNY",
            balance_fen=balance,
            payer_name="",
            payer_account="",
            payer_bank="",
            remark=record.text("备注") or kind,
            texts=record.texts(*named),
            virtual_account=None,
            is_reversal=kind == "退款",
            reverses=None,
            position=record.number,
            own_number=record.text("业务凭证号"),
            kind=kind,
        )

    def confirm(self, said: Mapping[str, str]) -> None:
        self.declared(said).confirm(self.tally.declared())
        self.summary.opening_fen, self.summary.closing_fen = self._chain.ends(None, None)

    def declared(self, said: Mapping[str, str]) -> Declared:
        return Declared(
            count=_count(said, self.end),
            credits=_count(said, "收入笔数"),
            credit_fen=_fen_of(said, "收入金额"),
            debits=_count(said, "支出笔数"),
            debit_fen=_fen_of(said, "支出金额"),
        )


def _records(lines: Lines, end: str) -> Lines:
    """Lines of the file → records, up to and with the first line of the footer."""
    start, parts, length = 0, list[str](), 0
    for number, line in lines:
        ends = _ends(line, end)
        if parts and not ends and not _RECORD.match(line):
            parts.append(line)
            length += len(line) + 1
            if length > text.MAX_LINE:
                raise DamagedFile(f"第 {start} 行长达 {length} 个字符，不是明细", row=start)
            continue
        if parts:
            yield start, "\n".join(parts)
        start, parts, length = number, [line], len(line)
        if ends:
            break
    if parts:
        yield start, "\n".join(parts)


def _ends(line: str, end: str) -> bool:
    return line.lstrip("`").startswith(end)


def _footer(names: Sequence[str], lines: Lines) -> dict[str, str]:
    """The figures of the footer by name; raises DamagedFile when it is cut or not the end."""
    filled = [(number, line) for number, line in lines if line.strip()]
    if len(filled) != 1:
        raise DamagedFile("合计行之后应当正好有一行合计数，文件被截断或拼接过")
    number, line = filled[0]
    figures = [cells.clean(cell) for cell in line.split(",")]
    if len(figures) != len(names):
        raise DamagedFile(f"第 {number} 行的合计数与名称的个数不同", row=number)
    return dict(zip(names, figures, strict=True))


def _count(said: Mapping[str, str], title: str) -> int:
    found = _COUNT.fullmatch(said.get(title, ""))
    if not found:
        raise BadCell(f"合计「{title}」“{said.get(title, '')[:40]}”不是笔数", column=title)
    return int(found[1])


def _fine(record: Record, column: str) -> int:
    """In 1/100,000 of a yuan: fees have five decimals; an empty cell adds nothing."""
    text = record.text(column)
    if not text:
        return 0
    if not _FINE.fullmatch(text):
        raise record.wrong(column, "不是金额")
    return _fine_of(text, column)


def _fine_of(text: str, title: str) -> int:
    found = _FINE.fullmatch(text)
    if not found:
        raise BadCell(f"合计「{title}」“{text[:40]}”不是金额", column=title)
    sign, whole, part = found.groups()
    figure = int(whole + ((part or "") + "00000")[:5])
    return -figure if sign else figure


def _fen_of(said: Mapping[str, str], title: str) -> int:
    fen, part = divmod(_fine_of(said.get(title, ""), title), 1000)
    if part:
        raise BadCell(f"合计「{title}」“{said[title][:40]}”不是整数分", column=title)
    return fen


def _in_fen(fine: int) -> int:
    """Half a fen away from zero: what moves in the account is whole fen."""
    sign = -1 if fine < 0 else 1
    return sign * ((abs(fine) + 500) // 1000)


def _shown(fine: int) -> str:
    sign, whole = ("-", -fine) if fine < 0 else ("", fine)
    text = f"{sign}{whole // 100_000}.{whole % 100_000:05d}"
    return text.removesuffix("000")
