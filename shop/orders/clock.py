"""The clock of the guarantee: what stops it, and how its times go on afterwards."""

from collections.abc import Iterable
from datetime import datetime

from django.db import connection

from config.kit import sql
from config.kit.db import joined

FROZEN = "FROZEN"

_STOP = """
UPDATE shop_heldline SET stopped_by = stopped_by || %s::varchar,
    stopped_at = coalesce(stopped_at, %s::timestamptz)
WHERE order_id = ANY(%s::bigint[]) AND released_at IS NULL AND NOT %s::varchar = ANY(stopped_by)
"""
# The order shows the last of its lines' times.
_RESUME = """
WITH stands AS (
    SELECT line_id, CASE WHEN stopped_by = ARRAY[%(why)s::varchar]::varchar[]
                         THEN %(at)s::timestamptz - stopped_at END AS stood
    FROM shop_heldline
    WHERE order_id = ANY(%(ids)s::bigint[]) AND %(why)s::varchar = ANY(stopped_by)
), resumed AS (
    UPDATE shop_heldline h SET
        stopped_by = array_remove(h.stopped_by, %(why)s::varchar),
        stopped_at = CASE WHEN s.stood IS NULL THEN h.stopped_at END,
        receive_before = h.receive_before
            + CASE WHEN h.received_at IS NULL THEN coalesce(s.stood, '0') ELSE '0' END,
        release_at = h.release_at + coalesce(s.stood, '0')
    FROM stands s WHERE h.line_id = s.line_id
    RETURNING h.order_id, h.receive_before, h.release_at
), late AS (
    SELECT order_id, max(receive_before) AS receive_before, max(release_at) AS release_at
    FROM resumed GROUP BY order_id
)
UPDATE shop_order o SET
    receive_before = CASE WHEN o.received_at IS NULL
                          THEN greatest(o.receive_before, late.receive_before)
                          ELSE o.receive_before END,
    finish_at = CASE WHEN o.status = 'RECEIVED' THEN greatest(o.finish_at, late.release_at)
                     ELSE o.finish_at END
FROM late WHERE o.id = late.order_id AND o.status IN ('SHIPPED', 'RECEIVED')
"""


@joined
def stop(*, order_ids: Iterable[int], why: str, at: datetime) -> None:
    """Lines that are not released wait for as long as `why` lasts; a second time changes nothing.

    The caller holds the orders.
    """
    with connection.cursor() as cursor:
        cursor.execute(_STOP, [why, at, sql.ints(order_ids), why])


@joined
def resume(*, order_ids: Iterable[int], why: str, at: datetime) -> None:
    """That reason is gone.  With the last one their times go on: later by as long as they stood.

    The caller holds the orders.
    """
    with connection.cursor() as cursor:
        cursor.execute(_RESUME, {"why": why, "at": at, "ids": sql.ints(order_ids)})
