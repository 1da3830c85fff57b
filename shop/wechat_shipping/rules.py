"""What WeChat is told of an order that it took the money for, and what its word means to us.

https://developers.weixin.qq.com/miniprogram/dev/platform-capabilities/business-capabilities/order-shipping/order-shipping.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models

DEADLINE = timedelta(hours=48)  # from the payment
LEASE = timedelta(seconds=120)  # how long a worker that took a report may be at it
BACKOFF = tuple(timedelta(seconds=s) for s in (10, 60, 300, 900, 1800, 3600))
COMPARE_AFTER = timedelta(hours=12)
COMPARE_AGAIN = timedelta(days=1)
MOST_PARCELS, MOST_SIGNS = 15, 120
UNIFIED, SPLIT = 1, 2
NEEDS_PHONE = "SF"


class Status(models.TextChoices):
    WAITING = "WAITING", "待上报"
    REPORTED = "REPORTED", "已上报"
    CORRECTING = "CORRECTING", "待更正"
    CORRECTED = "CORRECTED", "已更正"
    CONFIRMED = "CONFIRMED", "买家已确认收货"
    FAILED = "FAILED", "上报失败"
    CLOSED = "CLOSED", "无需上报"


TRANSITIONS: Mapping[Status, frozenset[Status]] = {
    Status.WAITING: frozenset({Status.REPORTED, Status.CONFIRMED, Status.FAILED, Status.CLOSED}),
    # WeChat takes another list once: there is no way back from CORRECTED to CORRECTING.
    Status.REPORTED: frozenset({Status.CORRECTING, Status.CONFIRMED, Status.CLOSED}),
    Status.CORRECTING: frozenset(
        {Status.CORRECTED, Status.CONFIRMED, Status.FAILED, Status.CLOSED}
    ),
    Status.CORRECTED: frozenset({Status.CONFIRMED, Status.CLOSED}),
    Status.FAILED: frozenset(
        {
            *(Status.WAITING, Status.REPORTED, Status.CORRECTING, Status.CORRECTED),
            *(Status.CONFIRMED, Status.CLOSED),
        }
    ),
    Status.CONFIRMED: frozenset(),
    Status.CLOSED: frozenset(),
}
TO_SEND = [Status.WAITING, Status.CORRECTING]
NOT_TOLD = [Status.WAITING, Status.FAILED]
AT_WECHAT = [Status.REPORTED, Status.CORRECTING, Status.CORRECTED]


class Kind(models.IntegerChoices):
    """WeChat's logistics_type."""

    EXPRESS = 1, "快递"
    CITY = 2, "同城配送"
    VIRTUAL = 3, "虚拟商品"
    PICKUP = 4, "用户自提"


class State(models.IntegerChoices):
    """WeChat's order_state."""

    WAITING = 1, "待发货"
    SHIPPED = 2, "已发货"
    CONFIRMED = 3, "确认收货"
    DONE = 4, "交易完成"
    REFUNDED = 5, "已退款"
    SETTLING = 6, "资金待结算"


# What WeChat's refusals say to a clerk; any other is shown in WeChat's words.
REFUSALS: Mapping[int, str] = {
    10060002: "微信已完成这笔订单的发货，不再接受发货信息",
    10060003: "微信只允许更正一次发货信息，这笔订单已更正过",
    10060004: "微信不允许为这笔订单发货（可能已退款或已完成）",
    10060005: "微信要求填写商品描述",
    10060008: "顺丰快递须填写收件人手机号",
    10060009: "收件人手机号格式有误",
    10060014: "微信不认识这家承运商或这个运单号，请更正后重试",
    10060025: "商品描述超过 120 字",
    10060031: "付款人的微信与订单不符",
    268485216: "另一次更新的上报已先到微信",
    268485226: "运单号为空",
    268485227: "承运商为空",
}
COMPLETE, UNKNOWN_PAYMENT = 10060002, 10060001


def wait(attempts: int, asked: timedelta = timedelta(0)) -> timedelta:
    """How long until the next attempt; `asked`: how long WeChat wants to be left alone."""
    return max(asked, BACKOFF[min(attempts, len(BACKOFF)) - 1])


# --- what is told -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parcel:
    """What left together; `carrier` and `tracking_no` are empty without logistics."""

    carrier: str
    tracking_no: str
    contents: str


@dataclass(frozen=True)
class Sent:
    """What has left of an order so far.  `kind`: what a clerk said it is, if anything."""

    parcels: Sequence[Parcel]
    is_all: bool
    phone: str = ""
    kind: int | None = None


def carriers(sent: Sent) -> set[str]:
    """Names of those whose codes must be known."""
    if sent.kind not in {None, Kind.EXPRESS}:
        return set()
    return {parcel.carrier for parcel in sent.parcels if parcel.tracking_no}


