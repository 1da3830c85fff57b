from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Prefetch, QuerySet

from config.kit import sql
from config.kit.money import yuan
from config.kit.viewer import Viewer
from members.guarantee import queries as guarantee
from members.merchants.models import Merchant
from shop.orders.models import Order, OrderLine
from shop.orders.rules import Status, actions

PAID = [Status.PAID, Status.SHIPPED, Status.RECEIVED, Status.DONE]


def for_buyer(buyer: Viewer, status: str = "") -> QuerySet[Order]:
    """What the order list shows, in a fixed number of queries however long the list."""
    return _whole(Order.objects.of(buyer), status)


def for_staff(viewer: Viewer, role: str, status: str = "") -> QuerySet[Order]:
    return _whole(Order.objects.seen_by(viewer, role), status)


def whole(orders: Sequence[Order]) -> QuerySet[Order]:
    """The same rows with all that `shown` reads."""
    return _whole(Order.objects.filter(pk__in=[order.pk for order in orders]), "").order_by("pk")


def _whole(rows: QuerySet[Order], status: str) -> QuerySet[Order]:
    if status:
        rows = rows.filter(status=status)
    lines = Prefetch("lines", OrderLine.objects.select_related("sku"))
    return rows.select_related("merchant", "guide__user").prefetch_related(lines, "shipments")


class Payable(NamedTuple):
    """What is to be known of an order that is to be paid.

    `paths`: of what is ordered, each category with those above it, as "oolong/tea"; "" for what
    has none.
    """

    id: int
    status: str
    placed_at: datetime
    pay_before: datetime
    total_fen: int
    merchant: str
    transfer_working_days: int
    has_offer: bool
    paths: list[str]


# The tree of categories is typed by people: ten steps up are enough, also around in a circle.
_PAYABLE = """
SELECT o.id, o.status, o.placed_at, o.pay_before, o.total_fen, m.number, m.transfer_working_days,
    EXISTS (SELECT FROM shop_orderline l WHERE l.order_id = o.id AND l.offer_id IS NOT NULL),
    ARRAY(
        WITH RECURSIVE up (path, parent_id, steps) AS (
            SELECT DISTINCT coalesce(c.code, ''), c.parent_id, 1
            FROM shop_orderline l
            JOIN shop_sku s ON s.id = l.sku_id
            JOIN shop_product p ON p.id = s.product_id
            LEFT JOIN shop_category c ON c.id = p.category_id
            WHERE l.order_id = o.id
            UNION ALL
            SELECT up.path || '/' || c.code, c.parent_id, up.steps + 1
            FROM up JOIN shop_category c ON c.id = up.parent_id WHERE up.steps < 10
        )
        SELECT path FROM up WHERE parent_id IS NULL OR steps = 10 ORDER BY path
    )
FROM shop_order o JOIN members_merchant m ON m.id = o.merchant_id
WHERE o.buyer_id = %s AND o.number = %s
"""


def payable(*, buyer_id: int, number: str, is_locked: bool) -> Payable | None:
    """An order of this buyer's; one statement."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_PAYABLE} FOR UPDATE OF o" if is_locked else _PAYABLE, [buyer_id, number])
        row = cursor.fetchone()
    return Payable._make(row) if row else None


_CASES = """
SELECT m.number, count(*) FROM (
    SELECT id, merchant_id FROM shop_order
    WHERE frozen_at IS NOT NULL AND done_at IS NULL AND closed_at IS NULL
    UNION
    SELECT o.id, o.merchant_id FROM shop_heldline h JOIN shop_order o ON o.id = h.order_id
    WHERE h.stopped_at IS NOT NULL
) AS stands JOIN members_merchant m ON m.id = stands.merchant_id
WHERE m.number = ANY(%s::text[]) GROUP BY m.number
"""


def open_cases(merchants: Sequence[str]) -> dict[str, int]:
    """A counter of the guarantee: orders that stand still, frozen or with a case, by merchant."""
    with connection.cursor() as cursor:
        cursor.execute(_CASES, [sql.texts(merchants)])
        return dict(cursor.fetchall())


class Year(NamedTuple):
    """In Shanghai, by the time of payment; amounts are those of the orders."""

    year: int
    orders: int
    merchants: int
    fen: int


# From each moment on at which a merchant came to be guaranteed, until its next one.
_YEARS = """
WITH guaranteed AS (
    SELECT g.merchant_id, e.status, e.at AS since,
           lead(e.at) OVER (PARTITION BY e.guarantee_id ORDER BY e.id) AS until
    FROM members_guaranteeevent e JOIN members_guarantee g ON g.id = e.guarantee_id
)
SELECT extract(year FROM o.paid_at AT TIME ZONE 'Asia/Shanghai')::int AS year,
       count(*), count(DISTINCT o.merchant_id), sum(o.total_fen)::bigint
