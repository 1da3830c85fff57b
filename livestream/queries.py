from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet, Sum
from knox.crypto import hash_token
from knox.models import AuthToken

from config.kit.errors import NotFound
from config.kit.viewer import Viewer
from livestream.models import Claim, Lot, RoomEvent, Session
from livestream.rules import (
    LOT_MOVES,
    SESSION_MOVES,
    Allotment,
    LotStatus,
    SessionStatus,
    asked,
    is_ticket_of,
)
from members.accounts.models import User
from members.accounts.rules import Role
from members.memberships import queries as memberships

MOST_EVENTS = 200  # of one answer


# --- sessions, as somebody sees them ------------------------------------------------------------


def for_viewer(user: User | None) -> QuerySet[Session]:
    """Sessions that a person (None: a guest) may know of; two queries before the first row."""
    works_for = user.tenants(Role.STAFF) if user else frozenset[str]()
    return Session.objects.visible_to(list(memberships.standing(user)), works_for)


def listed(user: User | None, merchant: str = "", status: str = "") -> QuerySet[Session]:
    """The list; filters are public numbers and states."""
    rows = for_viewer(user).select_related("merchant")
    if merchant:
        rows = rows.filter(merchant__number=merchant)
    if status:
        rows = rows.filter(status=status)
    return rows


def session_for(user: User | None, number: str) -> Session:
    """With all that `shown` reads; NotFound for unknown and for private to others."""
    session = for_viewer(user).select_related("merchant").filter(number=number).first()
    if session is None:
        raise NotFound
    return session


def session_run_by(viewer: Viewer, number: str) -> Session:
    """A session that this person may run; NotFound for any other."""
    rows = _run_by(viewer, Session.objects.all(), "merchant__number__in")
    session = rows.select_related("merchant").filter(number=number).first()
    if session is None:
        raise NotFound
    return session


def lot_run_by(viewer: Viewer, number: str) -> Lot:
    """A lot of such a session."""
    rows = _run_by(viewer, Lot.objects.all(), "session__merchant__number__in")
    lot = rows.select_related("session").filter(number=number).first()
    if lot is None:
        raise NotFound
    return lot


def _run_by(viewer: Viewer, rows: Any, merchant: str) -> Any:
    tenants = viewer.tenants(Role.OPERATOR)
    return rows if tenants is None else rows.filter(**{merchant: tenants})


def runs(user: User | None, session: Session) -> bool:
    """Whether this person may act as the host's staff."""
    tenants: Collection[str] | None = user.tenants(Role.OPERATOR) if user else ()
    return tenants is None or session.merchant.number in tenants


def shown(sessions: Sequence[Session], user: User | None) -> list[dict[str, Any]]:
    """Sessions as the list answers them; `merchant` must be loaded."""
    return [_shown(session, runs(user, session)) for session in sessions]


def detail(session: Session, user: User | None) -> dict[str, Any]:
    """One session with its lots; the lots are read after `seq`, so they are at least as new."""
    runs_it = runs(user, session)
    lots = [_lot(lot, runs_it) for lot in _lots(session)]
    return _shown(session, runs_it) | {"lots": lots}


def lot_shown(lot: Lot, user: User | None) -> dict[str, Any]:
    fresh = _lots(lot.session).select_related("session__merchant").get(pk=lot.pk)
    return _lot(fresh, runs(user, fresh.session))


def _lots(session: Session) -> QuerySet[Lot]:
    return (
        Lot.objects.filter(session=session).select_related("sku__product", "offer").order_by("pk")
    )


def _shown(session: Session, runs_it: bool) -> dict[str, Any]:
    targets = SESSION_MOVES[session.status]
    return {
        "id": session.number,
        "merchant": {"id": session.merchant.number, "name": session.merchant.name},
        "title": session.title,
        "status": session.status,
        "starts_at": session.starts_at,
        "ends_at": session.ends_at,
        "seq": session.last_seq,
        "ws_url": f"{settings.LIVE_URL}/ws/live/{session.number}",
        "actions": {
            "start": runs_it and SessionStatus.LIVE in targets,
            "end": runs_it and SessionStatus.ENDED in targets,
        },
    }


