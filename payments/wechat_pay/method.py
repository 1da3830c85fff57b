"""WECHAT for the cashier: what wx.requestPayment needs, and how money goes back to the buyer."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, cast

from django.conf import settings
from django.utils.module_loading import import_string
from django.utils.timezone import now

from config.kit.errors import Refusal
from payments.cashier.models import Payment, RefundPart
from payments.cashier.rules import Status as PaymentStatus
from payments.channels import wechat
from payments.channels.answers import ChannelRefused
from payments.channels.asking import ASK_AT
from payments.wechat_pay import giving_back, services
from payments.wechat_pay.models import WeChatTrade
from payments.wechat_pay.queries import SOURCE
from payments.wechat_pay.rules import Status

ASKS_CHANNEL = True
LOOK_AGAIN = timedelta(seconds=15)  # whether WeChat has closed it


class NoWechatLogin(Refusal):
    message = "请在微信小程序里登录后再用微信支付"


class PrepayRefused(Refusal):
    message = "微信支付拒绝了这笔支付，请换一种支付方式"


class BeingPaid(Refusal):
    message = "这笔微信支付正在支付或刚刚支付，请稍后再试"


def hindered(*, payer_id: int, merchant: str) -> str:
    return "" if _openid(payer_id) else NoWechatLogin.message


def opened(payment: Payment, *, at: datetime) -> None:
    """Write down the trade's number before anybody is asked: it is never another one."""
    openid = _openid(payment.payer_id)
    if not openid:
        raise NoWechatLogin
    WeChatTrade.objects.create(
        payment=payment,
        out_trade_no=payment.number,
        openid=openid,
        amount_fen=payment.outstanding_fen,
        opened_at=at,
        ask_at=at + ASK_AT[0],
    )


def _openid(user_id: int) -> str:
    return cast(str, import_string(settings.PAYER_OPENID)(user_id))


def prepare(payment: Payment, *, at: datetime) -> None:
    try:
        services.prepare(payment=payment, at=at)
    except ChannelRefused as no:
        raise PrepayRefused(said=str(no)) from no


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    """What wx.requestPayment takes, by payment id; one query.  Nothing for who need not pay."""
    waiting = [row for row in payments if row.status == PaymentStatus.WAITING]
    if not waiting:
        return {}
    at = now()
    trades = WeChatTrade.objects.filter(payment__in=waiting, status=Status.OPEN).exclude(
        prepaid_at=None
    )
    asked = {row.pk: row.outstanding_fen for row in waiting}
    return {
        trade.payment_id: wechat.wechat_pay().to_pay(trade.prepay_id, at)
        for trade in trades
        if trade.prepaid_at
        and at < trade.prepaid_at + wechat.PREPAY_LIVES
        and trade.amount_fen == asked[trade.payment_id]
    }


def unheard(payments: Sequence[Payment], *, at: datetime) -> dict[int, datetime]:
    """Whose trade WeChat has not closed yet: it may be paid at this moment; one query."""
    trades = WeChatTrade.objects.filter(payment__in=payments, status=Status.OPEN)
    return dict.fromkeys(trades.values_list("payment_id", flat=True), at + LOOK_AGAIN)


def shut(payment: Payment, *, at: datetime) -> None:
    for trade in WeChatTrade.objects.filter(payment=payment, status=Status.OPEN):
        try:
            is_shut = services.shut(trade=trade, at=at)
        except ChannelRefused as no:
            raise BeingPaid(said=str(no)) from no
        if not is_shut:
            raise BeingPaid


# --- money goes back ----------------------------------------------------------------------------


def send_back(part: RefundPart) -> str | None:
    return giving_back.ask(part=part, at=now())


def left_from(part: RefundPart, channel_txn: str) -> str:
    return SOURCE
