"""ALIPAY_LINK for the cashier: an address that the buyer copies into the browser of his phone."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils.timezone import now

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
from payments.alipay.models import AlipayLink
from payments.alipay.rules import hash_of
from payments.cashier.models import Payment
from payments.cashier.rules import Status as PaymentStatus

__all__ = [
    "ASKS_CHANNEL", "hindered", "instructions", "left_from", "opened", "prepare",
    "send_back", "shut", "unheard",
]  # fmt: skip


def prepare(payment: Payment, *, at: datetime) -> None:
    """Nobody is asked yet: the trade begins when the button of our page is followed."""
    offers.give_link(payment=payment, at=at)


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    """By payment id; one query.  Nothing for who need not pay."""
    waiting = [row for row in payments if row.status == PaymentStatus.WAITING]
    if not waiting:
        return {}
    links = AlipayLink.objects.filter(payment__in=waiting, expires_at__gt=now())
    expiring = {link.payment_id: link for link in links}
    found: dict[int, dict[str, Any]] = {}
    for payment in waiting:
        token, link = offers.token(payment), expiring.get(payment.pk)
        if link and link.token_hash == hash_of(token):
            found[payment.pk] = {"pay_url": offers.page_url(token), "expires_at": link.expires_at}
    return found
