"""How money by transfer is recognised: virtual accounts and reference codes, given and rested."""

import re
import secrets
from collections.abc import Iterable

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


VIRTUAL_TRANSITIONS = {
    VirtualState.FREE: frozenset({VirtualState.ASSIGNED}),
    VirtualState.ASSIGNED: frozenset({VirtualState.RESTING}),
    # Back to its payment when that is opened again.
    VirtualState.RESTING: frozenset({VirtualState.FREE, VirtualState.ASSIGNED}),
}


UNIT_DIGITS = 10  # 招商银行 记账子单元: 1–10 digits behind the number of the parent account
_DATE = re.compile(r"(?:19[9]\d|20\d\d)(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])")


def draw_unit() -> str:
    """Ten digits with check digits: a mistyped virtual account does not hit a neighbour's."""
    return mod97_digits(secrets.randbelow(10**8), UNIT_DIGITS - 2)


def draw_codes(count: int, accounts: Iterable[str]) -> list[str]:
    """Reference codes to choose from: random, never like a date or a tail of our accounts."""
    tails = {account[-8:] for account in accounts}
    codes: list[str] = []
    while len(codes) < count:
        code = mod97_digits(secrets.randbelow(10**6), 6)
        if code not in tails and not _DATE.fullmatch(code):
            codes.append(code)
    return codes
