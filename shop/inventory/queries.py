from collections.abc import Iterator

from django.db import connection

# Promised = unshipped pieces of live orders + what offers have set aside and not yet shipped.
_UNEVEN = """
WITH ordered AS (
    SELECT l.sku_id, sum(l.quantity) AS pieces FROM shop_orderline l
    JOIN shop_order o ON o.id = l.order_id
    WHERE l.offer_id IS NULL AND NOT l.is_shipped AND o.status IN ('UNPAID', 'PAID')
    GROUP BY l.sku_id
), shipped AS (
    SELECT l.offer_id, sum(l.quantity) AS pieces FROM shop_orderline l
    WHERE l.offer_id IS NOT NULL AND l.is_shipped GROUP BY l.offer_id
), set_aside AS (
    SELECT f.sku_id, sum(CASE WHEN f.status = 'OPEN' THEN f.quota ELSE f.taken END
                         - coalesce(s.pieces, 0)) AS pieces
    FROM shop_offer f LEFT JOIN shipped s ON s.offer_id = f.id GROUP BY f.sku_id
)
SELECT k.number, t.promised, coalesce(o.pieces, 0) + coalesce(a.pieces, 0)
FROM shop_stock t JOIN shop_sku k ON k.id = t.sku_id
LEFT JOIN ordered o ON o.sku_id = t.sku_id LEFT JOIN set_aside a ON a.sku_id = t.sku_id
WHERE t.promised <> coalesce(o.pieces, 0) + coalesce(a.pieces, 0) LIMIT 20
"""
_OFFERS = """
SELECT f.number, f.taken, coalesce(sum(l.quantity) FILTER (WHERE o.status <> 'CLOSED'), 0)
FROM shop_offer f LEFT JOIN shop_orderline l ON l.offer_id = f.id
LEFT JOIN shop_order o ON o.id = l.order_id
GROUP BY f.id HAVING f.taken <> coalesce(sum(l.quantity) FILTER (WHERE o.status <> 'CLOSED'), 0)
LIMIT 20
"""


def findings() -> Iterator[str]:
    """Promised pieces against the orders and offers they are promised to."""
    with connection.cursor() as cursor:
        cursor.execute(_UNEVEN)
        for number, promised, true in cursor.fetchall():
            yield f"规格 {number} 占用 {promised} 件，订单与活动合计 {true} 件"
        cursor.execute(_OFFERS)
        for number, taken, true in cursor.fetchall():
            yield f"活动 {number} 已售 {taken} 件，订单合计 {true} 件"