FROM shop_order o JOIN guaranteed g ON g.merchant_id = o.merchant_id AND g.status = 'ACTIVE'
    AND o.paid_at >= g.since AND (g.until IS NULL OR o.paid_at < g.until)
JOIN members_merchant m ON m.id = o.merchant_id
WHERE o.paid_at IS NOT NULL AND (%(all)s OR m.number = ANY(%(merchants)s::text[]))
GROUP BY 1 ORDER BY 1 DESC
"""


def guaranteed_by_year(tenants: frozenset[str] | None) -> list[Year]:
    """S002.27: orders that were paid while their merchant was guaranteed, and merchants served.

    `tenants`: of these merchants only; None for all.
    """
    told: dict[str, Any] = {"all": tenants is None, "merchants": sql.texts(tenants or ())}
    with connection.cursor() as cursor:
        cursor.execute(_YEARS, told)
        return [Year._make(row) for row in cursor.fetchall()]


def guarantee_of(merchant: Merchant) -> dict[str, Any]:
    """What everybody may know of it; what was turned over is the merchant's own business."""
    since = guarantee.active_since(merchant)
    years = guaranteed_by_year(frozenset({merchant.number}))
    return {
        "merchant": {"id": merchant.number, "name": merchant.name},
        "badges": ["GUARANTEED"] if since else [],
        "since_at": since,
        "orders": sum(one.orders for one in years),
        "years": [{"year": one.year, "orders": one.orders} for one in years],
    }


class KindOf(NamedTuple):
    """What a line is: its categories, nearest first, and the receipt days that one of them says."""

    path: list[str]
    receive_days: int | None


_KINDS = """
WITH RECURSIVE up AS (
    SELECT l.id AS line_id, c.code, c.parent_id, c.receive_days, 1 AS steps
    FROM shop_orderline l
    JOIN shop_sku s ON s.id = l.sku_id
    JOIN shop_product p ON p.id = s.product_id
    JOIN shop_category c ON c.id = p.category_id
    WHERE l.id = ANY(%s::bigint[])
    UNION ALL
    SELECT up.line_id, c.code, c.parent_id, c.receive_days, up.steps + 1
    FROM up JOIN shop_category c ON c.id = up.parent_id WHERE up.steps < 10
)
SELECT line_id, array_agg(code ORDER BY steps),
    (array_agg(receive_days ORDER BY steps) FILTER (WHERE receive_days IS NOT NULL))[1]
FROM up GROUP BY line_id
"""


def kinds_of(lines: Sequence[OrderLine]) -> dict[int, KindOf]:
    """By key of the line; one query."""
    with connection.cursor() as cursor:
        cursor.execute(_KINDS, [sql.ints(line.pk for line in lines)])
        found = {pk: KindOf(path, days) for pk, path, days in cursor.fetchall()}
    return {line.pk: found.get(line.pk, KindOf([], None)) for line in lines}


def shown(orders: Sequence[Order]) -> list[dict[str, Any]]:
    """Orders as the API answers them."""
    return [_shown(order) for order in orders]


