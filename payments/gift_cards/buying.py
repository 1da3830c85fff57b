"""Cards are bought like anything else: asked for, paid, and taken off again with their money."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from django.db.models import Q, Sum

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from payments.cashier import offers
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Due
from payments.gift_cards import queries
from payments.gift_cards.models import GiftCard, GiftCardEvent
from payments.gift_cards.rules import (
    POT,
    PURPOSE,
    Limits,
    Status,
    account_of,
    is_face,
    spent,
)
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.offering.rules import Asker, Offer
from payments.prepaid import services as prepaid
from payments.prepaid.services import PAY_WITHIN

SHANGHAI = ZoneInfo("Asia/Shanghai")
HELD = f"held:{POT}"
REVERSED = "购卡款被银行撤回，已花出的部分待处理"


class NoSuchFace(Refusal):
    message = "没有这种面值的礼品卡"


class GiftCardsADay(Refusal):
    message = "超出每人每天的购卡限额"


class TooManyGiftCards(Refusal):
    message = "持有的礼品卡总额将超过上限"


class GiftCardUsed(Refusal):
    message = "这张礼品卡已送出或已使用，不能撤回"


@joined
def buy(
    *,
    user_id: int,
    face_fen: int,
    method: str,
    at: datetime,
    asker: Asker = cashier.ON_MINI_PROGRAM,
) -> Payment:
    """The payment that fills a new card.

    Raises NoSuchFace, GiftCardsADay, TooManyGiftCards, and MethodNotOffered as for any payment.
    """
    limits = _limits_of(face_fen)
    alone(user_id)
    _within_the_day(user_id, face_fen, limits, at)
    require_room(person_id=user_id, fen=face_fen, at=at)
    card = GiftCard.objects.create(
        number=numbers.fresh("Q"),
        buyer_id=user_id,
        holder_id=user_id,
        face_fen=face_fen,
        opened_at=at,
        pay_before=at + PAY_WITHIN,
        look_at=at + PAY_WITHIN,
    )
    return cashier.open_payment(
        payer_id=user_id,
        purpose=PURPOSE,
        reference=card.number,
        method=method,
        asker=asker,
        at=at,
    )


def ways(*, user_id: int, face_fen: int, asker: Asker, at: datetime) -> list[Offer]:
    """How such a card can be paid, those that are offered first.  Raises NoSuchFace."""
    _limits_of(face_fen)
    due = Due(face_fen, POT, at + PAY_WITHIN)
    return offers.ways_for(due=due, payer_id=user_id, asker=asker, at=at)


def _limits_of(face_fen: int) -> Limits:
    limits = Limits(**settings.GIFT_CARDS)
    if not is_face(face_fen, limits):
        raise NoSuchFace(least_fen=limits.least_fen, most_fen=limits.most_fen)
    return limits


def alone(person_id: int) -> None:
    """What a person may have only so much of is counted by one request at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"gift cards {person_id}"]
        )


def _within_the_day(user_id: int, fen: int, limits: Limits, at: datetime) -> None:
    day = at.astimezone(SHANGHAI).replace(hour=0, minute=0, second=0, microsecond=0)
    bought = GiftCard.objects.filter(buyer=user_id, opened_at__gte=day)
    today = bought.exclude(status=Status.CLOSED).aggregate(fen=Sum("face_fen", default=0))["fen"]
    if today + fen > limits.day_fen:
        raise GiftCardsADay(left_fen=max(limits.day_fen - today, 0))


def require_room(*, person_id: int, fen: int, at: datetime) -> None:
    """TooManyGiftCards where he would hold more than anybody may; under `alone`."""
    limits = Limits(**settings.GIFT_CARDS)
    room = limits.held_fen - queries.holding_fen(person_id, at)
    if fen > room:
        raise TooManyGiftCards(held_fen=limits.held_fen, room_fen=max(room, 0))


# --- what the cashier asks ------------------------------------------------------------------------


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    """Its face value; see `prepaid.due`."""
    rows = GiftCard.objects.filter(buyer=payer_id, number=reference)
    return prepaid.due(rows, pot=POT, method=method, at=at, fen="face_fen")


@joined
def receive(*, numbers: Iterable[str], at: datetime) -> set[str]:
    """Paid in full, or again in full: it is on the card.  Answers those that waited for none."""
    waiting = Q(status=Status.OPEN) | Q(unpaid_fen__gt=0)
    rows = GiftCard.objects.filter(waiting, number__in=numbers)
    return set(numbers) - _credit(list(rows.select_for_update().order_by("pk")), at)


