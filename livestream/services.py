"""What the host does.  Claims are in `claims`.

Lock order: session, then its lots, then orders, stock and offers.  The session's row is held by
everything that tells the room, so that events are numbered in the order of their commits.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction

from config.kit.errors import Malformed, NotFound, Refusal, StaleState
from config.kit.jobs import later
from config.kit.states import move
from livestream import broadcast, gate, queries
from livestream.models import Lot, RoomEvent, Session
from livestream.rules import (
    LOT_MOVES,
    SESSION_MOVES,
    SOURCE,
    EventType,
    LotStatus,
    SessionStatus,
)
from members.accounts.models import User
from members.merchants.models import Merchant
from shop.catalog.models import Sku
from shop.offers import services as offers

Event = tuple[EventType, dict[str, Any]]


class EndsTooEarly(Malformed):
    message = "结束时间须晚于开始时间和现在"


class SessionOver(Refusal):
    message = "场次已结束"


class SessionNotLive(Refusal):
    message = "场次未在直播中"


class NotOnSale(Refusal):
    message = "商品未在售，不能上架"


# --- the session --------------------------------------------------------------------------------


@transaction.atomic
def create_session(
    *,
    merchant: Merchant,
    host: User,
    title: str,
    starts_at: datetime,
    ends_at: datetime,
    at: datetime,
) -> Session:
    if not max(starts_at, at) < ends_at:
        raise EndsTooEarly
    return Session.objects.create(
        merchant=merchant, host=host, title=title, starts_at=starts_at, ends_at=ends_at
    )


@transaction.atomic
def start(*, session: Session, at: datetime) -> None:
    """On air, also before the announced time."""
    held = hold(session.pk)
    if held.ends_at <= at:
        raise SessionOver
    move(Session.objects.filter(pk=held.pk), SessionStatus.LIVE, SESSION_MOVES, started_at=at)
    tell_room(held, [(EventType.SESSION_STARTED, {})], at)


@transaction.atomic
def end(*, session: Session, at: datetime) -> None:
    """Off air; its lots are closed, and pieces that nobody took are common stock again."""
    held = hold(session.pk)
    move(Session.objects.filter(pk=held.pk), SessionStatus.ENDED, SESSION_MOVES, ended_at=at)
    for lot in Lot.objects.filter(session=held).exclude(status=LotStatus.CLOSED).order_by("pk"):
        _close(held, lot, at)
    tell_room(held, [(EventType.SESSION_ENDED, {})], at)


# --- its lots -----------------------------------------------------------------------------------


@transaction.atomic
def create_lot(
    *, session: Session, sku: str, price_fen: int, quota: int, per_buyer_limit: int = 1
) -> Lot:
    """`sku` is a number; NotFound unless it is the session's merchant's own."""
    held = hold(session.pk)
    if held.status == SessionStatus.ENDED:
        raise SessionOver
    goods = Sku.objects.filter(number=sku, product__merchant=held.merchant_id).first()
    if goods is None:
        raise NotFound
    return Lot.objects.create(
        session=held, sku=goods, price_fen=price_fen, quota=quota, per_buyer_limit=per_buyer_limit
    )


@transaction.atomic
def drop(*, lot: Lot, at: datetime) -> None:
    """From now on it can be claimed; its pieces leave common stock (SoldOut if too few)."""
    session = hold(lot.session_id)
    if session.status != SessionStatus.LIVE or session.ends_at <= at:
        raise SessionNotLive
    ready = Lot.objects.select_related("sku__product").get(pk=lot.pk)
    if ready.status != LotStatus.READY:
        raise StaleState
    if not (ready.sku.is_active and ready.sku.product.status == "ON_SALE"):
        raise NotOnSale
    offer = offers.open_offer(
        sku_id=ready.sku_id,
        price_fen=ready.price_fen,
        quota=ready.quota,
        starts_at=at,
        ends_at=session.ends_at,
        source=SOURCE,
        reference=ready.number,
    )
    move(
        Lot.objects.filter(pk=ready.pk),
        LotStatus.DROPPED,
        LOT_MOVES,
        offer=offer,
        dropped_at=at,
        gate_epoch=1,
        told_left=ready.quota,
        told_at=at,
    )
    tell_room(session, [(EventType.LOT_DROPPED, _dropped(ready))], at)
    transaction.on_commit(partial(gate.tell, partial(_open_gate, ready.number, at)))


def _open_gate(lot: str, at: datetime) -> None:
    gate.load(queries.allotment(lot), at=at)


def _dropped(lot: Lot) -> dict[str, Any]:
    return {
        "lot": lot.number,
        "product": {"id": lot.sku.product.number, "title": lot.sku.product.title},
        "sku": {"id": lot.sku.number, "name": lot.sku.name},
        "price_fen": lot.price_fen,
        "quota": lot.quota,
        "left": lot.quota,
        "per_buyer_limit": lot.per_buyer_limit,
    }


@transaction.atomic
def close(*, lot: Lot, at: datetime) -> None:
    """No more of it.  Claims in line that are not ordered yet are refused."""
    session = hold(lot.session_id)
    _close(session, Lot.objects.get(pk=lot.pk), at)


def _close(session: Session, lot: Lot, at: datetime) -> None:
    has_gate = lot.status == LotStatus.DROPPED
    move(
        Lot.objects.filter(pk=lot.pk),
        LotStatus.CLOSED,
        LOT_MOVES,
        closed_at=at,
        settled_at=None if has_gate else at,
    )
    if has_gate:
        assert lot.offer
        offers.close_offer(offer=lot.offer)
        transaction.on_commit(partial(gate.tell, partial(gate.mark, lot.number, "CLOSED")))
        later("livestream.tasks.write_claims", lot=lot.number)
    tell_room(session, [(EventType.LOT_CLOSED, {"lot": lot.number})], at)


@transaction.atomic
def pause(*, lot: Lot, is_paused: bool) -> None:
    """Let nobody in for a while, or again; who is in line is served."""
    hold(lot.session_id)
    rows = Lot.objects.filter(pk=lot.pk, status=LotStatus.DROPPED, is_paused=not is_paused)
    if rows.update(is_paused=is_paused) != 1:
        raise StaleState
    status = "PAUSED" if is_paused else LotStatus.DROPPED.value
    transaction.on_commit(partial(gate.tell, partial(gate.mark, lot.number, status)))


# --- the room -----------------------------------------------------------------------------------


def hold(session_id: int) -> Session:
    """The session, locked until the transaction ends."""
    return Session.objects.select_for_update(no_key=True).get(pk=session_id)


def tell_room(session: Session, events: Sequence[Event], at: datetime) -> None:
    """Number the events and write them down; the room hears them after the commit.

    `session` is held (`hold`) by this transaction.
    """
    if not events:
        return
    first = session.last_seq + 1
    rows = [
        RoomEvent(session=session, seq=seq, type=kind, at=at, data=facts)
        for seq, (kind, facts) in enumerate(events, first)
    ]
    RoomEvent.objects.bulk_create(rows)
    session.last_seq += len(rows)
    Session.objects.filter(pk=session.pk).update(last_seq=session.last_seq)
    frames = [broadcast.frame(queries.event_shown(row)) for row in rows]
    transaction.on_commit(partial(broadcast.publish, session.number, frames))


def stock_told(lot: Lot, left: int, at: datetime) -> list[Event]:
    """The event that says how much is left, if that changed; `lot` is held by its session."""
    if left == lot.told_left:
        return []
    Lot.objects.filter(pk=lot.pk).update(told_left=left, told_at=at)
    if left == 0:
        return [(EventType.LOT_SOLD_OUT, {"lot": lot.number, "left": 0})]
    return [(EventType.LOT_STOCK, {"lot": lot.number, "left": left})]
