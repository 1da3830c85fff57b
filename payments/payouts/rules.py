"""Decides when a merchant's money may go out, and to whom."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import models

PREFIX = "J"  # of a payout's number, which the bank's remark says: `transfers.screening` knows it


class PayeeStatus(models.TextChoices):
    ASKED = "ASKED", "待复核"
    ACTIVE = "ACTIVE", "使用中"
    DECLINED = "DECLINED", "未通过"
    REPLACED = "REPLACED", "已更换"


PAYEE_TRANSITIONS: Mapping[str, frozenset[str]] = {
    PayeeStatus.ASKED: frozenset({PayeeStatus.ACTIVE, PayeeStatus.DECLINED}),
    PayeeStatus.ACTIVE: frozenset({PayeeStatus.REPLACED}),
    PayeeStatus.DECLINED: frozenset(),
    PayeeStatus.REPLACED: frozenset(),
}


class Road(models.TextChoices):
    BANK = "BANK", "银行接口"
    FILE = "FILE", "批量付款文件"


class Status(models.TextChoices):
    """Until DONE the money stands in `paying_out:`; FAILED and DECLINED gave it back."""

    ASKED = "ASKED", "待复核"
    APPROVED = "APPROVED", "待付款"
    SENDING = "SENDING", "付款中"
    DONE = "DONE", "已付款"
    FAILED = "FAILED", "付款失败"
    DECLINED = "DECLINED", "未通过"
    BOUNCED = "BOUNCED", "已退汇"


TRANSITIONS: Mapping[str, frozenset[str]] = {
    Status.ASKED: frozenset({Status.APPROVED, Status.DECLINED}),
    Status.APPROVED: frozenset({Status.SENDING, Status.DECLINED}),
    Status.SENDING: frozenset({Status.DONE, Status.FAILED}),
    Status.DONE: frozenset({Status.BOUNCED}),
    Status.FAILED: frozenset(),
    Status.DECLINED: frozenset(),
    Status.BOUNCED: frozenset(),
}
HOLDING = [Status.ASKED, Status.APPROVED, Status.SENDING]


@dataclass(frozen=True)
class Bank:
    """A merchant's account at a bank, as he writes it."""

    account_no: str
    account_name: str
    bank_name: str


def pays_from(checked_at: datetime, pause_days: int) -> datetime:
    """From when money goes to an account that was changed: whoever stole a post must wait."""
    return checked_at + timedelta(days=pause_days)
