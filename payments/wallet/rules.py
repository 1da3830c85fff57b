"""What a person has with us: which accounts hold it, what each movement is called, and limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models

METHOD = "WALLET"
PURPOSE = "TOPUP"
PLATFORM = "PLATFORM"  # whose a top-up is until it is in the wallet: no merchant's

# What the owner reads beside each movement of his wallet, by kind of posting.
WORDS: Mapping[str, str] = {
    "RECEIPT": "支付",
    "REFUND_PAID": "退款",
    "OWED_TO_WALLET": "应退款转入",
    "TOPUP": "充值",
    "TOPUP_UNDONE": "充值撤回",
    "WITHDRAW": "提现",
    "WITHDRAW_VOID": "提现退回",
    "WITHDRAW_BOUNCED": "提现退汇",
}


class TopUpStatus(models.TextChoices):
    OPEN = "OPEN", "待支付"
    PAID = "PAID", "已充值"
    CLOSED = "CLOSED", "已关闭"


TOP_UP_TRANSITIONS = {
    TopUpStatus.OPEN: frozenset({TopUpStatus.PAID, TopUpStatus.CLOSED}),
    # A wrong match was undone, or the bank took its money back: it waits for it again.
    TopUpStatus.PAID: frozenset({TopUpStatus.OPEN}),
    # All its money came, but late.
    TopUpStatus.CLOSED: frozenset({TopUpStatus.PAID}),
}


@dataclass(frozen=True)
class TopUpLimits:
    """In fen.  A named prepaid card holds at most 5,000 yuan (单用途商业预付卡管理办法 18)."""

    least_fen: int
    most_fen: int
    balance_fen: int


class To(models.TextChoices):
    WECHAT = "WECHAT", "微信零钱"
    BANK = "BANK", "银行卡"


class WithdrawalStatus(models.TextChoices):
    CHECKING = "CHECKING", "待审核"
    SENDING = "SENDING", "提现中"
    DONE = "DONE", "已到账"
    FAILED = "FAILED", "提现失败"
    DECLINED = "DECLINED", "审核未通过"
    BOUNCED = "BOUNCED", "已退汇"


# The channel's word ends what is on its way, and no time-out.
WITHDRAWAL_TRANSITIONS = {
    WithdrawalStatus.CHECKING: frozenset({WithdrawalStatus.SENDING, WithdrawalStatus.DECLINED}),
    WithdrawalStatus.SENDING: frozenset({WithdrawalStatus.DONE, WithdrawalStatus.FAILED}),
    # The payee's bank sent it back (退汇), and a person said which line that is.
    WithdrawalStatus.DONE: frozenset({WithdrawalStatus.BOUNCED}),
    WithdrawalStatus.BOUNCED: frozenset[WithdrawalStatus](),
    WithdrawalStatus.FAILED: frozenset[WithdrawalStatus](),
    WithdrawalStatus.DECLINED: frozenset[WithdrawalStatus](),
}
LIVE = (WithdrawalStatus.CHECKING, WithdrawalStatus.SENDING)
NAMED_FROM_FEN = 200_000  # from here on WeChat wants the payee's name
# An order that nobody answered may still be on its way; WeChat and banks take none older than this.
STILL_ON_ITS_WAY = timedelta(minutes=10)
# When what is under way is asked about again, by its age.
ASK_AT = tuple(timedelta(seconds=s) for s in (10, 30, 60, 300, 900))
ASK_EVERY = timedelta(minutes=30)


def is_account(number: str) -> bool:
    """A whole account number of a bank: nothing masked, nothing else."""
    return number.isascii() and number.isdigit() and 8 <= len(number) <= 32


def ask_next(asked_at: datetime, at: datetime) -> datetime:
    step = next((when for when in ASK_AT if when > at - asked_at), None)
    return asked_at + step if step else at + ASK_EVERY


@dataclass(frozen=True)
class WithdrawalLimits:
    """In fen, and how often; a day is one of Asia/Shanghai."""

    least_fen: int
    most_fen: int
    day_fen: int
    day_times: int
    check_fen: int


class Outcome(models.TextChoices):
    WAITS = "WAITS"
    LEFT = "LEFT"
    NEVER = "NEVER"


@dataclass(frozen=True)
class Said:
    """What a channel's word about a withdrawal comes to.

    NEVER: nothing has left and nothing will.  `is_known`: the channel has the order; `silent`: an
    order was given and nobody answered.
    """

    outcome: Outcome
    number: str = ""
    package: str = ""
    why: str = ""
    is_known: bool = False
    silent: bool = False


def wallet_of(number: str) -> str:
    """The account of what this user may spend."""
    return f"wallet:{number}"


def withdrawing_of(number: str) -> str:
    """The account of what this user's withdrawals in flight have frozen."""
    return f"withdrawing:{number}"


def named(kind: str, reference: str) -> str:
    """The number that the owner knows of a posting: a receipt's begins with its method."""
    return reference.partition(":")[2] if kind == "RECEIPT" else reference
