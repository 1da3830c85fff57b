"""A person's bill of WeChat or Alipay: refused, unless the receiving account is a person's.

A shop whose account is its owner's own wallet may read it; it was paid there, so it never pays a
transfer.  Money between the owner's own pockets (中性交易, 不计收支) is a row of 0 fen.
"""

import csv
import re
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from . import cells, lines
from .refusals import BadCell, DamagedFile, UnknownFormat, UnsupportedStatement
from .running import Serials, Totals, begun, differs, note_day
from .statement import Checks, Declared, Row, Source, Stream, Summary, yuan

_COUNT = re.compile(r"共(\d{1,9})笔记录", re.ASCII)
_TOTAL = re.compile(
    r"(收入|支出|中性交易|不计收支):(\d{1,9})笔\s*([\d,]+(?:\.\d{1,2})?)元", re.ASCII
)
_ACCOUNT = re.compile(r"支付宝账户:\s*(\S{1,64})")
_NEUTRAL = {"收入": 1, "支出": -1, "/": 0, "不计收支": 0, "中性交易": 0}
_VOID = ("关闭", "失败", "已退款", "已全额退款")


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one of the two wallets names its columns."""

    form: str
    title: str
    serial: str
    order: str
    amount: str
    category: str
    goods: str
    account: str
    state: str
    needed: frozenset[str]
    adds_up: bool  # the sums in its head are those of its rows


_KINDS = (
    _Kind(
        form="wechat_personal",
        title="微信个人账单",
        serial="交易单号",
        order="商户单号",
        amount="金额(元)",
        category="交易类型",
        goods="商品",
        account="",
        state="当前状态",
        needed=frozenset(
            ["交易时间", "交易类型", "交易对方", "收/支", "金额(元)", "当前状态", "交易单号"]
        ),
        adds_up=True,
    ),
    _Kind(
        form="alipay_personal",
        title="支付宝个人账单",
        serial="交易订单号",
        order="商家订单号",
        amount="金额",
        category="交易分类",
        goods="商品说明",
        account="对方账号",
        state="交易状态",
        needed=frozenset(
            ["交易时间", "交易分类", "交易对方", "收/支", "金额", "交易状态", "交易订单号"]
        ),
        adds_up=False,  # "明细金额直接累加后，可能会和下方统计金额不一致", says the bill
    ),
)


def recognises(head: bytes) -> bool:
    """By the names of either header line, which stands under some twenty lines."""
    return any(lines.is_headed(head, kind.needed) for kind in _KINDS)


def open(
    source: BinaryIO,
    ours: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
    checks: Checks = Checks.ALL,
    *,
    is_personal: bool = False,
) -> Stream:
    """Rows in the file's order; raises UnsupportedStatement unless the account `is_personal`.

    Raises CountsDiffer when the head counts other rows.  `checks.ROWS_ONLY`: counts and serials
    need not agree, for tests on samples that their authors cut.
    """
    is_checked = checks is Checks.ALL
    text = lines.read(source)
    head: list[str] = []
    for number, line in text:
        header = lines.names(line)
        kind = next((one for one in _KINDS if one.needed <= set(header)), None)
        if kind:
            if not is_personal:
                raise UnsupportedStatement(
                    f"{kind.title}，不是商户的对账单：收款账户登记为个人账户时才能导入",
                    kind=kind.form,
                )
            bill = _Bill(kind, header, head, is_checked=is_checked)
            rows = bill.rows(text, number)
            return begun(Stream(kind.form, None, rows, bill.summary, source=Source.CHANNEL))
        if number >= lines.HEADER_WITHIN:
            break
        head.append(unicodedata.normalize("NFKC", line).strip(" \t,"))
    raise UnknownFormat("文件里没有个人账单的表头")


class _Bill:
    def __init__(
        self, kind: _Kind, header: Sequence[str], head: Sequence[str], *, is_checked: bool
    ) -> None:
        if len(set(header)) != len(header):
            raise DamagedFile("表头里有重名的列")
        self.kind = kind
        self.at = {name: place for place, name in enumerate(header)}
        self.is_checked = is_checked
        self.totals = Totals()
        self.serials = Serials()
        self.neutral = [0, 0]  # rows, fen
        self.count: int | None = None
        self.said: dict[str, tuple[int, int]] = {}
        self.summary = Summary()
        for line in head:
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

    def rows(self, text: Iterator[tuple[int, str]], above: int) -> Iterator[Row]:
        reader = csv.reader(_plain(text), strict=True)
        try:
            for values in reader:
                if not any(cell.strip() for cell in values):
                    continue
                row = self._row(above + reader.line_num, values)
                self.totals.add(row.amount_fen)
                note_day(self.summary, row)
                yield row
        except csv.Error as error:
            line = above + reader.line_num
            raise DamagedFile(
                f"第 {line} 行的引号或换行不完整，文件可能被截断", row=line
            ) from error
        if self.is_checked:
            self._confirm()

    def _row(self, number: int, values: Sequence[str]) -> Row:
        width = len(self.at)
        if len(values) < width or any(cell.strip() for cell in values[width:]):
            raise DamagedFile(f"第 {number} 行有 {len(values)} 列，应为 {width} 列", row=number)

        def said(name: str) -> str:
            text = cells.clean(values[self.at[name]]) if name in self.at else ""
            return "" if text == "/" else text

        def wrong(name: str, reason: str) -> BadCell:
            text = values[self.at[name]].strip()[:40]
            return BadCell(f"第 {number} 行「{name}」“{text}”{reason}", row=number, column=name)

        kind = self.kind
        side = _NEUTRAL.get(cells.clean(values[self.at["收/支"]]))
        if side is None:
            raise wrong("收/支", "无法识别")
        try:
            fen = cells.fen(said(kind.amount))
        except ValueError:
            fen = None
        if fen is None or fen < 0:
            raise wrong(kind.amount, "不是金额")
        try:
            booked_at = cells.moment(said("交易时间"))
        except ValueError:
            raise wrong("交易时间", "不是日期时间") from None
        state = said(kind.state)
        return Row(
            serial=self._serial(said(kind.serial), number, values),
            booked_at=booked_at,
            amount_fen=side * fen,
            currency="CNY",
            balance_fen=None,
            payer_name=said("交易对方"),
            payer_account=said(kind.account),
            payer_bank="",
            remark=said(kind.goods) or said("备注"),
            texts=tuple(text for name in (kind.order, kind.goods, "备注") if (text := said(name))),
            virtual_account=None,
            is_reversal="退款" in said(kind.category),
            reverses=None,
            position=number,
            account_no=next(iter(self.summary.accounts), ""),
            caution=self._caution(side, fen, state),
        )

    def _serial(self, serial: str, number: int, values: Sequence[str]) -> str | None:
        """A refund may be entered under the number of its payment: then its time tells it apart."""
        if not serial:
            return None
        parts = (values[self.at[name]].strip() for name in ("交易时间", self.kind.category))
        longer = "#".join([serial, *parts])
        if self.is_checked:
            self.serials.take(longer, number)
        return serial if self.serials.first(serial, number) == number else longer

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
        if self.kind.adds_up:
            (credits, ins), (debits, outs) = (
                self.said.get(side, (None, None)) for side in ("收入", "支出")
            )
            declared = Declared(self.count, credits, ins, debits, outs)
        self.totals.confirm(declared)
        neutral = self.said.get("中性交易", (0, 0))
        if self.kind.adds_up and neutral != tuple(self.neutral):
            raise differs("中性交易笔数", neutral[0], self.neutral[0], figure="中性交易")
        self.summary.declared = declared


def _plain(text: Iterator[tuple[int, str]]) -> Iterator[str]:
    # A tab behind a quoted number keeps a spreadsheet from rounding it.
    return (f"{line}\n".replace('"\t', '"') for _, line in text)
