"""ALIPAY_QR for the cashier: a code that the buyer saves, or shows, and scans with Alipay."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import segno
from django.utils.timezone import now

from config.kit.errors import Refusal
from payments.alipay import offers
from payments.alipay.method import (
    ASKS_CHANNEL,
    hindered,
    left_from,
    opened,
    send_back,
    shut,
    unheard,
)
from payments.alipay.models import AlipayTrade
from payments.alipay.rules import Status
from payments.cashier.models import Payment
from payments.cashier.rules import Status as PaymentStatus
from payments.channels.answers import ChannelRefused

__all__ = [
    "ASKS_CHANNEL", "hindered", "instructions", "left_from", "opened", "prepare",
    "send_back", "shut", "unheard",
]  # fmt: skip


class PrepayRefused(Refusal):
    message = "支付宝拒绝了这笔支付，请换一种支付方式"


def prepare(payment: Payment, *, at: datetime) -> None:
    try:
        offers.give_code(payment=payment, at=at)
    except ChannelRefused as no:
        raise PrepayRefused(said=str(no)) from no


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    """By payment id; one query.  Nothing for who need not pay, or whose code is too old."""
    waiting = [row for row in payments if row.status == PaymentStatus.WAITING]
    if not waiting:
        return {}
    trades = AlipayTrade.objects.filter(payment__in=waiting, status=Status.OPEN)
    asked = {row.pk: row.outstanding_fen for row in waiting}
    return {
        trade.payment_id: {
            "qr_content": trade.qr_code,
            "qr_png": segno.make(trade.qr_code, error="m").png_data_uri(scale=8, border=4),
            "expires_at": trade.offered_until,
        }
        for trade in trades.filter(offered_until__gt=now()).exclude(qr_code="")
        if trade.amount_fen == asked[trade.payment_id]
    }
