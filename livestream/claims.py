"""From a place in line to an order.

A buyer passes the gate (`claim`); a worker answers the line in batches (`write`), one transaction
each, and only then takes the claims out of the line.  So a worker may die at any point, and two may
work on the same claims: who comes second finds the rows that the first has written.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from django.db import transaction
from redis import RedisError

from config.kit.errors import NotFound, Refusal, TryAgain
from config.kit.idempotency import IdempotencyKeyReused
from config.kit.jobs import later
from config.kit.numbers import is_sound
from config.kit.outside import assert_no_transaction
from livestream import gate, queries, services
from livestream.gate import Answer, GateMissing
from livestream.models import Claim, Lot, Session
from livestream.rules import (
    ORIGIN,
    PAY_WITHIN_MINUTES,
    SOURCE,
    TICKER_LENGTH,
    Allotment,
    ClaimStatus,
    Entry,
    EventType,
    LotStatus,
    is_time_to_tell,
    lot_of,
    masked,
    ticket,
)
from members.accounts import queries as accounts
from members.accounts.models import Address, User
from members.memberships import queries as memberships
from shop.checkout.rules import Item
from shop.inventory.services import SoldOut
from shop.offers.services import OfferGone
from shop.orders import services as orders
from shop.orders.models import Order
from shop.orders.rules import Wish, consignee

T = TypeVar("T")

BATCH = 500
PAUSE = 1.0  # seconds in which buyers are not kept waiting for a Redis that was silent
PATIENCE = 0.5  # seconds that a buyer waits for a gate that somebody else is rebuilding


class LotNotOpen(Refusal):
    message = "尚未开抢"


class LotClosed(Refusal):
    message = "抢购已结束"


class LotPaused(Refusal):
    message = "抢购暂停中，请稍候"


class OverLimit(Refusal):
    message = "超过每人限购数量"


class AddressGone(Refusal):
    message = "收货地址已删除"


_VERDICTS: Mapping[str, type[Refusal]] = {
    "READY": LotNotOpen,
    "CLOSED": LotClosed,
    "PAUSED": LotPaused,
    "OVER_LIMIT": OverLimit,
    "SOLD_OUT": SoldOut,
    "REUSED": IdempotencyKeyReused,
}
_silent_until = 0.0


# --- the buyer ----------------------------------------------------------------------------------


def claim(
    *, buyer: User, lot: str, quantity: int, address: str, request_id: str, at: datetime
) -> tuple[str, bool]:
    """A ticket, and whether it was given before; `lot`, `address` are numbers.

    Who gets nothing costs one call to Redis and no SQL; only who would get a place is looked at
    more closely.  TryAgain while the gate does not answer; a retry with the same request id
    is safe, also if the gate had let the first one in and only its answer was lost.
    """
    assert_no_transaction()
    if not is_sound(lot):
        raise NotFound
    entry = Entry(
        id="",
        ticket=ticket(lot, buyer.pk, request_id),
        buyer_id=buyer.pk,
        quantity=quantity,
        address=address,
        request_id=request_id,
        position=0,
        epoch=0,
    )
    answer = _ask(entry, lot, at, enter=False)
    if answer.members_of is not None and answer.members_of not in memberships.standing(buyer):
        raise NotFound
    if answer.verdict == "PASSES":
        accounts.address_of(buyer, address)
        answer = _ask(entry, lot, at, enter=True)
    if refusal := _VERDICTS.get(answer.verdict):
        raise refusal
    if answer.in_line == 1:
        # Whoever answers the line goes on until it is empty: one nudge is enough for all in it.
        later("livestream.tasks.write_claims", lot=lot)
    return entry.ticket, answer.verdict == "REPLAYED"


def outcome(*, buyer: User, number: str, at: datetime) -> dict[str, Any]:
    """What became of a ticket; NotFound for another's, TryAgain while that cannot be known.

    A ticket with a row is what the row says.  One without a row is QUEUED if the gate knows it.
    One that neither knows was lost with an earlier gate.  It is REFUSED with TRY_AGAIN, and that
    is final: the present gate has the epoch that PostgreSQL has, and the writer voids every claim
    of an earlier one.  The row is looked for last, as a claim leaves the line after its commit.
    """
    assert_no_transaction()
    if found := queries.claim_of(buyer, number):
        return found
    lot = lot_of(number)
    epoch, is_in_line = _bounded(lambda: gate.epoch_and_place(lot, number), lot, at)
    if found := queries.claim_of(buyer, number):
        return found
    undecided = {"ticket": number, "lot": lot, "order": None, "code": None}
    if is_in_line:
        return undecided | {"status": ClaimStatus.QUEUED.value}
    if queries.epoch_of(lot) != epoch:
        raise TryAgain
    return undecided | {"status": ClaimStatus.REFUSED.value, "code": TryAgain().code}


def _ask(entry: Entry, lot: str, at: datetime, *, enter: bool) -> Answer:
    return _bounded(lambda: gate.claim(entry, lot=lot, at=at, enter=enter), lot, at)


def _bounded(call: Callable[[], T], lot: str, at: datetime) -> T:
    """The gate's answer; a missing gate is put up first, a silent one is TryAgain."""
    global _silent_until  # noqa: PLW0603  the breaker of this process
    if time.monotonic() < _silent_until:
        raise TryAgain
    try:
        try:
            return call()
        except GateMissing:
            rebuild(lot=lot, at=at)
            return call()
    except GateMissing:
        raise TryAgain from None
    except RedisError:
        _silent_until = time.monotonic() + PAUSE
        raise TryAgain from None


