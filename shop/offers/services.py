from collections.abc import Mapping
from datetime import datetime

from django.db import connection
from django.db.models import F

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.states import move
from shop.inventory import services as inventory
from shop.offers.models import Offer
from shop.offers.rules import TRANSITIONS, Status


class OfferGone(Refusal):
    message = "已抢光或已结束"


@joined
def open_offer(
    *,
    sku_id: int,
    price_fen: int,
    quota: int,
    starts_at: datetime,
    ends_at: datetime,
    source: str,
    reference: str,
) -> Offer:
    """Set pieces aside for the occasion (SoldOut if there are too few): nobody else sells them."""
    offer = Offer.objects.create(
        number=numbers.fresh("O"),
        sku_id=sku_id,
        price_fen=price_fen,
        quota=quota,
        starts_at=starts_at,
        ends_at=ends_at,
        source=source,
        reference=reference,
    )
    inventory.promise(pieces={sku_id: quota})
    return offer


@joined
def close_offer(*, offer: Offer) -> int:
    """End it; pieces that nobody took go back to common stock.  Answers how many."""
    inventory.hold(sku_ids=[offer.sku_id])
    move(Offer.objects.filter(pk=offer.pk), Status.CLOSED, TRANSITIONS)
    offer.refresh_from_db(fields=["taken", "quota"])
    left = offer.quota - offer.taken
    inventory.release(pieces={offer.sku_id: left} if left else {})
    return left


_LOCK = "SELECT 1 FROM shop_offer WHERE id = ANY(%s) ORDER BY id FOR UPDATE"
_TAKE = """
UPDATE shop_offer o SET taken = o.taken + d.quantity
FROM unnest(%s::bigint[], %s::int[]) AS d (id, quantity)
WHERE o.id = d.id AND o.status = 'OPEN' AND o.starts_at <= %s AND o.ends_at > %s
  AND o.taken + d.quantity <= o.quota
"""


@joined
def take(*, pieces: Mapping[int, int], at: datetime) -> None:
    """Take pieces by offer id, all or none; OfferGone otherwise."""
    if not pieces:
        return
    ids = sorted(pieces)
    with connection.cursor() as cursor:
        if len(ids) > 1:
            cursor.execute(_LOCK, [ids])
        cursor.execute(_TAKE, [ids, [pieces[pk] for pk in ids], at, at])
        if cursor.rowcount != len(ids):
            raise OfferGone


@joined
def give_back(*, pieces: Mapping[int, int]) -> None:
    """Return pieces by offer id: to the offer while it is open, else to common stock.

    The caller holds the stock of their SKUs: stock is always locked before offers.
    """
    to_stock: dict[int, int] = {}
    rows = Offer.objects.filter(pk__in=pieces).select_for_update().order_by("pk")
    for offer in rows:
        Offer.objects.filter(pk=offer.pk).update(taken=F("taken") - pieces[offer.pk])
        if offer.status == Status.CLOSED:
            to_stock[offer.sku_id] = to_stock.get(offer.sku_id, 0) + pieces[offer.pk]
    inventory.release(pieces=to_stock)


def free(*, offer_ids: list[int], at: datetime) -> dict[int, int]:
    """Pieces left by offer id, with the rows locked; a closed or overdue offer has none."""
    rows = Offer.objects.filter(pk__in=offer_ids).select_for_update().order_by("pk")
    return {
        row.pk: row.quota - row.taken
        if row.status == Status.OPEN and row.starts_at <= at < row.ends_at
        else 0
        for row in rows
    }
