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
from shop.orders.rules import Status


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    """The order's total; a transfer gets working days, except for pieces of an offer.

    The order stays locked: it is not closed before its payment is there to be closed with it.
    The days count from the order, so that asking again does not hold its pieces for ever.
    """
    order = queries.payable(buyer_id=payer_id, number=reference, is_locked=bool(method))
    if order is None:
        raise NotFound
    if order.status != Status.UNPAID or order.pay_before <= at:
        raise StaleState("订单不是待付款状态")
    until = order.pay_before
    if method == "BANK_TRANSFER" and not order.has_offer:
        days = order.transfer_working_days
        until = max(until, calendar.deadline(start=order.placed_at, working_days=days))
        orders.extend(order_id=order.id, until=until)
    paths = tuple(tuple(path.split("/")) if path else () for path in order.paths)
    return Due(order.total_fen, order.merchant, until, paths)


def paid(*, references: Sequence[str], at: datetime) -> set[str]:
    return orders.receive_payments(order_numbers=references, at=at)


def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
    orders.unpay(order_numbers=references, at=at)


def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
    return reopening.reopen(closed_since=references, at=at)


def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
    return freezing.freeze(order_numbers=references, at=at)


def refunded(*, references: Sequence[str], at: datetime) -> None:
    orders.note_refunds(order_numbers=references, at=at)
