from collections.abc import Iterator
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from shop.wechat_shipping.models import ShippingReport
from shop.wechat_shipping.rules import Status


def ahead() -> timedelta:
    """How long before the deadline we begin to worry."""
    return timedelta(hours=settings.WECHAT_SHIPPING_ALERT_HOURS)


def for_a_person(rows: QuerySet[ShippingReport]) -> QuerySet[ShippingReport]:
    """Refused, or different from what WeChat knows."""
    return rows.filter(Q(status=Status.FAILED) | ~Q(difference=""))


_FORGOTTEN = """
SELECT t.out_trade_no FROM payments_wechattrade t
JOIN payments_payment p ON p.id = t.payment_id
WHERE t.status = 'PAID' AND t.paid_at < now() - interval '1 hour' AND p.purpose = 'ORDER'
  AND NOT EXISTS (SELECT FROM shop_shippingreport r WHERE r.trade_id = t.id) LIMIT 20
"""
_UNTOLD = """
SELECT o.number, s.tracking_no FROM shop_shippingreport r
JOIN shop_order o ON o.id = r.order_id JOIN shop_shipment s ON s.order_id = o.id
WHERE r.status IN ('REPORTED', 'CORRECTED') AND s.tracking_no <> '' AND r.difference = ''
  AND (r.kind IS NULL OR r.kind = 1)
  AND jsonb_array_length(r.told -> 'shipping_list') < 15
  AND NOT r.told -> 'shipping_list' @> jsonb_build_array(
      jsonb_build_object('tracking_no', s.tracking_no)) LIMIT 20
"""


def findings() -> Iterator[str]:
    """Payments by WeChat Pay against the reports, and these against what was sent."""
    if not settings.WECHAT_PAY:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FORGOTTEN)
        for (number,) in cursor.fetchall():
            yield f"微信支付交易 {number} 没有发货信息记录"
        cursor.execute(_UNTOLD)
        for number, tracking_no in cursor.fetchall():
            yield f"订单 {number} 的运单 {tracking_no} 没有上报微信"
