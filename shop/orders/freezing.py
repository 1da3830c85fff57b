"""The bank took an order's money back: it waits for new money, or for a person's word."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from config.kit.db import joined
from config.kit.errors import StaleState
from members.guides import services as commissions
from payments.cashier import services as cashier
from payments.ledger.services import NotCovered
from shop.orders import clock, services
from shop.orders.models import HeldLine, Order, OrderEvent
from shop.orders.rules import LIVE, FreezeReason, Status

logger = logging.getLogger(__name__)


@joined
def freeze(*, order_numbers: Mapping[str, bool], at: datetime) -> dict[str, int]:
    """Stop these orders and their clocks: by number whether they are unpaid now.

    Answers how many fen of each the merchant has already: lines that were released.  Their
    guides earn nothing of them: what is pending is void, what was earned goes back.
    """
    rows = Order.objects.filter(number__in=order_numbers).exclude(status=Status.UNPAID)
    orders = list(rows.select_for_update().order_by("pk"))
    unpaid = [order for order in orders if order_numbers[order.number]]
    paid = [order for order in orders if not order_numbers[order.number]]
    # That its money is missing counts more than a loss for which it stands still already.
    Order.objects.filter(pk__in=[order.pk for order in unpaid]).exclude(
        freeze_reason=FreezeReason.REVERSED
    ).update(frozen_at=at, freeze_reason=FreezeReason.REVERSED)
    Order.objects.filter(pk__in=[order.pk for order in paid], frozen_at=None).update(
        frozen_at=at, freeze_reason=FreezeReason.LOSS
    )
    services.record([*unpaid, *paid], "FROZEN", at)
    clock.stop(order_ids=[order.pk for order in orders], why=clock.FROZEN, at=at)
    released = _released(orders)
    commissions.void(order_numbers=[order.number for order in unpaid], at=at)
    _take_commissions_back([order.number for order in unpaid if order.number in released], at)
    return released


def _released(orders: Sequence[Order]) -> dict[str, int]:
    lines = HeldLine.objects.filter(order__in=orders, released_at__isnull=False)
    return dict(lines.values_list("order__number").annotate(fen=Sum("amount_fen")))


def _take_commissions_back(order_numbers: Sequence[str], at: datetime) -> None:
    for number in order_numbers:
        try:
            with transaction.atomic():
                commissions.reverse(order_numbers=[number], at=at)
        except NotCovered:
            # The guide has spent it.  The bank's word stands; a person asks the guide.
            logger.error("commission of reversed order %s is not covered", number)


@joined
def unfreeze(*, order: Order, reason: str, actor: str, at: datetime) -> None:
    """A person lets the order go on; where its money is missing, the merchant answers for it.

    StaleState unless it is frozen.
    """
    cashier.hold(purpose=services.PURPOSE, references=[order.number])
    services.hold(order=order)
    held = Order.objects.frozen().filter(pk=order.pk).first()
    if held is None:
        raise StaleState
    Order.objects.filter(pk=order.pk).update(frozen_at=None, freeze_reason="")
    clock.resume(order_ids=[order.pk], why=clock.FROZEN, at=at)
    facts = {"reason": reason}
    OrderEvent.objects.create(order_id=order.pk, kind="UNFROZEN", actor=actor, at=at, facts=facts)
    if held.freeze_reason == FreezeReason.REVERSED and held.status in LIVE:
        services.expect_commissions(order_ids=[order.pk], at=at)
        cashier.cover(purpose=services.PURPOSE, reference=order.number, actor=actor, at=at)
