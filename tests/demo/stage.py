"""A live session on air with a lot that waits, for visitors and scripts."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from tests.demo.client import Client


def live_session(demo: dict[str, Any]) -> dict[str, Any]:
    shop = demo["merchants"][0]
    host = Client(demo["base_url"]).staff(**demo["staff"]["merchant"])
    at = datetime.now(ZoneInfo("Asia/Shanghai"))
    session = host.post(
        "live/sessions",
        {
            "merchant": shop["id"],
            "title": "春茶专场",
            "starts_at": at.isoformat(),
            "ends_at": (at + timedelta(hours=12)).isoformat(),
        },
    )
    host.post(f"live/sessions/{session['id']}/start")
    product = next(product for product in shop["products"] if not product["is_private"])
    lot = host.post(
        f"live/sessions/{session['id']}/lots",
        {"sku": product["skus"][0], "price_fen": 88_00, "quota": 20},
    )
    return {"session": session["id"], "lots": [lot["id"]]}