def _shown(order: Order) -> dict[str, Any]:
    lines = sorted(order.lines.all(), key=lambda line: line.line)
    return {
        "number": order.number,
        "merchant": {"id": order.merchant.number, "name": order.merchant.name},
        "status": order.status,
        "close_reason": order.close_reason or None,
        "total_fen": order.total_fen,
        "placed_at": order.placed_at,
        "pay_before": order.pay_before,
        "paid_at": order.paid_at,
        "shipped_at": order.shipped_at,
        "received_at": order.received_at,
        "closed_at": order.closed_at,
        "consignee": order.consignee,
        "remark": order.remark,
        "guide": {"nickname": order.guide.user.nickname} if order.guide else None,
        "lines": [
            {
                "line": line.line,
                "sku": line.sku.number,
                "title": line.title,
                "sku_name": line.sku_name,
                "quantity": line.quantity,
                "unit_price_fen": line.unit_price_fen,
                "total_fen": line.total_fen,
                "price_reason": line.price_reason,
                "is_shipped": line.is_shipped,
            }
            for line in lines
        ],
        "shipments": [
            {
                "number": shipment.number,
                "carrier": shipment.carrier or None,
                "tracking_no": shipment.tracking_no or None,
                "no_logistics": shipment.no_logistics,
                "shipped_at": shipment.shipped_at,
            }
            for shipment in order.shipments.all()
        ],
        "actions": actions(order.status, has_shipped_lines=any(line.is_shipped for line in lines)),
    }


_UNEVEN = """
SELECT o.number, o.status, o.total_fen, coalesce(p.fen, 0)
FROM shop_order o LEFT JOIN (
    SELECT reference, sum(received_fen - refunded_fen) AS fen FROM payments_payment
    WHERE purpose = 'ORDER' GROUP BY reference
) p ON p.reference = o.number
WHERE (o.status IN ('PAID', 'SHIPPED', 'RECEIVED', 'DONE') AND coalesce(p.fen, 0) <> o.total_fen
       AND NOT (o.freeze_reason = 'REVERSED' AND o.status <> 'DONE'
                AND coalesce(p.fen, 0) < o.total_fen))
   OR (o.status = 'UNPAID' AND coalesce(p.fen, 0) >= o.total_fen)
   OR (o.status = 'CLOSED' AND coalesce(p.fen, 0) <> 0)
LIMIT 20
"""
_IN_VAIN = """
SELECT p.number, o.number FROM payments_payment p
JOIN shop_order o ON p.purpose = 'ORDER' AND p.reference = o.number
WHERE p.status = 'WAITING' AND o.status = 'CLOSED' LIMIT 20
"""
# Money in guarantee per merchant: paid, not refunded, and its lines not released.
_HELD = """
SELECT number, sum(fen) FROM (
    SELECT m.number, p.received_fen - p.refunded_fen AS fen
    FROM shop_order o JOIN members_merchant m ON m.id = o.merchant_id
    JOIN payments_payment p ON p.purpose = 'ORDER' AND p.reference = o.number
    UNION ALL
    SELECT m.number, -h.amount_fen FROM shop_heldline h JOIN shop_order o ON o.id = h.order_id
    JOIN members_merchant m ON m.id = o.merchant_id WHERE h.released_at IS NOT NULL
) AS held GROUP BY number
"""
_HELD_BOOKED = """
SELECT split_part(a.code, ':', 2), -sum(e.amount_fen) FROM payments_entry e
JOIN payments_account a ON a.id = e.account_id
WHERE a.code IN (SELECT 'held:' || number FROM members_merchant) GROUP BY a.code
"""
_TOTALS = """
SELECT o.number FROM shop_order o JOIN shop_orderline l ON l.order_id = o.id
GROUP BY o.id HAVING sum(l.total_fen) <> o.total_fen LIMIT 20
"""
# Every line that was sent is held or was released, with its own amount; and only those.
_LINES = """
SELECT o.number, l.line FROM shop_orderline l JOIN shop_order o ON o.id = l.order_id
LEFT JOIN shop_heldline h ON h.line_id = l.id
WHERE l.is_shipped <> (h.line_id IS NOT NULL)
   OR h.amount_fen <> l.total_fen OR h.order_id <> l.order_id LIMIT 20
"""
_ENDS = """
SELECT o.number, o.status FROM shop_order o JOIN shop_heldline h ON h.order_id = o.id
GROUP BY o.id
HAVING (o.status = 'DONE') <> (bool_and(h.released_at IS NOT NULL) AND o.status IN
                               ('RECEIVED', 'DONE'))
    OR o.status = 'RECEIVED' AND bool_or(h.received_at IS NULL)
    OR o.status = 'SHIPPED' AND bool_and(h.received_at IS NOT NULL)
    OR (o.frozen_at IS NULL OR o.status = 'DONE') AND bool_or('FROZEN' = ANY(h.stopped_by))
    OR o.frozen_at IS NOT NULL
       AND bool_or(h.released_at IS NULL AND NOT 'FROZEN' = ANY(h.stopped_by)) LIMIT 20
"""
# One posting books many lines: together they are what its legs say.
_RELEASED = """
WITH released AS (
    SELECT posting, sum(amount_fen) AS fen, sum(fee_fen) AS fee FROM shop_heldline
    WHERE posting <> '' GROUP BY posting
), booked AS (
    SELECT p.reference AS posting, sum(e.amount_fen) FILTER (WHERE e.amount_fen > 0) AS fen,
           coalesce(-sum(e.amount_fen) FILTER (WHERE a.code LIKE 'platform:%'), 0) AS fee
    FROM payments_posting p JOIN payments_entry e ON e.posting_id = p.id
    JOIN payments_account a ON a.id = e.account_id WHERE p.kind = 'RELEASE' GROUP BY p.reference
)
SELECT posting, coalesce(r.fen, 0), coalesce(b.fen, 0)
FROM released r FULL JOIN booked b USING (posting)
WHERE (coalesce(r.fen, 0), coalesce(r.fee, 0)) <> (coalesce(b.fen, 0), coalesce(b.fee, 0))
LIMIT 20
"""


