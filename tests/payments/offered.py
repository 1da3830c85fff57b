"""Ways to pay are offered as the platform offers them: with a note, by a rule."""

from datetime import datetime
from typing import Any

from payments.offering import services
from payments.offering.models import MethodRule
from payments.offering.rules import Client, works_in
from tests.factories import NOON

NOTE = "法务 2026-06 意见：可以提供，见合同第 7 条"


def offer(
    method: str, *, merchant: str = "", category: str = "", at: datetime = NOON, **values: Any
) -> MethodRule:
    """Everywhere that it works, without a limit, unless told otherwise."""
    values = {
        "status": "OFFERED",
        "clients": [client.value for client in Client if client in works_in(method)],
        "note": NOTE,
        **values,
    }
    return services.set_rule(
        method=method, merchant=merchant, category=category, values=values, actor="UPLAT", at=at
    )