def _lot(lot: Lot, runs_it: bool) -> dict[str, Any]:
    targets = LOT_MOVES[lot.status]
    left = left_of(lot)
    is_open = lot.status == LotStatus.DROPPED and not lot.is_paused
    return {
        "id": lot.number,
        "product": {"id": lot.sku.product.number, "title": lot.sku.product.title},
        "sku": {"id": lot.sku.number, "name": lot.sku.name},
        "list_price_fen": lot.sku.list_price_fen,
        "price_fen": lot.price_fen,
        "quota": lot.quota,
        "left": left,
        "per_buyer_limit": lot.per_buyer_limit,
        "status": lot.status,
        "is_paused": lot.is_paused,
        "offer": lot.offer.number if lot.offer else None,
        "dropped_at": lot.dropped_at,
        "actions": {
            "claim": is_open and left > 0,
            "drop": runs_it and LotStatus.DROPPED in targets,
            "close": runs_it and LotStatus.CLOSED in targets,
        },
    }


def left_of(lot: Lot) -> int:
    """Pieces that nobody has, as PostgreSQL counts; `offer` must be loaded."""
    if lot.status == LotStatus.CLOSED:
        return 0
    return lot.quota - (lot.offer.taken if lot.offer else 0)


# --- events -------------------------------------------------------------------------------------


def events_after(session: Session, seq: int, most: int = MOST_EVENTS) -> list[dict[str, Any]]:
    """What the room was told after `seq`, oldest first."""
    rows = RoomEvent.objects.filter(session=session, seq__gt=seq).order_by("seq")[:most]
    return [event_shown(event) for event in rows]


def event_shown(event: RoomEvent) -> dict[str, Any]:
    return {"type": event.type, "at": event.at, "seq": event.seq, "data": event.data}


def last_seqs(session_ids: Collection[int]) -> dict[int, int]:
    """By session key; for the room, which looks whether it missed anything."""
    return dict(Session.objects.filter(pk__in=session_ids).values_list("pk", "last_seq"))


def private_among(session_ids: Collection[int]) -> list[int]:
    """Keys of those sessions that only members and staff may know of."""
    rows = Lot.objects.filter(session__in=session_ids, sku__product__is_private=True)
    return list(rows.values_list("session", flat=True).distinct())


def tokens_welcome(session: Session, tokens: Collection[str], at: datetime) -> set[str]:
    """Those of a member or of the staff; three queries however many."""
    by_digest = {hash_token(token): token for token in tokens if token.isascii()}
    rows = AuthToken.objects.filter(pk__in=by_digest, expiry__gt=at, user__is_active=True)
    holders = dict(rows.values_list("pk", "user"))
    standings = memberships.standings_of_many(holders.values())
    may = {user for user, standing in standings.items() if session.merchant_id in standing}
    may |= set(
        User.objects.filter(pk__in=holders.values())
        .filter(Q(staff_of__merchant=session.merchant_id) | Q(is_superuser=True))
        .values_list("pk", flat=True)
    )
    return {by_digest[digest] for digest, user in holders.items() if user in may}


# --- claims -------------------------------------------------------------------------------------


def claim_of(user: User, ticket: str) -> dict[str, Any] | None:
    """What became of a ticket; None while nothing is decided, NotFound for another's."""
    if not is_ticket_of(ticket, user.pk):
        raise NotFound
    row = Claim.objects.filter(ticket=ticket, buyer=user).select_related("order", "lot").first()
    if row is None:
        return None
    return {
        "ticket": row.ticket,
        "lot": row.lot.number,
        "status": row.status,
        "order": row.order.number if row.order else None,
        "code": row.code or None,
    }


def allotment(lot_number: str) -> Allotment:
    """What the gate must know of a lot; NotFound for an unknown one."""
    rows = Lot.objects.select_related("session", "offer", "sku__product")
    lot = rows.filter(number=lot_number).first()
    if lot is None:
        raise NotFound
    claims = Claim.objects.filter(lot=lot)
    asked_for = {
        ticket: asked(quantity, address)
        for ticket, quantity, address in claims.values_list("ticket", "quantity", "address")
    }
    newest = claims.order_by("-position").values_list("position", flat=True).first()
    return Allotment(
        lot=lot.number,
        status=lot.status,
        is_paused=lot.is_paused,
        ends_at=lot.session.ends_at,
        per_buyer_limit=lot.per_buyer_limit,
        left=left_of(lot),
        epoch=lot.gate_epoch,
        last_position=newest or 0,
        members_of=lot.session.merchant_id if private_among([lot.session_id]) else None,
        held=held_of(lot),
        tickets=asked_for,
    )


