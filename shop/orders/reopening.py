"""Money that comes after its order expired: the order is paid after all, if it still can be."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

from config.kit.db import joined
from config.kit.errors import Refusal
from members.memberships import queries as memberships
from shop.checkout import services as checkout
from shop.checkout.rules import Item
from shop.inventory import services as inventory
from shop.orders import services
from shop.orders.models import Order, OrderLine
from shop.orders.rules import CloseReason, Status


@joined
def reopen(*, closed_since: Mapping[str, datetime], at: datetime) -> set[str]:
    """Answers the numbers of those that are PAID now; by number the earliest closing that counts.

    Only what expired, whose every line costs its buyer today what it did, and for which there
    are pieces: first come, first served, in the order of their placing.
    """
    rows = Order.objects.filter(
        number__in=closed_since,
        status=Status.CLOSED,
        close_reason=CloseReason.EXPIRED,
        frozen_at=None,
    ).select_for_update()
    orders = [
        order
        for order in rows.order_by("pk")
        if order.closed_at and order.closed_at >= closed_since[order.number]
    ]
    lines = _lines(orders)
    able = _promise(_at_the_same_price(orders, lines), lines)
    Order.objects.filter(pk__in=[order.pk for order in able]).update(
        status=Status.UNPAID, closed_at=None, close_reason=""
    )
    services.record(able, "REOPENED", at)
    numbers = [order.number for order in able]
    return set(numbers) - services.receive_payments(order_numbers=numbers, at=at)


def _lines(orders: Sequence[Order]) -> dict[int, list[OrderLine]]:
    """By order, with their SKUs."""
    found: dict[int, list[OrderLine]] = {order.pk: [] for order in orders}
    rows = OrderLine.objects.filter(order__in=orders).select_related("sku")
    for line in rows.order_by("order_id", "line"):
        found[line.order_id].append(line)
    return found


def _at_the_same_price(
    orders: Sequence[Order], lines: Mapping[int, list[OrderLine]]
) -> list[Order]:
    """What a lot or another occasion sold is over with it."""
    plain = [order for order in orders if not any(line.offer_id for line in lines[order.pk])]
    if not plain:
        return []
    standings = memberships.standings_of_many([order.buyer_id for order in plain])
    outcomes = checkout.price(
        wishes=[
            (
                standings.get(order.buyer_id, {}),
                [Item(line.sku.number, line.quantity) for line in lines[order.pk]],
            )
            for order in plain
        ]
    )
    return [
        order
        for order, today in zip(plain, outcomes, strict=True)
        if not isinstance(today, Refusal)
        and [line.quote.unit_fen for line in today]
        == [line.unit_price_fen for line in lines[order.pk]]
    ]


def _promise(orders: Sequence[Order], lines: Mapping[int, list[OrderLine]]) -> list[Order]:
    """Those for which there are pieces, which are theirs now."""
    free = inventory.free(
        sku_ids=sorted({line.sku_id for order in orders for line in lines[order.pk]})
    )
    taken: Counter[int] = Counter()
    able = []
    for order in orders:
        wanted: Counter[int] = Counter()
        for line in lines[order.pk]:
            wanted[line.sku_id] += line.quantity
        if all(free.get(sku, 0) - taken[sku] >= pieces for sku, pieces in wanted.items()):
            taken += wanted
            able.append(order)
    inventory.promise(pieces=taken)
    return able