def told(sent: Sent, codes: Mapping[str, str]) -> dict[str, Any] | None:
    """The list as WeChat takes it, complete each time; None: nothing can be told yet.

    Without a carrier there is no telling of a part (WeChat splits express deliveries only).
    """
    tracked = [parcel for parcel in sent.parcels if parcel.tracking_no]
    if not carriers(sent):
        if not (sent.is_all and sent.parcels):
            return None
        return {
            "logistics_type": sent.kind if sent.kind in {2, 3} else Kind.PICKUP.value,
            "delivery_mode": UNIFIED,
            "shipping_list": [{"item_desc": described(p.contents for p in sent.parcels)}],
        }
    is_split = len(sent.parcels) > 1 or not sent.is_all
    listed, more = tracked[:MOST_PARCELS], tracked[MOST_PARCELS:]
    # What came without a carrier, or in a sixteenth parcel, is named with the last one.
    rest = [p.contents for p in sent.parcels if not p.tracking_no] + [p.contents for p in more]
    rows = [
        _row(parcel, rest if parcel is listed[-1] else [], codes, sent.phone) for parcel in listed
    ]
    body: dict[str, Any] = {
        "logistics_type": Kind.EXPRESS.value,
        "delivery_mode": SPLIT if is_split else UNIFIED,
        "shipping_list": rows,
    }
    return body | {"is_all_delivered": sent.is_all} if is_split else body


def _row(
    parcel: Parcel, rest: Sequence[str], codes: Mapping[str, str], phone: str
) -> dict[str, Any]:
    code = codes[parcel.carrier]
    row: dict[str, Any] = {
        "tracking_no": parcel.tracking_no,
        "express_company": code,
        "item_desc": described([parcel.contents, *rest]),
    }
    if code == NEEDS_PHONE:  # a buyer's number goes to WeChat only where WeChat insists
        row["contact"] = {"receiver_contact": masked(phone)}
    return row


def described(contents: Any) -> str:
    """At most 120 signs."""
    text = "；".join(contents) or "商品"
    return text if len(text) <= MOST_SIGNS else f"{text[: MOST_SIGNS - 1]}…"


def masked(phone: str) -> str:
    """The last four digits stay, as WeChat asks."""
    return f"{phone[:3]}****{phone[-4:]}"


def is_whole(body: Mapping[str, Any]) -> bool:
    """Whether all of an order is in what was told."""
    return bool(body.get("is_all_delivered", True))


def numbers(body: Mapping[str, Any]) -> set[str]:
    """The tracking numbers in a list, ours or WeChat's."""
    return {row["tracking_no"] for row in body.get("shipping_list", []) if row.get("tracking_no")}


def code_of(carrier: str, companies: Mapping[str, str]) -> str:
    """WeChat's code of a carrier by the name that a clerk typed, or by the code itself; else ""."""
    if carrier in companies:
        return companies[carrier]
    if carrier.upper() in companies.values():
        return carrier.upper()
    found = {code for name, code in companies.items() if _bare(name) == _bare(carrier)}
    return found.pop() if len(found) == 1 else ""


def _bare(name: str) -> str:
    for word in ("中国", "快递包裹", "快递", "速递物流", "速递", "速运", "物流", "快运"):
        name = name.replace(word, "")
    return name.strip().upper()


# --- what WeChat says ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Theirs:
    """A payment as get_order shows it."""

    state: int
    is_whole: bool
    numbers: frozenset[str]


def theirs(order: Mapping[str, Any]) -> Theirs:
    shipping = order.get("shipping") or {}
    return Theirs(
        int(order.get("order_state", 0)),
        bool(shipping.get("finish_shipping")),
        frozenset(numbers(shipping)),
    )


def verdict(
    status: str, wanted: set[str], known: Theirs, *, is_refunded: bool
) -> tuple[Status | None, str]:
    """What to make of WeChat's word: the state of ours (None: as it is), and what is odd in it.

    `wanted`: the tracking numbers that we told, or would tell.
    """
    if known.state == State.REFUNDED:
        return (Status.CLOSED, "") if is_refunded else (None, "微信显示已退款，本店没有全额退款")
    if known.state in {State.CONFIRMED, State.DONE, State.SETTLING}:
        odd = "微信显示买家已收货，本店还没有上报发货信息" if status in NOT_TOLD else ""
        return Status.CONFIRMED, odd
    if known.state == State.SHIPPED or known.is_whole:
        return _shipped(status, wanted, known)
    if status in AT_WECHAT:
        return None, "本店已上报，微信仍显示待发货"
    return None, ""


def _shipped(status: str, wanted: set[str], known: Theirs) -> tuple[Status | None, str]:
    odd = ""
    if status != Status.CORRECTING and wanted != known.numbers:
        listed = "、".join(sorted(known.numbers)) or "（无）"
        odd = f"微信登记的运单号与本店不同：{listed}"[:300]
    return (Status.REPORTED if status in NOT_TOLD else None), odd


def is_late(deadline: datetime, at: datetime, ahead: timedelta) -> bool:
    return deadline - ahead <= at
