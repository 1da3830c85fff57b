"""From shipment to release: each line's money is held until receipt and after-sales (S002.49).

Whoever changes a line holds its order: a release and whatever else ends a line take turns.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from config.kit import numbers, sql
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.jobs import later
from config.kit.states import move
from members.guides import services as commissions
from members.guides.rules import commission_of
from payments.settlement import queries as rates
from payments.settlement import services as settlement
from payments.settlement.rules import deciding, fee
from shop.inventory import services as inventory
from shop.orders import services
from shop.orders.models import HeldLine, Order, OrderLine
from shop.orders.queries import kinds_of
from shop.orders.rules import TRANSITIONS, Status, receive_days


class OrderFrozen(Refusal):
    message = "订单已冻结，不能发货"


@joined
def mark_shipped(
    *, order: Order, lines: Sequence[OrderLine], no_logistics: bool, actor: str, at: datetime
) -> None:
    """These lines have left; the order is SHIPPED with its last one.  OrderFrozen stops it."""
    services.hold(order=order)
    if Order.objects.frozen().filter(pk=order.pk).exists():
        raise OrderFrozen
    leaving = OrderLine.objects.filter(pk__in=[line.pk for line in lines], is_shipped=False)
    if leaving.update(is_shipped=True) != len(lines):
        raise StaleState
    _start_clock(order, lines, no_logistics, at)
    paid = Order.objects.filter(pk=order.pk, status=Status.PAID)
    if order.lines.filter(is_shipped=False).exists():
        if not paid.exists():
            raise StaleState
    else:
        last = max(HeldLine.objects.filter(order=order).values_list("receive_before", flat=True))
        move(paid, Status.SHIPPED, TRANSITIONS, shipped_at=at, receive_before=last)
    services.record([order], "SHIPPED", at, actor)
    pieces: Counter[int] = Counter()
    for line in lines:
        pieces[line.sku_id] += line.quantity
    inventory.hand_out(pieces=pieces)


def _start_clock(
    order: Order, lines: Sequence[OrderLine], no_logistics: bool, at: datetime
) -> None:
    kinds = kinds_of(lines)
    in_force = rates.rates(merchant=order.merchant.number, at=order.placed_at)
    made = []
    for line in lines:
        kind = kinds[line.pk]
        ppm = deciding(in_force, merchant=order.merchant.number, path=kind.path)
        promised = commission_of(line.total_fen, order.commission_rate) if order.guide_id else 0
        days = receive_days(
            no_logistics=no_logistics,
            of_kind=kind.receive_days,
            of_merchant=order.merchant.auto_receive_days,
        )
        made.append(
            HeldLine(
                line=line,
                order=order,
                amount_fen=line.total_fen,
                fee_ppm=ppm,
                fee_fen=fee(line.total_fen, ppm, promised_fen=promised),
                receive_before=at + timedelta(days=days),
            )
        )
    HeldLine.objects.bulk_create(made)


# --- receipt ------------------------------------------------------------------------------------

_LOCK_RECEIPT_DUE = """
SELECT id FROM shop_order WHERE id IN (
    SELECT order_id FROM (
        SELECT order_id FROM shop_heldline
        WHERE receive_before <= %s AND received_at IS NULL AND stopped_at IS NULL
        ORDER BY receive_before, line_id LIMIT %s
    ) due
) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
# The window of a line whose clock stands begins where it stands.
_RECEIVE = """
WITH received AS (
    UPDATE shop_heldline h SET received_at = %(at)s::timestamptz,
        release_at = coalesce(h.stopped_at, %(at)s::timestamptz)
                     + make_interval(days => m.after_sale_days::int)
    FROM shop_order o JOIN members_merchant m ON m.id = o.merchant_id, shop_orderline l
    WHERE h.order_id = ANY(%(ids)s::bigint[]) AND o.id = h.order_id AND l.id = h.line_id
      AND h.received_at IS NULL AND o.status = ANY(%(states)s::text[])
      AND (NOT %(is_due)s OR h.receive_before <= %(at)s::timestamptz AND h.stopped_at IS NULL)
      AND (%(lines)s::int[] IS NULL OR l.line = ANY(%(lines)s::int[]))
    RETURNING h.order_id, h.line_id, l.line, h.release_at, m.after_sale_days = 0 AS is_over
), touched AS (
    SELECT r.order_id, array_agg(r.line ORDER BY r.line) AS lines, bool_or(r.is_over) AS is_over,
        greatest(max(r.release_at), (
            SELECT max(h.release_at) FROM shop_heldline h
            WHERE h.order_id = r.order_id
        )) AS finish_at,
        NOT EXISTS (
            SELECT FROM shop_heldline h WHERE h.order_id = r.order_id AND h.received_at IS NULL
              AND h.line_id NOT IN (SELECT line_id FROM received)
        ) AS is_all
    FROM received r GROUP BY r.order_id
), moved AS (
    UPDATE shop_order o SET status = 'RECEIVED', received_at = %(at)s::timestamptz,
        finish_at = t.finish_at
    FROM touched t WHERE o.id = t.order_id AND t.is_all AND o.status = 'SHIPPED'
    RETURNING o.id
), event AS (
    INSERT INTO shop_orderevent (order_id, kind, actor, at, facts)
    SELECT t.order_id, CASE WHEN m.id IS NULL THEN 'LINES_RECEIVED' ELSE 'RECEIVED' END,
        %(actor)s, %(at)s::timestamptz,
        CASE WHEN m.id IS NULL THEN jsonb_build_object('lines', to_jsonb(t.lines))
             ELSE '{}'::jsonb END
    FROM touched t LEFT JOIN moved m ON m.id = t.order_id
)
SELECT (SELECT count(*) FROM received), (SELECT coalesce(bool_or(is_over), false) FROM touched)
"""


