"""The chart of accounts, and what makes a posting sound.

Double entry: a debit is +, a credit is −, the legs of a posting add up to zero.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.db import models


class Side(models.TextChoices):
    """The side on which an account normally stands: assets on debit, what we owe on credit."""

    DEBIT = "DEBIT", "借方"
    CREDIT = "CREDIT", "贷方"


@dataclass(frozen=True)
class Kind:
    side: Side
    title: str
    is_guarded: bool = False  # belongs to somebody: keeps a balance that is never below zero


# An account code is `<kind>:<whose>[:<which>]`, for example bank:755900000110.
CHART: Mapping[str, Kind] = {
    "bank": Kind(Side.DEBIT, "银行存款"),
    "suspense": Kind(Side.CREDIT, "待核销来账"),
    # What passes through a receiving account and is no buyer's: fees, interest, own transfers.
    "elsewhere": Kind(Side.CREDIT, "非买家收支"),
    # Lines in suspense that a person says are no buyer's (decisions/0024).
    "set_aside": Kind(Side.CREDIT, "不处理来账"),
    # What was in a receiving account before its first statement.
    "opening": Kind(Side.CREDIT, "期初余额"),
    # What a payment channel has for us until it settles: WeChat Pay, Alipay.
    "clearing": Kind(Side.DEBIT, "渠道在途资金"),
    # Our own accounts there, as their bills say them, and what the channels keep for their work.
    "wechat": Kind(Side.DEBIT, "微信支付账户"),
    "alipay": Kind(Side.DEBIT, "支付宝账户"),
    "channel_fee": Kind(Side.DEBIT, "渠道手续费"),
    "fee": Kind(Side.DEBIT, "途中扣费"),
    "held": Kind(Side.CREDIT, "担保待放款"),
    "refund_payable": Kind(Side.CREDIT, "应退款"),
    "receivable": Kind(Side.DEBIT, "应收商家款"),
    # What the platform earned: its fee of released lines.
    "platform": Kind(Side.CREDIT, "平台手续费收入"),
    "merchant": Kind(Side.CREDIT, "商家可用余额", is_guarded=True),
    # Of a merchant's money what is on its way to his bank account.
    "paying_out": Kind(Side.CREDIT, "付款中", is_guarded=True),
    # 保证金: never mixed with what is available; frozen while two people decide.
    "deposit": Kind(Side.CREDIT, "保证金", is_guarded=True),
    "deposit_frozen": Kind(Side.CREDIT, "冻结的保证金", is_guarded=True),
    "penalties": Kind(Side.CREDIT, "违约金收入"),
    # What a person may spend with us, and what his withdrawals in flight have frozen.
    "wallet": Kind(Side.CREDIT, "钱包余额", is_guarded=True),
    "withdrawing": Kind(Side.CREDIT, "提现冻结", is_guarded=True),
    # What is left on a gift card: pays for orders, and never becomes cash but for its buyer.
    "gift_card": Kind(Side.CREDIT, "礼品卡余额", is_guarded=True),
    "guide": Kind(Side.CREDIT, "导购佣金", is_guarded=True),
}


def kind_of(code: str) -> Kind:
    """KeyError for a code outside the chart: a bug, not a refusal."""
    return CHART[code.split(":", 1)[0]]


@dataclass(frozen=True)
class Draft:
    """One business fact to be posted once: `kind` and `reference` name it.  Amounts are fen > 0."""

    kind: str
    reference: str
    debits: Mapping[str, int] = field(default_factory=dict)
    credits: Mapping[str, int] = field(default_factory=dict)

    def legs(self) -> list[tuple[str, int]]:
        """Account codes with signed fen; ValueError unless they balance."""
        given = [*self.debits.values(), *self.credits.values()]
        if not given or min(given) <= 0:
            raise ValueError(f"{self.kind} {self.reference}: an amount is not above zero")
        if sum(self.debits.values()) != sum(self.credits.values()):
            raise ValueError(f"{self.kind} {self.reference}: debits and credits differ")
        return [
            *self.debits.items(),
            *((code, -fen) for code, fen in self.credits.items()),
        ]
