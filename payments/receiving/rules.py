"""How money by transfer is recognised: virtual accounts and reference codes, given and rested."""

import re
import secrets
from datetime import timedelta

from django.db import models

from config.kit.numbers import mod97_digits


class Gives(models.TextChoices):
    """To whom an account gives its virtual accounts."""

    PAYMENT = "PAYMENT", "每笔支付一个"
    MEMBER = "MEMBER", "每位买家一个"


class VirtualState(models.TextChoices):
    FREE = "FREE", "空闲"
    ASSIGNED = "ASSIGNED", "已分配"
    RESTING = "RESTING", "静置中"  # its payment is over; late money still finds it


# What a column of a statement may mean, as `ReceivingAccount.columns` names it.
COLUMN_ROLES = {
    "day": "日期（或日期时间）",
    "clock": "时间",
    "in": "收入金额",
    "out": "支出金额",
    "amount": "金额（收支同一列）",
    "direction": "收支方向",
    "balance": "余额",
    "name": "对方户名",
    "payer_account": "对方账号",
    "payer_bank": "对方开户行",
    "remark": "附言（可多列）",
    "kind": "摘要（银行所写）",
    "serial": "流水号",
    "account": "本方账号",
    "currency": "币种",
    "reversal": "冲正标志",
}

VIRTUAL_TRANSITIONS = {
    VirtualState.FREE: frozenset({VirtualState.ASSIGNED}),
    VirtualState.ASSIGNED: frozenset({VirtualState.RESTING}),
    # Back to its payment when that is opened again.
    VirtualState.RESTING: frozenset({VirtualState.FREE, VirtualState.ASSIGNED}),
}


UNIT_DIGITS = 10  # 招商银行 记账子单元: 1–10 digits behind the number of the parent account
CODES = 10**6  # of one account: six digits, behind which two check them
CODES_HALF_USED = CODES // 2  # in use at once: staff are told
CODES_SCARCE = CODES * 3 // 4  # in use at once: kept for payments without a number of their own
CODE_RESTS = timedelta(days=731)  # two years after its payment was over, before it is given again
_DATE = re.compile(r"(?:19[9]\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


def draw_unit() -> str:
    """Ten digits with check digits: a mistyped virtual account does not hit a neighbour's."""
    return mod97_digits(secrets.randbelow(10**8), UNIT_DIGITS - 2)


def draw_codes(count: int) -> list[str]:
    """Reference codes to choose from: random, never like a date."""
    codes: list[str] = []
    while len(codes) < count:
        code = mod97_digits(secrets.randbelow(CODES), 6)
        if not _DATE.fullmatch(code):
            codes.append(code)
    return codes
