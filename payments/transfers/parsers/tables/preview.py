"""A table shown to the person who is to say what its columns mean."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from payments.transfers.parsers.refusals import Unreadable
from payments.transfers.parsers.statement import Declared, Row, Stream
from payments.transfers.parsers.sums import Tally

from . import grid, layouts

SHOWN_ROWS = 20

# What headers are usually called.  A proposal for a person: no reader ever uses it.
_USUAL = {
    "day": "交易日期 交易时间 记账日期 入账日期 记账日 交易日 日期 时间 发生时间",
    "clock": "交易时间 记账时间 时间",
    "in": "贷方发生额 贷方金额 收入金额 存入金额 收入 贷方 存入 贷 转入金额",
    "out": "借方发生额 借方金额 支出金额 取出金额 支出 借方 支取 借 转出金额",
    "amount": "交易金额 金额 发生额 入账金额",
    "direction": "借贷 借/贷 借贷标志 借贷方向 收支 收/支 收付标志 交易方向",
    "balance": "余额 账户余额 本次余额 交易后余额 联机余额",
    "currency": "币种 币别 货币 交易币种 交易货币",
    "name": "对方户名 对方名称 对方账户名称 对方账号名称 对方单位名称 对方账户名 付款人名称",
    "payer_account": "对方账号 对方账户 对方卡号/账号 付款人账号",
    "payer_bank": "对方开户行 对方开户机构 对方行名 付款人开户行名",
    "account": "本方账号 账号",
    "serial": "交易流水号 流水号 主机交易流水号 核心流水号",
    "kind": "摘要 交易摘要 交易类型",
    "remark": "附言 交易附言 备注 用途 客户摘要 交易备注",
}


@dataclass(frozen=True, slots=True)
class Preview:
    """`guess` is only that; nothing is read by it until a person has said it back as columns."""

    rows: tuple[tuple[str, ...], ...]  # the first rows, as text
    candidates: tuple[int, ...]  # rows that may be the header, from 1, likeliest first
    known: str  # the bank's layout that reads this table already; empty when none does
    guess: Mapping[str, str]  # role → header text, from the likeliest header
    read: tuple[Row, ...] = ()  # with columns: the first rows as they would be read
    totals: Declared | None = None  # with columns: of all rows
    problem: str = ""  # with columns: why the file would be refused

    def header(self, number: int) -> list[str]:
        """The names in a row, from 1, as columns are compared by them."""
        return grid.header_names(self.rows[number - 1])

    def guessed(self, number: int) -> dict[str, str]:
        """The guess, were that row the header."""
        return _guess(self.header(number))


def look(rows: Sequence[Sequence[str]]) -> Preview:
    """The top of a table, and what its columns might be."""
    headers = [grid.header_names(row) for row in rows]
    guesses = [_guess(header) for header in headers]
    likely = sorted(
        (number for number, guess in enumerate(guesses) if len(guess) > 2),
        key=lambda number: (-len(guesses[number]), number),
    )
    known = (layouts.recognised(header, layouts.LAYOUTS) for header in headers)
    return Preview(
        rows=tuple(tuple(row) for row in rows),
        candidates=tuple(number + 1 for number in likely),
        known=next((layout.bank for layout, _ in filter(None, known)), ""),
        guess=guesses[likely[0]] if likely else {},
    )


def tried(seen: Preview, opened: Callable[[], Stream]) -> Preview:
    """The same, with what the columns make of the whole file."""
    first: list[Row] = []
    tally = Tally()
    problem = ""
    try:
        for row in opened().rows:
            tally.add(row.amount_fen, row.booked_at)
            if len(first) < SHOWN_ROWS:
                first.append(row)
    except Unreadable as unreadable:
        problem = str(unreadable)
    return replace(seen, read=tuple(first), totals=tally.declared(), problem=problem)


def _guess(header: Sequence[str]) -> dict[str, str]:
    free = set(header) - {""}
    guess: dict[str, str] = {}
    for role, usual in _USUAL.items():
        if role in {"amount", "direction"} and "in" in guess and "out" in guess:
            continue
        found = next((name for name in usual.split() if name in free), None)
        if found:
            guess[role] = found
            free.discard(found)
    return guess