# --- the gate, after it was lost ----------------------------------------------------------------


def rebuild(*, lot: str, at: datetime) -> None:
    """Put up the gate from PostgreSQL; one process does it, the others wait a moment for it.

    Raises NotFound for an unknown lot.
    """
    assert_no_transaction()
    if gate.take_turn(lot):
        try:
            gate.load(_new_life(lot), at=at)
        finally:
            gate.end_turn(lot)
        return
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and not gate.is_up(lot):
        time.sleep(0.02)


@transaction.atomic
def _new_life(lot: str) -> Allotment:
    """The lot as it is between two batches; what an earlier gate admitted is void from here on."""
    held = _hold(lot)
    if held.status != LotStatus.READY:
        Lot.objects.filter(pk=held.pk).update(gate_epoch=held.gate_epoch + 1)
    return queries.allotment(lot)


def _hold(lot: str) -> Lot:
    """The lot, with its session's row locked: no batch is being written."""
    rows = Session.objects.select_for_update(no_key=True, of=("self",))
    session = rows.filter(lots__number=lot).first()
    if session is None:
        raise NotFound
    return Lot.objects.select_related("session", "sku", "offer").get(number=lot)


@transaction.atomic
def _as_held(lot: str) -> Allotment:
    _hold(lot)
    return queries.allotment(lot)


def settle(*, lot: str, at: datetime) -> None:
    """Make the gate agree with PostgreSQL, and tell the room what is left.

    Pieces of unpaid orders come back to the offer behind the gate's back; here they come back to
    the gate.  What is left is what PostgreSQL has left, without the claims in line that have no
    row yet.  The gate is looked at first, PostgreSQL second, between two batches.  Who came in
    since the look makes the gate refuse the correction, and the next sweep does it.
    """
    assert_no_transaction()
    try:
        seen = gate.look(lot)
    except GateMissing:
        return rebuild(lot=lot, at=at)
    true = _as_held(lot)
    if seen.epoch != true.epoch:
        return rebuild(lot=lot, at=at)
    in_line = [entry for entry in seen.waiting if entry.ticket not in true.tickets]
    held = Counter(true.held)
    for entry in in_line:
        held[entry.buyer_id] += entry.quantity
    left = true.left - sum(entry.quantity for entry in in_line)
    gate.correct(true, seen, left=left, held=held)
    return _tell_stock(lot, at)


@transaction.atomic
def _tell_stock(number: str, at: datetime) -> None:
    lot = _hold(number)
    if lot.status == LotStatus.DROPPED:
        session = lot.session
        services.tell_room(session, services.stock_told(lot, queries.left_of(lot), at), at)


# --- the writer ---------------------------------------------------------------------------------


def write(*, lot: str, at: datetime) -> int:
    """Answer the head of a lot's line, first come, first served; how many claims it was."""
    assert_no_transaction()
    entries = gate.waiting(lot, BATCH)
    if entries:
        _decide(lot, entries, at)
        gate.answered(lot, entries)
    return len(entries)


def look_after(*, lot: str, at: datetime) -> None:
    """What a sweep does at one gate, after its line was answered."""
    if queries.is_open(lot):
        settle(lot=lot, at=at)
    else:
        _finish(lot, at)


def _finish(lot: str, at: datetime) -> None:
    """Nobody gets in any more, and once the line is empty the lot needs no more looking after."""
    gate.mark(lot, "CLOSED")
    while write(lot=lot, at=at):
        pass
    Lot.objects.filter(number=lot, status=LotStatus.CLOSED, settled_at=None).update(settled_at=at)


@transaction.atomic
def _decide(number: str, entries: Sequence[Entry], at: datetime) -> None:
    """Orders or refusals, claims and events: all of the batch or nothing."""
    lot = _hold(number)
    # The host's clock may be ahead of this one; nobody is refused for that.
    at = max(at, lot.dropped_at or at)
    fresh = _unanswered(lot, entries)
    if not fresh:
        return
    outcomes = _order(lot, fresh, at)
    Claim.objects.bulk_create(
        _row(lot, entry, result, at) for entry, result in zip(fresh, outcomes, strict=True)
    )
    _tell(lot, [(e, o) for e, o in zip(fresh, outcomes, strict=True) if isinstance(o, Order)], at)


