from collections.abc import Sequence
from datetime import datetime

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import NotFound, Refusal
from shop.fulfilment.models import Shipment
from shop.orders import holding
from shop.orders.models import Order
from shop.orders.rules import Status


class NotPaid(Refusal):
    message = "订单不是待发货状态"


@joined
def ship(
    *,
    order: Order,
    lines: Sequence[int] | None,
    carrier: str,
    tracking_no: str,
    no_logistics: bool,
    evidence: str,
    actor: str,
    at: datetime,
) -> Shipment:
    """Send lines by their numbers (None: all that is left); NotPaid, StaleState if sent before."""
    if order.status != Status.PAID:
        raise NotPaid(status=order.status)
    left = {line.line: line for line in order.lines.all() if not line.is_shipped}
    asked = list(left) if lines is None else list(dict.fromkeys(lines))
    if not asked or not set(asked) <= set(left):
        raise NotFound("没有这一行，或已发货")
    going = [left[n] for n in asked]
    shipment = Shipment.objects.create(
        number=numbers.fresh("F"),
        order=order,
        carrier=carrier,
        tracking_no=tracking_no,
        no_logistics=no_logistics,
        evidence=evidence,
        actor=actor,
        shipped_at=at,
    )
    shipment.lines.set(going)
    holding.mark_shipped(order=order, lines=going, no_logistics=no_logistics, actor=actor, at=at)
    return shipment
