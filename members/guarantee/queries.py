from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from django.conf import settings
from django.db import connection
from django.utils.module_loading import import_string

from config.kit.errors import NotFound
from members.guarantee.models import Guarantee, GuaranteeCriterion
from members.guarantee.rules import DEFAULTS, TRANSITIONS, Criterion, Status, unmet
from members.merchants.models import Merchant

Counter = Callable[[Sequence[str]], Mapping[str, int]]


def failing(merchants: Sequence[Merchant]) -> dict[str, list[str]]:
    """By merchant's number the names of the criteria it does not meet; who meets all is not in it.

    A query for the criteria and one a counter, however many merchants.
    """
    criteria = in_force()
    numbers = [merchant.number for merchant in merchants]
    codes = [one.code for one in criteria if one.code in _counters()]
    counted = {code: _counter(code)(numbers) for code in codes}
    found = {}
    for number in numbers:
        figures = {code: of.get(number, 0) for code, of in counted.items()}
        if missing := unmet(criteria, figures):
            found[number] = missing
    return found


def in_force() -> list[Criterion]:
    """Those of the table that are on, and the defaults of which it says nothing."""
    rows = {row.code: row for row in GuaranteeCriterion.objects.order_by("code")}
    own = [Criterion(row.code, row.name, row.least, row.most) for row in rows.values() if row.is_on]
    return [*(one for one in DEFAULTS if one.code not in rows), *own]


def _counters() -> Mapping[str, str]:
    return cast(Mapping[str, str], settings.GUARANTEE_COUNTERS)


def _counter(code: str) -> Counter:
    return cast(Counter, import_string(_counters()[code]))


def is_trading(numbers: Sequence[str]) -> dict[str, int]:
    """A counter: 1 for merchants that trade."""
    rows = Merchant.objects.filter(number__in=numbers, status="ACTIVE")
    return dict.fromkeys(rows.values_list("number", flat=True), 1)


_STATES = """
SELECT m.number, g.status, coalesce(e.status, '') FROM members_guarantee g
JOIN members_merchant m ON m.id = g.merchant_id
LEFT JOIN LATERAL (
    SELECT status FROM members_guaranteeevent WHERE guarantee_id = g.id ORDER BY id DESC LIMIT 1
) e ON true
WHERE e.status IS DISTINCT FROM g.status LIMIT 20
"""


def findings() -> Iterator[str]:
    """Each guarantee with what its events say."""
    with connection.cursor() as cursor:
        cursor.execute(_STATES)
        for number, status, told in cursor.fetchall():
            yield f"商家 {number} 担保状态 {status}，经过记为 {told or '无'}"


def of(merchant: Merchant) -> Guarantee:
    """NotFound for a merchant that never asked."""
    guarantee = Guarantee.objects.filter(merchant=merchant).first()
    if guarantee is None:
        raise NotFound
    return guarantee


def active_since(merchant: Merchant) -> datetime | None:
    """None for who is not guaranteed at this moment."""
    active = Guarantee.objects.filter(merchant=merchant, status=Status.ACTIVE)
    return active.values_list("since_at", flat=True).first()


def shown(merchant: Merchant) -> dict[str, Any]:
    """As the API answers it."""
    guarantee = Guarantee.objects.filter(merchant=merchant).first()
    targets = TRANSITIONS[guarantee.status] if guarantee else {Status.APPLIED}
    return {
        "merchant": {"id": merchant.number, "name": merchant.name},
        "status": guarantee.status if guarantee else None,
        "since_at": guarantee.since_at if guarantee else None,
        "unmet": failing([merchant]).get(merchant.number, []),
        "actions": {"apply": Status.APPLIED in targets, "leave": Status.LEFT in targets},
    }
