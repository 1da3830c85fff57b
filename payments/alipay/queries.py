from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from django.conf import settings
from django.db import connection
from django.db.models import Exists, OuterRef
from django.utils.module_loading import import_string

from config.kit.money import yuan
from payments.alipay.models import AlipayLink, AlipayTrade
from payments.alipay.rules import Page, Standing, Status, hash_of, page_of
from payments.cashier.models import Payment

SOURCE = "clearing:alipay"  # what Alipay has for us, until its bill says that it is ours

# Every paid trade is one arrival of its payment's, with the same amount; and the other way round.
_FINDINGS = """
SELECT t.out_trade_no, t.amount_fen, r.amount_fen
FROM (SELECT * FROM payments_alipaytrade WHERE status = 'PAID') t
FULL JOIN (SELECT * FROM payments_receipt WHERE method IN ('ALIPAY_LINK', 'ALIPAY_QR')) r
  ON r.payment_id = t.payment_id AND r.channel_txn = t.trade_no
WHERE t.amount_fen IS DISTINCT FROM r.amount_fen LIMIT 20
"""


def findings() -> Iterator[str]:
    """Trades of Alipay against the arrivals of the cashier."""
    with connection.cursor() as cursor:
        cursor.execute(_FINDINGS)
        for number, paid, received in cursor.fetchall():
            yield (
                f"支付宝交易 {number or '（无）'} 已支付 {yuan(paid or 0)} 元，"
                f"到账记录 {yuan(received or 0)} 元"
            )


@dataclass(frozen=True, slots=True)
class Linked:
    """What the holder of a link may see of its payment."""

    payment: Payment
    page: Page
    expires_at: datetime


def linked(token: str, at: datetime) -> Linked | None:
    """One query; None for a link of nobody's."""
    paid = AlipayTrade.objects.filter(payment=OuterRef("payment"), status=Status.PAID)
    links = AlipayLink.objects.select_related("payment").annotate(is_paid=Exists(paid))
    link = links.filter(token_hash=hash_of(token)).first()
    if link is None:
        return None
    payment = link.payment
    standing = Standing(
        payment.status, payment.amount_fen, payment.refunded_fen, link.is_paid, link.expires_at
    )
    return Linked(payment, page_of(standing, at), link.expires_at)


def payee(merchant: str) -> str:
    """What buyers call a merchant; what is no merchant's (a top-up) is paid to the platform."""
    return cast(str, import_string(settings.MERCHANT_NAME)(merchant)) or settings.PLATFORM_NAME
