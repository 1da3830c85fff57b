"""A person's bill of WeChat or Alipay: refused, unless the receiving account is a person's.

A shop whose account is its owner's own wallet may read it; it was paid there, so it never pays a
transfer.  Money between the owner's own pockets (中性交易, 不计收支) is a row of 0 fen.
"""

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar

from payments.transfers.parsers import cells
from payments.transfers.parsers.refusals import BadCell, DamagedFile, UnsupportedStatement
from payments.transfers.parsers.statement import (
    UNKNOWN,
    Declared,
    Known,
    Row,
    Stream,
    differs,
    yuan,
)
from payments.transfers.parsers.tables import csv_text

from . import bill
from .bill import Lines, Record

_COUNT = re.compile(r"共(\d{1,9})笔记录", re.ASCII)
_TOTAL = re.compile(
    r"(收入|支出|中性交易|不计收支):(\d{1,9})笔\s*([\d,]+(?:\.\d{1,2})?)元", re.ASCII
)
_ACCOUNT = re.compile(r"支付宝账户:\s*(\S{1,64})")
_SIDES = {"收入": 1, "支出": -1, "/": 0, "不计收支": 0, "中性交易": 0}
_VOID = ("关闭", "失败", "已退款", "已全额退款")


def recognises(head: bytes) -> bool:
    """By the names of either header line, which stands under some twenty lines."""
    return bill.recognises(head, (_WeChat, _Alipay))


def open(source: BinaryIO, known: Known = UNKNOWN) -> Stream:
    """Rows in the file's order; raises UnsupportedStatement unless `known.is_personal`.

    Raises CountsDiffer when the head counts other rows.
    """
    return bill.stream(source, (_WeChat, _Alipay), known)


class _Bill(bill.Bill):
    """How one of the two wallets names its columns, and what both share."""

    title: ClassVar[str]
    number: ClassVar[str]
    order: ClassVar[str]
    amount: ClassVar[str]
    category: ClassVar[str]
    goods: ClassVar[str]
    party: ClassVar[str] = ""
    state: ClassVar[str]
    adds_up: ClassVar[bool]  # the sums in its head are those of its rows

    def __init__(self, header: Sequence[str], lead: Sequence[str], known: Known) -> None:
        super().__init__(header, lead, known)
        if not known.is_personal:
            raise UnsupportedStatement(
                f"{self.title}，不是商户的对账单：收款账户登记为个人账户时才能导入", kind=self.form
            )
        self.neutral = [0, 0]  # rows, fen
        self.count: int | None = None
        self.said: dict[str, tuple[int, int]] = {}
        for line in lead:
            self._note(line)

    def _note(self, line: str) -> None:
        if found := _COUNT.fullmatch(line):
            self.count = int(found[1])
        elif found := _TOTAL.fullmatch(line):
            try:
                self.said[found[1]] = (int(found[2]), cells.fen(found[3]) or 0)
            except ValueError:
                raise BadCell(f"「{found[1]}」“{found[3][:40]}”不是金额", column=found[1]) from None
        elif found := _ACCOUNT.fullmatch(line):
            self.summary.accounts = (found[1],)

    def rows(self, lines: Lines) -> Iterator[Row]:
        table = csv_text.Lines(lambda: (f"{line}\n" for _, line in lines), len(self.lead) + 1)
        width = len(self.at)
        for number, values in table.rows():
            if not any(cell.strip() for cell in values):
                continue
            if len(values) < width or any(cell.strip() for cell in values[width:]):
                raise DamagedFile(f"第 {number} 行有 {len(values)} 列，应为 {width} 列", row=number)
            yield self._row(Record(number, values, self.at))
        if self.known.is_checked:
            self._confirm()

    def _row(self, record: Record) -> Row:
        def said(name: str) -> str:
            text = record.text(name)
            return "" if text == "/" else text

        side = _SIDES.get(record.text("收/支"))
        if side is None:
            raise record.wrong("收/支", "无法识别")
        fen = record.amount(self.amount)
        if fen < 0:
            raise record.wrong(self.amount, "不应为负")
        # A refund may be entered under the number of its payment: then its time tells it apart.
        number, category = said(self.number), record.text(self.category)
        serial = self.serial(record, number, record.text("交易时间"), category) if number else None
        return Row(
            serial=serial,
            booked_at=record.moment("交易时间"),
            amount_fen=side * fen,
            currency="CNY",
            balance_fen=None,
            payer_name=said("交易对方"),
            payer_account=said(self.party),
            payer_bank="",
            remark=said(self.goods) or said("备注"),
            texts=tuple(text for name in (self.order, self.goods, "备注") if (text := said(name))),
            virtual_account=None,
            is_reversal="退款" in category,
            reverses=None,
            position=record.number,
            account_no=next(iter(self.summary.accounts), ""),
            caution=self._caution(side, fen, said(self.state)),
        )

    def _caution(self, side: int, fen: int, state: str) -> str:
        if side == 0:
            self.neutral[0] += 1
            self.neutral[1] += fen
            return f"中性交易 {yuan(fen)} 元，不计收支"
        return f"状态为「{state}」" if any(word in state for word in _VOID) else ""

    def _confirm(self) -> None:
        if self.count is None:
            raise DamagedFile("文件没有声明共有几笔记录")
        declared = Declared(count=self.count)
        if self.adds_up:
            (credits, ins), (debits, outs) = (
                self.said.get(side, (None, None)) for side in ("收入", "支出")
            )
            declared = Declared(self.count, credits, ins, debits, outs)
        declared.confirm(self.tally.declared())
        neutral = self.said.get("中性交易", (0, 0))
        if self.adds_up and neutral != tuple(self.neutral):
            raise differs("中性交易笔数", neutral[0], self.neutral[0], figure="中性交易")
        self.summary.declared = declared


class _WeChat(_Bill):
    form = "wechat_personal"
    title = "微信个人账单"
    number = "交易单号"
    order = "商户单号"
    amount = "金额(元)"
    category = "交易类型"
    goods = "商品"
    state = "当前状态"
    needed = frozenset([number, amount, category, state, "交易时间", "交易对方", "收/支"])
    adds_up = True


class _Alipay(_Bill):
    form = "alipay_personal"
    title = "支付宝个人账单"
    number = "交易订单号"
    order = "商家订单号"
    amount = "金额"
    category = "交易分类"
    goods = "商品说明"
    party = "对方账号"
    state = "交易状态"
    needed = frozenset([number, amount, category, state, "交易时间", "交易对方", "收/支"])
    adds_up = False  # "明细金额直接累加后，可能会和下方统计金额不一致", says the bill
