"""A session on air with a lot, and buyers in front of it; made through services."""

from datetime import datetime, timedelta
from typing import Any

from django.utils.timezone import now

from livestream import services
from livestream.models import Lot, Session
from livestream.tasks import write_claims
from members.accounts.models import User
from members.merchants.models import Merchant
from tests.factories import (
    client_of,
    key,
    make_address,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
)


def make_session(
    merchant: Merchant | None = None, *, is_live: bool = True, at: datetime | None = None
) -> Session:
    at = at or now()
    shop = merchant or make_merchant()
    session = services.create_session(
        merchant=shop,
        host=make_staff(shop),
        title="春茶专场",
        starts_at=at,
        ends_at=at + timedelta(hours=2),
        at=at,
    )
    if is_live:
        services.start(session=session, at=at)
        session.refresh_from_db()
    return session


def make_lot(
    session: Session | None = None,
    *,
    quota: int = 10,
    on_hand: int = 20,
    is_dropped: bool = True,
    is_private: bool = False,
    per_buyer_limit: int = 1,
) -> Lot:
    session = session or make_session()
    sku = make_sku(session.merchant, on_hand=on_hand, is_private=is_private)
    lot = services.create_lot(
        session=session,
        sku=sku.number,
        price_fen=99_00,
        quota=quota,
        per_buyer_limit=per_buyer_limit,
    )
    if is_dropped:
        services.drop(lot=lot, at=now())
        lot.refresh_from_db()
    return lot


class Buyer:
    """A person with an address and a phone."""

    def __init__(self, user: User | None = None) -> None:
        self.user = user or make_user()
        self.address = make_address(self.user).number
        self.client = client_of(self.user)

    def claim(self, lot: Lot, quantity: Any = 1, *, address: str = "", headers: Any = None) -> Any:
        body = {"quantity": quantity, "address_id": address or self.address}
        headers = key() if headers is None else headers
        return self.client.post(
            f"/api/v1/live/lots/{lot.number}/claims", body, format="json", **headers
        )

    def outcome(self, ticket: str) -> Any:
        return self.client.get(f"/api/v1/live/claims/{ticket}")


def serve() -> None:
    """What the worker does within seconds."""
    write_claims()