def held_of(lot: Lot, buyers: Collection[int] | None = None) -> dict[int, int]:
    """Pieces by buyer key that count towards the limit."""
    rows = Claim.objects.filter(lot=lot).counting()
    if buyers is not None:
        rows = rows.filter(buyer__in=buyers)
    return dict(rows.values_list("buyer").annotate(pieces=Sum("quantity")).order_by())


def epoch_of(lot: str) -> int:
    """Which life of the gate is the valid one."""
    return Lot.objects.filter(number=lot).values_list("gate_epoch", flat=True).first() or 0


def is_open(lot: str) -> bool:
    return Lot.objects.filter(number=lot, status=LotStatus.DROPPED).exists()


def overdue(at: datetime, most: int = 100) -> list[Session]:
    """Sessions that should have ended."""
    return list(Session.objects.overdue(at).order_by("ends_at", "pk")[:most])


def to_serve() -> list[str]:
    """Numbers of the lots at whose gates somebody may be waiting."""
    return list(Lot.objects.to_serve().order_by("pk").values_list("number", flat=True))


# --- what must be true --------------------------------------------------------------------------

_UNORDERED = """
SELECT c.ticket, count(l.id), coalesce(sum(l.quantity), 0), c.quantity
FROM livestream_claim c JOIN livestream_lot k ON k.id = c.lot_id
LEFT JOIN shop_order o ON o.id = c.order_id AND o.origin = 'LIVE:' || c.ticket
    AND o.buyer_id = c.buyer_id
LEFT JOIN shop_orderline l ON l.order_id = o.id AND l.offer_id = k.offer_id
WHERE c.status = 'ORDERED' GROUP BY c.id
HAVING count(l.id) <> 1 OR coalesce(sum(l.quantity), 0) <> c.quantity LIMIT 20
"""
_UNCLAIMED = """
SELECT o.number FROM shop_order o LEFT JOIN livestream_claim c ON c.order_id = o.id
WHERE o.origin LIKE 'LIVE:%' AND c.id IS NULL LIMIT 20
"""
_COUNTING = "c.status = 'ORDERED' AND o.status <> 'CLOSED'"
_OVERSOLD = f"""
SELECT k.number, sum(c.quantity), k.quota FROM livestream_claim c
JOIN livestream_lot k ON k.id = c.lot_id JOIN shop_order o ON o.id = c.order_id
WHERE {_COUNTING} GROUP BY k.id HAVING sum(c.quantity) > k.quota LIMIT 20
"""  # noqa: S608
_OVER_LIMIT = f"""
SELECT k.number, u.number, sum(c.quantity), k.per_buyer_limit FROM livestream_claim c
JOIN livestream_lot k ON k.id = c.lot_id JOIN shop_order o ON o.id = c.order_id
JOIN members_user u ON u.id = c.buyer_id
WHERE {_COUNTING} GROUP BY k.id, u.id HAVING sum(c.quantity) > k.per_buyer_limit LIMIT 20
"""  # noqa: S608


def findings() -> Iterator[str]:
    """Claims against their orders, their lot's quota and their buyer's limit."""
    with connection.cursor() as cursor:
        cursor.execute(_UNORDERED)
        for ticket, lines, pieces, asked_for in cursor.fetchall():
            yield f"抢购 {ticket} 应有 {asked_for} 件一行，订单中 {lines} 行 {pieces} 件"
        cursor.execute(_UNCLAIMED)
        for (number,) in cursor.fetchall():
            yield f"直播订单 {number} 没有抢购记录"
        cursor.execute(_OVERSOLD)
        for lot, pieces, quota in cursor.fetchall():
            yield f"直播商品 {lot} 售出 {pieces} 件，超过 {quota} 件"
        cursor.execute(_OVER_LIMIT)
        for lot, buyer, pieces, limit in cursor.fetchall():
            yield f"直播商品 {lot} 买家 {buyer} 有 {pieces} 件，超过每人 {limit} 件"
