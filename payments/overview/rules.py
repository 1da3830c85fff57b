"""What finance sees on one page of all money: which balances, which days, which ages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

from payments.ledger.rules import CHART, Side

DAYS = 30  # of the charts, today included


@dataclass(frozen=True)
class Pot:
    """Accounts that are read as one balance, by their kinds in the chart of accounts."""

    name: str
    title: str
    kinds: tuple[str, ...]
    note: str = ""

    @property
    def is_asset(self) -> bool:
        return CHART[self.kinds[0]].side == Side.DEBIT


POTS = (
    Pot("bank", "银行存款", ("bank",)),
    Pot("wechat", "微信支付账户", ("wechat",), "以渠道账单为准"),
    Pot("alipay", "支付宝账户", ("alipay",), "以渠道账单为准"),
    Pot("clearing", "渠道在途", ("clearing",), "已收，渠道账单还没有"),
    Pot("receivable", "应收商家款", ("receivable",), "放款后被银行冲正的"),
    Pot("suspense", "待核销", ("suspense",), "已到账，还不是谁的付款"),
    Pot("held", "担保待放款", ("held",)),
    Pot("available", "商家可用", ("merchant",)),
    Pot("paying_out", "商家付款中", ("paying_out",)),
    Pot("deposit", "保证金", ("deposit", "deposit_frozen"), "含冻结的"),
    Pot("wallet", "用户钱包", ("wallet", "withdrawing"), "含提现冻结的"),
    Pot("gift_card", "礼品卡", ("gift_card",)),
    Pot("refund", "应退款", ("refund_payable",)),
    Pot("guide", "导购佣金", ("guide",)),
)
BY_KIND = {kind: pot for pot in POTS for kind in pot.kinds}


class Age(NamedTuple):
    """So many days back, both included; `until` None: and all before."""

    title: str
    since: int
    until: int | None


AGES = (
    Age("今天、昨天", 0, 1),
    Age("2–6 天", 2, 6),
    Age("7–29 天", 7, 29),
    Age("30 天以上", 30, None),
)


def age_of(days: int) -> int:
    """The place in AGES of what is so many days old; what is dated ahead is of today."""
    return next(n for n, age in enumerate(AGES) if age.until is None or days <= age.until)


def days_until(today: date) -> list[date]:
    return [today - timedelta(days=back) for back in reversed(range(DAYS))]


@dataclass(frozen=True)
class Course:
    """A pot's balance in fen at the end of each day, the last one being now; and what moved."""

    pot: Pot
    fen: Sequence[int]
    moved: Sequence[int]

    @property
    def now_fen(self) -> int:
        return self.fen[-1]

    @property
    def change_fen(self) -> int:
        """Since the end of the first day."""
        return self.fen[-1] - self.fen[0]

    @property
    def is_empty(self) -> bool:
        return not any(self.fen) and not any(self.moved)


def course(pot: Pot, signed_fen: int, by_day: Mapping[date, int], days: Sequence[date]) -> Course:
    """Backwards from what the accounts hold now (debit +); what is dated ahead is of the last."""
    sign = 1 if pot.is_asset else -1
    last, fen = days[-1], sign * signed_fen
    later = sum(moved for day, moved in by_day.items() if day > last)
    moves = [sign * (by_day.get(day, 0) + (later if day == last else 0)) for day in days]
    ends = [fen]
    for moved in reversed(moves[1:]):
        ends.append(ends[-1] - moved)
    return Course(pot, tuple(reversed(ends)), tuple(moves))