def _unanswered(lot: Lot, entries: Sequence[Entry]) -> list[Entry]:
    """Without those that have a row already, and those that an earlier gate admitted."""
    tickets = {entry.ticket: entry for entry in entries if entry.epoch == lot.gate_epoch}
    rows = Claim.objects.filter(ticket__in=tickets).values_list("ticket", flat=True)
    for answered in rows:
        del tickets[answered]
    return sorted(tickets.values(), key=lambda entry: entry.position)


def _order(lot: Lot, entries: Sequence[Entry], at: datetime) -> list[Order | Refusal]:
    """In their order: an order or a refusal."""
    addresses = Address.objects.in_bulk({entry.address for entry in entries}, field_name="number")
    held = Counter(queries.held_of(lot, {entry.buyer_id for entry in entries}))
    results: dict[str, Order | Refusal] = {}
    wishes: dict[str, Wish] = {}
    for entry in entries:
        address = addresses.get(entry.address)
        if refusal := _why_not(lot, entry, held[entry.buyer_id], address):
            results[entry.ticket] = refusal
        else:
            held[entry.buyer_id] += entry.quantity
            wishes[entry.ticket] = _wish(lot, entry, address)
    results |= zip(wishes, _place(list(wishes.values()), at), strict=True)
    return [results[entry.ticket] for entry in entries]


def _why_not(lot: Lot, entry: Entry, held: int, address: Address | None) -> Refusal | None:
    if lot.status != LotStatus.DROPPED:
        return LotClosed()
    if held + entry.quantity > lot.per_buyer_limit:
        return OverLimit()
    if address is None or address.user_id != entry.buyer_id:
        return AddressGone()
    return None


def _wish(lot: Lot, entry: Entry, address: Address | None) -> Wish:
    assert lot.offer
    return Wish(
        buyer_id=entry.buyer_id,
        items=[Item(lot.sku.number, entry.quantity, lot.offer.number)],
        consignee=consignee(address),
        origin=f"{ORIGIN}{entry.ticket}",
        via=SOURCE,
        pay_within_minutes=PAY_WITHIN_MINUTES,
    )


def _place(wishes: list[Wish], at: datetime) -> list[Order | Refusal]:
    if not wishes:
        return []
    try:
        with transaction.atomic():  # a batch of one raises its refusal
            placed = orders.place(wishes=wishes, at=at)
    except Refusal as refusal:
        return [refusal] * len(wishes)
    return [found if isinstance(found, Refusal) else found[0] for found in placed]


def _row(lot: Lot, entry: Entry, result: Order | Refusal, at: datetime) -> Claim:
    refusal = result if isinstance(result, Refusal) else None
    return Claim(
        ticket=entry.ticket,
        lot=lot,
        buyer_id=entry.buyer_id,
        request_id=entry.request_id,
        quantity=entry.quantity,
        address=entry.address,
        position=entry.position,
        status=ClaimStatus.REFUSED if refusal else ClaimStatus.ORDERED,
        code=_code(lot, refusal, at) if refusal else "",
        order=None if isinstance(result, Refusal) else result,
        at=at,
    )


def _code(lot: Lot, refusal: Refusal, at: datetime) -> str:
    """The same word for the same thing, whether the gate or PostgreSQL says it."""
    if isinstance(refusal, OfferGone):
        refusal = SoldOut() if at < lot.session.ends_at else LotClosed()
    return refusal.code


def _tell(lot: Lot, ordered: Sequence[tuple[Entry, Order]], at: datetime) -> None:
    named = ordered[:TICKER_LENGTH]
    people = User.objects.filter(pk__in=[entry.buyer_id for entry, _ in named])
    nicknames = dict(people.values_list("pk", "nickname"))
    events: list[services.Event] = [
        (
            EventType.ORDER_PLACED,
            {
                "lot": lot.number,
                "nickname": masked(nicknames[entry.buyer_id]),
                "quantity": entry.quantity,
            },
        )
        for entry, _ in named
    ]
    if len(ordered) > len(named):
        events[-1][1]["more"] = len(ordered) - len(named)
    if lot.status == LotStatus.DROPPED and lot.offer:
        lot.offer.refresh_from_db(fields=["taken"])
        left = queries.left_of(lot)
        if is_time_to_tell(left, lot.told_left, lot.told_at, at):
            events += services.stock_told(lot, left, at)
    services.tell_room(lot.session, events, at)