@joined
def receive_due(*, at: datetime, limit: int) -> int:
    """Receipt confirms itself where the buyer has said nothing for the agreed days; lines.

    The order is RECEIVED with its last line.  Orders that somebody holds are left for next time.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_RECEIPT_DUE, [at, limit])
        ids = [pk for (pk,) in cursor.fetchall()]
    return _receive(ids, None, "", at, is_due=True)


@joined
def receive(
    *, order_numbers: Sequence[str], actor: str, at: datetime, lines: Sequence[int] | None = None
) -> int:
    """The buyer has the goods: the after-sale window begins; how many lines.

    Of orders that are sent as a whole; or some lines of one, by their numbers, when sent.
    """
    rows = Order.objects.filter(number__in=order_numbers).order_by("pk")
    ids = list(rows.select_for_update(no_key=True).values_list("pk", flat=True))
    return _receive(ids, lines, actor, at, is_due=False)


def _receive(
    ids: Sequence[int], lines: Sequence[int] | None, actor: str, at: datetime, *, is_due: bool
) -> int:
    if not ids:
        return 0
    # Without lines the buyer speaks of the whole order, which is on its way then.
    states = [Status.SHIPPED] if lines is None and not is_due else [Status.PAID, Status.SHIPPED]
    told: dict[str, Any] = {
        "at": at,
        "ids": sql.ints(ids),
        "states": sql.texts(states),
        "lines": None if lines is None else sql.ints(lines),
        "is_due": is_due,
        "actor": actor,
    }
    with connection.cursor() as cursor:
        cursor.execute(_RECEIVE, told)
        count, is_over = cursor.fetchone()
    if is_over:
        later("shop.orders.tasks.finish_received")
    return int(count)


def receive_one(
    *, order: Order, actor: str, at: datetime, lines: Sequence[int] | None = None
) -> None:
    """The buyer says so, of an order or of some of its lines; StaleState unless these were sent."""
    count = receive(order_numbers=[order.number], lines=lines, actor=actor, at=at)
    if count == 0 or (lines is not None and count != len(set(lines))):
        raise StaleState


# --- release ------------------------------------------------------------------------------------

_LOCK_RELEASE_DUE = """
SELECT id FROM shop_order WHERE id IN (
    SELECT order_id FROM (
        SELECT order_id FROM shop_heldline
        WHERE release_at <= %s AND released_at IS NULL AND stopped_at IS NULL
        ORDER BY release_at, line_id LIMIT %s
    ) due
) ORDER BY id FOR NO KEY UPDATE SKIP LOCKED
"""
_RELEASE = """
WITH released AS (
    UPDATE shop_heldline h SET released_at = %(at)s::timestamptz,
        posting = %(batch)s || ':' || m.number
    FROM shop_order o JOIN members_merchant m ON m.id = o.merchant_id
    WHERE h.order_id = ANY(%(ids)s::bigint[]) AND o.id = h.order_id
      AND h.release_at <= %(at)s::timestamptz AND h.released_at IS NULL AND h.stopped_at IS NULL
    RETURNING h.order_id, h.line_id, h.amount_fen, h.fee_fen, m.number AS merchant,
        o.status = 'RECEIVED' AS may_end, o.number, o.guide_id
), touched AS (
    SELECT r.order_id, r.may_end AND NOT EXISTS (
        SELECT FROM shop_heldline h WHERE h.order_id = r.order_id AND h.released_at IS NULL
          AND h.line_id NOT IN (SELECT line_id FROM released)
    ) AS is_end
    FROM released r GROUP BY r.order_id, r.may_end
), ended AS (
    UPDATE shop_order o SET status = 'DONE', done_at = %(at)s::timestamptz
    FROM touched t WHERE o.id = t.order_id AND t.is_end
), event AS (
    INSERT INTO shop_orderevent (order_id, kind, actor, at, facts)
    SELECT order_id, CASE WHEN is_end THEN 'DONE' ELSE 'RELEASED' END, '', %(at)s::timestamptz,
        '{}'
    FROM touched
)
SELECT r.merchant, count(*), sum(r.amount_fen), sum(r.fee_fen),
    array_agg(r.number) FILTER (WHERE r.guide_id IS NOT NULL),
    array_agg(l.line) FILTER (WHERE r.guide_id IS NOT NULL)
