"""The life of an order, and what can be done to it now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from shop.checkout.rules import Item


class Status(models.TextChoices):
    UNPAID = "UNPAID", "待付款"
    PAID = "PAID", "待发货"
    SHIPPED = "SHIPPED", "待收货"
    RECEIVED = "RECEIVED", "已收货"
    DONE = "DONE", "已完成"
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.UNPAID: frozenset({Status.PAID, Status.CLOSED}),
    # Back to UNPAID when a wrong match is undone before anything was shipped.
    Status.PAID: frozenset({Status.SHIPPED, Status.CLOSED, Status.UNPAID}),
    Status.SHIPPED: frozenset({Status.RECEIVED}),
    Status.RECEIVED: frozenset({Status.DONE}),
    Status.DONE: frozenset(),
    # Late money made the payment whole: open again, and paid in the same step.
    Status.CLOSED: frozenset({Status.UNPAID}),
}


# Paid, and not at its end: what a reversal stops.
LIVE = [Status.PAID, Status.SHIPPED, Status.RECEIVED]


# S002.49: when receipt confirms itself, in days after a line was sent.
PARCEL_DAYS = 10
NO_LOGISTICS_DAYS = 2


def receive_days(*, no_logistics: bool, of_kind: int | None, of_merchant: int) -> int:
    """How long the buyer of a line has to speak up, before receipt confirms itself.

    Kinds that say so have their own days.  A merchant may give buyers of parcels more time than
    the platform, not less.
    """
    if of_kind is not None:
        return of_kind
    return NO_LOGISTICS_DAYS if no_logistics else max(PARCEL_DAYS, of_merchant)


class CloseReason(models.TextChoices):
    EXPIRED = "EXPIRED", "超时未付"
    BUYER = "BUYER", "买家取消"
    REFUNDED = "REFUNDED", "取消并退款"


class FreezeReason(models.TextChoices):
    REVERSED = "REVERSED", "付款被银行冲正"
    LOSS = "LOSS", "退款后原款被银行冲正"


@dataclass(frozen=True, slots=True)
class Wish:
    """One buyer's order before it exists.

    `consignee`: the address as it will be printed.  `origin`: whatever must not order twice, such
    as a live ticket; unique.  `via`: the source of the offers that may be used.
    """

    buyer_id: int
    items: Sequence[Item]
    consignee: Mapping[str, Any]
    remark: str = ""
    quote_token: str = ""
    origin: str | None = None
    via: str = ""
    pay_within_minutes: int | None = None


def consignee(address: Any) -> dict[str, str]:
    """An address as an order keeps it: what will be printed, whatever becomes of the address."""
    fields = ("name", "phone", "province", "city", "district", "detail")
    return {name: getattr(address, name) for name in fields}


def actions(status: str, *, has_shipped_lines: bool) -> dict[str, bool]:
    """What the buyer can do now, from the same table that the services move along."""
    targets = TRANSITIONS[Status(status)]
    is_unpaid = status == Status.UNPAID
    return {
        "pay": is_unpaid,
        "cancel": Status.CLOSED in targets and not has_shipped_lines,
        "confirm_receipt": Status.RECEIVED in targets,
    }
