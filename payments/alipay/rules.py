"""What a word of Alipay's about one of our trades means, and how long an offer to pay is good."""

import base64
import hashlib
import hmac
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import models

from payments.cashier.rules import Status as PaymentStatus
from payments.channels.alipay import Trade
from payments.channels.asking import GRACE


class Status(models.TextChoices):
    OPEN = "OPEN", "待支付"
    PAID = "PAID", "已支付"
    CLOSED = "CLOSED", "已关闭"


TRANSITIONS = {
    Status.OPEN: frozenset({Status.PAID, Status.CLOSED}),
    # Alipay's word that it was paid outweighs its word that it was closed.
    Status.CLOSED: frozenset({Status.PAID}),
    Status.PAID: frozenset[Status](),
}

# How long an address or a code that was handed out may begin a trade.  Until then nobody can take
# it back, so an order cannot be cancelled; Alipay's own two hours would be long for that.
OFFER_LIVES = timedelta(minutes=15)
# With less than this left another one is made, where that is possible.
OFFER_IS_SHORT = timedelta(minutes=2)


class Asked(NamedTuple):
    """One of our trades as we know it, to hold Alipay's word against."""

    amount_fen: int
    seller_id: str
    app_id: str


def differs(ours: Asked, theirs: Trade) -> str:
    """Why a trade of theirs is not what we asked for; empty when it is."""
    if theirs.fen != ours.amount_fen:
        return f"金额 {theirs.fen} 分，应为 {ours.amount_fen} 分"
    if theirs.seller_id != ours.seller_id:
        return f"卖家 {theirs.seller_id[:32]} 不是本店的 {ours.seller_id}"
    if theirs.app_id != ours.app_id:
        return f"应用 {theirs.app_id[:32]} 不是本店的 {ours.app_id}"
    return ""


# --- offers: an address or a code, once it is handed out ------------------------------------------


def offer_until(at: datetime, pay_before: datetime) -> datetime:
    """Until when a new offer is good; Alipay knows whole seconds."""
    return min(at + OFFER_LIVES, pay_before).replace(microsecond=0)


def is_long(offered_until: datetime | None, pay_before: datetime, at: datetime) -> bool:
    """Whether an offer that is out is still worth handing out again."""
    if offered_until is None or at >= offered_until:
        return False
    return at < offered_until - OFFER_IS_SHORT or offered_until >= pay_before.replace(microsecond=0)


def may_begin(offered_until: datetime | None, at: datetime) -> bool:
    """Whether an offer that is out may still begin a trade, by anybody's clock."""
    return offered_until is not None and at < offered_until + GRACE


# --- the buyer's link -----------------------------------------------------------------------------


def token_of(payment_number: str, secret: str) -> str:
    """What the link of a payment holds: 256 bits that nobody finds without our secret."""
    said = hmac.new(secret.encode(), f"alipay link {payment_number}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(said.digest()).decode().rstrip("=")


def hash_of(token: str) -> str:
    """What is kept of a link: who reads our tables cannot pay, nor see, anything by it."""
    return hashlib.sha256(token.encode()).hexdigest()


class Page(models.TextChoices):
    """What the cashier page says."""

    OPEN = "OPEN", "待支付"
    PAID = "PAID", "支付成功"
    RETURNED = "RETURNED", "款项已原路退回"
    CLOSED = "CLOSED", "已取消"
    EXPIRED = "EXPIRED", "已过期"


class Standing(NamedTuple):
    """Where a payment stands, for its page."""

    status: str
    amount_fen: int
    refunded_fen: int
    is_paid: bool  # at Alipay
    expires_at: datetime


def page_of(now: Standing, at: datetime) -> Page:
    if now.status == PaymentStatus.CONFIRMED and now.refunded_fen < now.amount_fen:
        return Page.PAID
    if now.is_paid or now.status == PaymentStatus.CONFIRMED:
        return Page.RETURNED  # late, twice, or given back since
    if now.status == PaymentStatus.CLOSED:
        return Page.CLOSED
    return Page.OPEN if at < now.expires_at else Page.EXPIRED