FROM released r LEFT JOIN shop_orderline l ON l.id = r.line_id AND r.guide_id IS NOT NULL
GROUP BY r.merchant ORDER BY r.merchant
"""


@joined
def release_due(*, at: datetime, limit: int) -> int:
    """Too late to return anything: held money is the merchant's, commissions are earned; lines.

    A constant number of statements for a batch of `limit` lines, one posting a merchant.  Orders
    that somebody holds (a reversal, another sweep) are left for next time.  All or nothing: a
    sweep that is killed is as if it had not begun.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_RELEASE_DUE, [at, limit])
        ids = [pk for (pk,) in cursor.fetchall()]
    return _release(ids, at)


@joined
def finish(*, order_numbers: Sequence[str], at: datetime) -> int:
    """The same of these orders' lines that are due."""
    rows = Order.objects.filter(number__in=order_numbers).order_by("pk")
    locked = rows.select_for_update(no_key=True, skip_locked=True)
    return _release(list(locked.values_list("pk", flat=True)), at)


def _release(ids: Iterable[int], at: datetime) -> int:
    batch = numbers.fresh("I")
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"at": at, "batch": batch, "ids": sql.ints(ids)})
        found = cursor.fetchall()
    settlement.release(
        [
            settlement.Release(f"{batch}:{merchant}", merchant, int(fen), int(fee_fen))
            for merchant, _, fen, fee_fen, _, _ in found
        ],
        at=at,
    )
    guided = [
        line
        for *_, of_orders, lines in found
        for line in zip(of_orders or [], lines or [], strict=True)
    ]
    commissions.earn(lines=guided, at=at)
    return sum(count for _, count, *_ in found)