@joined
def reopen(*, closed_since: Mapping[str, datetime], at: datetime) -> set[str]:
    """All the money is here, but late: it is on the card all the same."""
    rows = GiftCard.objects.filter(number__in=closed_since, status=Status.CLOSED)
    locked = list(rows.select_for_update().order_by("pk"))
    return _credit(
        [one for one in locked if one.closed_at and one.closed_at >= closed_since[one.number]], at
    )


def _credit(cards: Sequence[GiftCard], at: datetime) -> set[str]:
    new = [one.pk for one in cards if not one.unpaid_fen]
    GiftCard.objects.filter(pk__in=new).update(status=Status.HELD, paid_at=at, closed_at=None)
    GiftCard.objects.filter(pk__in=[one.pk for one in cards]).update(unpaid_fen=0)
    ledger.post([_onto(one, one.unpaid_fen or one.face_fen, at) for one in cards], at=at)
    return {one.number for one in cards}


def _onto(card: GiftCard, fen: int, at: datetime) -> Draft:
    named = f"{card.number}-{record(card, 'PAID', at, fen=fen).pk}"
    return Draft("GIFT_CARD_PAID", named, {HELD: fen}, {account_of(card.number): fen})


def record(
    card: GiftCard, kind: str, at: datetime, actor: str = "", **facts: object
) -> GiftCardEvent:
    return GiftCardEvent.objects.create(card=card, kind=kind, actor=actor, at=at, facts=facts)


@joined
def unpay(*, numbers: Mapping[str, bool], at: datetime) -> None:
    """A wrong match is undone: off the card again.  GiftCardUsed where it is not all there."""
    was_paid = [number for number, was_paid in numbers.items() if was_paid]
    for card in GiftCard.objects.filter(number__in=was_paid).select_for_update().order_by("pk"):
        left = queries.balances([card.number])[card.number]
        if card.given_at or card.refunded_fen or _spent(card, left):
            raise GiftCardUsed
        _take(card, left, at)


@joined
def take_back(*, numbers: Mapping[str, bool], at: datetime) -> dict[str, int]:
    """The bank took its money back: what is left on the card goes, whoever holds it.

    Answers how many fen of each orders have; such a card is frozen: what an order gives back to
    it is not its holder's to spend before somebody has looked.  Never refuses.
    """
    found = {}
    rows = GiftCard.objects.filter(number__in=numbers).exclude(status__in=["OPEN", "CLOSED"])
    for card in rows.select_for_update().order_by("pk"):  # reversals come singly
        left = queries.balances([card.number])[card.number]
        found[card.number] = gone = _spent(card, left)
        if not numbers[card.number]:
            continue
        _take(card, left, at)
        if gone and not card.frozen_why:
            freeze(card=card, reason=REVERSED, actor="", at=at)
    return found


def _spent(card: GiftCard, left_fen: int) -> int:
    return spent(
        face_fen=card.face_fen,
        refunded_fen=card.refunded_fen,
        unpaid_fen=card.unpaid_fen,
        left_fen=left_fen,
    )


def _take(card: GiftCard, fen: int, at: datetime) -> None:
    if not fen:
        return
    GiftCard.objects.filter(pk=card.pk).update(unpaid_fen=card.unpaid_fen + fen)
    named = f"{card.number}-{record(card, 'TAKEN', at, fen=fen).pk}"
    taken = Draft("GIFT_CARD_TAKEN", named, {account_of(card.number): fen}, {HELD: fen})
    ledger.post([taken], at=at)


# --- staff ----------------------------------------------------------------------------------------


@joined
def freeze(*, card: GiftCard, reason: str, actor: str, at: datetime) -> None:
    """It pays for nothing, and is neither given, claimed, redeemed nor refunded; StaleState twice.

    The money stays where it is; a link that is out stays out, in vain.
    """
    rows = GiftCard.objects.filter(pk=card.pk, frozen_why="")
    if rows.update(frozen_why=reason[:200], frozen_at=at) != 1:
        raise StaleState
    record(card, "FROZEN", at, actor, reason=reason[:200])


@joined
def thaw(*, card: GiftCard, reason: str, actor: str, at: datetime) -> None:
    """It is its holder's again; StaleState unless frozen."""
    rows = GiftCard.objects.filter(pk=card.pk).exclude(frozen_why="")
    if rows.update(frozen_why="", frozen_at=None) != 1:
        raise StaleState
    record(card, "THAWED", at, actor, reason=reason[:200])


# --- time is over ---------------------------------------------------------------------------------


def expire(*, numbers: Sequence[str], at: datetime) -> int:
    """Close cards that nobody paid, unless their money may be here unheard; how many."""
    return prepaid.expire(GiftCard.objects.all(), purpose=PURPOSE, numbers=numbers, at=at)
