from datetime import datetime

from payments.settlement.models import FeeRate
from payments.settlement.rules import Rate


def rates(*, merchant: str, at: datetime) -> list[Rate]:
    """What was in force for a merchant at a moment, of each scope the latest; one query."""
    rows = FeeRate.objects.filter(merchant__in=["", merchant], since_at__lte=at)
    latest = rows.order_by("merchant", "category", "-since_at").distinct("merchant", "category")
    return [Rate._make(row) for row in latest.values_list(*Rate._fields)]
