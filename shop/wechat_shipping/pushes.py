"""What WeChat pushes of our orders.  It never moves money: it is written down, and compared."""

import hashlib
import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction

from config.kit.jobs import later
from config.kit.states import move
from payments.wechat_pay.models import WeChatTrade
from shop.orders.rules import Status as OrderStatus
from shop.wechat_shipping import services
from shop.wechat_shipping.models import ShippingReport, WeChatPush
from shop.wechat_shipping.rules import NOT_TOLD, TRANSITIONS, Status

logger = logging.getLogger(__name__)

SETTLEMENT = "trade_manage_order_settlement"
REMINDER = "trade_manage_remind_shipping"
OF_THE_SHOP = {
    "trade_manage_remind_access_api": "微信要求接入发货信息管理",
    "wxa_trade_controlled": "微信已对小程序的交易采取管控，请到微信公众平台查看",
}
KNOWN = {SETTLEMENT, REMINDER, *OF_THE_SHOP}
METHODS = {1: "自动确认", 2: "买家确认"}
COMPARE = "shop.wechat_shipping.tasks.compare"


@transaction.atomic
def take(*, told: Mapping[str, Any], at: datetime) -> WeChatPush | None:
    """A verified event is taken once; None: it was known, or is nothing that we keep."""
    event = str(told.get("Event", ""))
    if event not in KNOWN:
        return None
    said = json.dumps(told, sort_keys=True, ensure_ascii=False).encode()
    # A second delivery has the same bytes; it waits here for the first, and finds it.
    row, is_new = WeChatPush.objects.get_or_create(
        key=hashlib.sha256(said).hexdigest(),
        defaults={"event": event, "told": dict(told), "at": at},
    )
    if not is_new:
        return None
    if problem := OF_THE_SHOP.get(event) or _of_an_order(event, told, at):
        row.problem = problem[:300]
        row.save(update_fields=["problem"])
        logger.error("WeChat push %s: %s", event, problem)
    return row


def _of_an_order(event: str, told: Mapping[str, Any], at: datetime) -> str:
    number = str(told.get("transaction_id", ""))[:64]
    trade = WeChatTrade.objects.filter(transaction_id=number).first() if number else None
    if trade is None:
        return f"微信支付订单号 {number or '（空）'} 不是本店的"
    ours = str(told.get("merchant_trade_no", "")) or trade.out_trade_no
    if ours != trade.out_trade_no:
        return f"商户订单号 {ours[:32]} 与微信支付订单号 {number} 不符"
    services.discover(at=at)
    row = ShippingReport.objects.filter(trade=trade)
    held = row.select_for_update(of=("self",)).first()
    if held is None:
        return f"微信支付订单号 {number} 没有已支付的交易"
    if event == REMINDER:
        _reminded(held, at)
    elif told.get("settlement_time") or told.get("confirm_receive_time"):
        _confirmed(held, told, at)
    elif held.status in NOT_TOLD:
        # WeChat has a list that we did not hear of having been taken.
        _ask_soon(held, at)
    return ""


def _reminded(held: ShippingReport, at: datetime) -> None:
    services.record(held.pk, "REMINDED", at)
    logger.error("WeChat asks for the shipping information of %s", held)
    _ask_soon(held, at)


def _ask_soon(held: ShippingReport, at: datetime) -> None:
    if held.status in {Status.CONFIRMED, Status.CLOSED}:
        return
    ShippingReport.objects.filter(pk=held.pk).update(compare_at=at)
    later(COMPARE)


def _confirmed(held: ShippingReport, told: Mapping[str, Any], at: datetime) -> None:
    """The buyer has it, and perhaps the money is the merchant's: as far as WeChat is concerned."""
    row = ShippingReport.objects.filter(pk=held.pk)
    times: dict[str, Any] = {
        "confirmed_at": _moment(told.get("confirm_receive_time")) or held.confirmed_at,
        "settled_at": _moment(told.get("settlement_time")) or held.settled_at,
    }
    odd = _odd(held)
    if odd:
        times["difference"] = odd
    if Status.CONFIRMED in TRANSITIONS[Status(held.status)]:
        move(row, Status.CONFIRMED, TRANSITIONS, **times, next_try_at=None, compare_at=None)
        how = METHODS.get(told.get("confirm_receive_method", 0), "—")
        services.record(held.pk, "CONFIRMED", at, said_by="推送", method=how)
    else:
        row.update(**times)
    services.differs(held, odd, at)


def _odd(held: ShippingReport) -> str:
    if held.status == Status.CLOSED:
        return "微信显示已结算，本店记为已退款"
    if held.status in NOT_TOLD:
        return "微信显示买家已收货，本店还没有上报发货信息"
    order = held.order
    if order is not None and order.status in {OrderStatus.PAID, OrderStatus.CLOSED}:
        return f"微信显示买家已收货，本店订单为{OrderStatus(order.status).label}"
    return ""


def _moment(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (OverflowError, OSError, ValueError):
        return None
