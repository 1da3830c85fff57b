"""What the cashier asks about orders (settings.PAYABLES["ORDER"]).

The top of the shop, and the only place where packages that must not know each other meet.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from config.kit.errors import NotFound, StaleState
from payments.calendar import queries as calendar
from payments.cashier.rules import Due
from shop.orders import freezing, queries, reopening
from shop.orders import services as orders
from shop.orders.models import Order
from shop.orders.rules import Status


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    """The order's total; a transfer gets working days, except for pieces of an offer.

    The order stays locked: it is not closed before its payment is there to be closed with it.
    The days count from the order, so that asking again does not hold its pieces for ever.
    """
    rows = queries.with_categories(Order.objects.select_related("merchant"))
    if method:
        rows = rows.select_for_update(of=("self",))
    order = rows.filter(buyer_id=payer_id, number=reference).first()
    if order is None:
        raise NotFound
    if order.status != Status.UNPAID or order.pay_before <= at:
        raise StaleState("订单不是待付款状态")
    until = order.pay_before
    if method == "BANK_TRANSFER" and not order.lines.filter(offer__isnull=False).exists():
        until = max(until, _end_of_transfer(order))
        orders.extend(order=order, until=until)
    return Due(order.total_fen, order.merchant.number, until, queries.paths_of(order))


def _end_of_transfer(order: Order) -> datetime:
    days = order.merchant.transfer_working_days
    return calendar.deadline(start=order.placed_at, working_days=days)


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    return orders.receive_payments(order_numbers=references, at=at)


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    orders.unpay(order_numbers=references, at=at)


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    return reopening.reopen(closed_since=references, at=at)


def reversed(*, references: Mapping[str, bool], at: datetime) -> set[str]:
    return freezing.freeze(order_numbers=references, at=at)


def refunded(*, references: Sequence[str], at: datetime) -> None:
    orders.note_refunds(order_numbers=references, at=at)