def findings() -> Iterator[str]:
    """Orders against their payments, and the guarantee accounts against the orders."""
    with connection.cursor() as cursor:
        cursor.execute(_UNEVEN)
        for number, status, total, paid in cursor.fetchall():
            yield f"订单 {number} 状态 {status}，应付 {yuan(total)} 元，净收 {yuan(int(paid))} 元"
        cursor.execute(_IN_VAIN)
        for payment, number in cursor.fetchall():
            yield f"订单 {number} 已关闭，支付单 {payment} 却仍待支付"
        cursor.execute(_TOTALS)
        for (number,) in cursor.fetchall():
            yield f"订单 {number} 各行合计与订单金额不符"
        cursor.execute(_HELD)
        expected = {number: int(fen) for number, fen in cursor.fetchall()}
        cursor.execute(_HELD_BOOKED)
        booked = {number: int(fen) for number, fen in cursor.fetchall()}
    for number in sorted(expected.keys() | booked.keys()):
        if expected.get(number, 0) != booked.get(number, 0):
            yield (
                f"商家 {number} 担保金账面 {yuan(booked.get(number, 0))} 元，"
                f"未完结订单净收 {yuan(expected.get(number, 0))} 元"
            )
    yield from _line_findings()


def _line_findings() -> Iterator[str]:
    """The guarantee of each line with its order, and what was released with the ledger."""
    with connection.cursor() as cursor:
        cursor.execute(_LINES)
        for number, line in cursor.fetchall():
            yield f"订单 {number} 第 {line} 行的发货与担保明细不符"
        cursor.execute(_ENDS)
        for number, status in cursor.fetchall():
            yield f"订单 {number} 状态 {status} 与担保明细不符"
        cursor.execute(_RELEASED)
        for posting, released, booked in cursor.fetchall():
            yield (
                f"放款凭证 {posting} 入账 {yuan(int(booked))} 元，"
                f"担保明细合计 {yuan(int(released))} 元，或手续费不符"
            )
