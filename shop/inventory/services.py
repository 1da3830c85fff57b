from collections.abc import Collection, Mapping
from datetime import datetime

from django.db import connection
from django.db.models import F

from config.kit.db import joined
from config.kit.errors import Refusal
from shop.inventory.models import Stock, StockEvent


class SoldOut(Refusal):
    message = "库存不足"


_LOCK = "SELECT 1 FROM shop_stock WHERE sku_id = ANY(%s) ORDER BY sku_id FOR UPDATE"
_CHANGE = """
UPDATE shop_stock s SET on_hand = s.on_hand + d.on_hand, promised = s.promised + d.promised
FROM unnest(%s::bigint[], %s::int[], %s::int[]) AS d (sku_id, on_hand, promised)
WHERE s.sku_id = d.sku_id AND s.promised + d.promised BETWEEN 0 AND s.on_hand + d.on_hand
"""


def _change(pieces: Mapping[int, int], *, on_hand: int, promised: int) -> bool:
    """Whether every row could be changed; SKUs are locked in id order, so nobody deadlocks."""
    if not pieces:
        return True
    ids = sorted(pieces)
    with connection.cursor() as cursor:
        if len(ids) > 1:
            cursor.execute(_LOCK, [ids])
        cursor.execute(
            _CHANGE,
            [ids, [pieces[pk] * on_hand for pk in ids], [pieces[pk] * promised for pk in ids]],
        )
        return bool(cursor.rowcount == len(ids))


@joined
def promise(*, pieces: Mapping[int, int]) -> None:
    """Promise pieces by SKU id, all or none; SoldOut otherwise."""
    if not _change(pieces, on_hand=0, promised=1):
        raise SoldOut


@joined
def release(*, pieces: Mapping[int, int]) -> None:
    """Give promised pieces back to common stock."""
    if not _change(pieces, on_hand=0, promised=-1):
        raise RuntimeError(f"released more than was promised: {dict(pieces)}")


@joined
def hand_out(*, pieces: Mapping[int, int]) -> None:
    """Promised pieces leave the house."""
    if not _change(pieces, on_hand=-1, promised=-1):
        raise RuntimeError(f"shipped more than was promised: {dict(pieces)}")


def open_stock(*, sku_id: int) -> None:
    """A SKU begins with no pieces; a second time changes nothing."""
    Stock.objects.bulk_create([Stock(sku_id=sku_id)], ignore_conflicts=True)


@joined
def adjust(*, sku_id: int, change: int, actor: str, reason: str, at: datetime) -> None:
    """Pieces arrive or are counted anew; what is promised cannot be taken away."""
    left = Stock.objects.filter(sku_id=sku_id, on_hand__gte=F("promised") - change)
    if left.update(on_hand=F("on_hand") + change) != 1:
        raise SoldOut("不能少于已占用的数量")
    StockEvent.objects.create(sku_id=sku_id, change=change, actor=actor, reason=reason, at=at)


@joined
def hold(*, sku_ids: Collection[int]) -> None:
    """Lock the stock of these SKUs, in their order, until the transaction ends."""
    rows = Stock.objects.filter(sku_id__in=sku_ids).select_for_update().order_by("sku_id")
    list(rows.values_list("sku_id"))


def free(*, sku_ids: list[int]) -> dict[int, int]:
    """Free pieces by SKU id, with the rows locked: for those who then decide who gets them."""
    rows = Stock.objects.filter(sku_id__in=sku_ids).select_for_update().order_by("sku_id")
    return {row.sku_id: row.on_hand - row.promised for row in rows}
