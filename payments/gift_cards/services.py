"""What a card's holder does with it: gives it away, takes it back, redeems it, has it refunded."""

from collections.abc import Sequence
from datetime import datetime

from django.conf import settings

from config.kit.db import joined
from config.kit.errors import NotFound, Refusal, StaleState
from config.kit.states import move
from payments.cashier import refunds
from payments.cashier.models import Payment
from payments.cashier.rules import Locked, Owed, Reason, RefundStatus
from payments.gift_cards import queries
from payments.gift_cards.buying import HELD, alone, record, require_room
from payments.gift_cards.models import Gift, GiftCard
from payments.gift_cards.rules import (
    GIFT_TRANSITIONS,
    LINK_LIVES,
    PURPOSE,
    TRANSITIONS,
    GiftStatus,
    Status,
    account_of,
    code_of,
    hash_of,
)
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


class GiftCardFrozen(Refusal):
    message = "礼品卡已冻结，请联系客服"


class GiftGone(NotFound):
    """The same for a wrong code, one that is used up, and one that was taken back."""

    message = "礼品不存在、已被领取或已失效"


class OwnGift(Refusal):
    message = "不能领取自己送出的礼品卡；不想送了请撤回"


class NotYours(Refusal):
    message = "受赠的礼品卡不能转赠，也不能退卡"


class NothingLeft(Refusal):
    message = "卡里没有可以退的金额"


def code(gift: str) -> str:
    """Of a gift by its number: told to the giver only, and kept nowhere."""
    return code_of(gift, settings.SECRET_KEY)


# --- given away -----------------------------------------------------------------------------------


@joined
def give(*, card: GiftCard, actor: str, message: str, at: datetime) -> Gift:
    """A link for somebody else, good for `LINK_LIVES`.  The buyer only: nobody gives on a gift.

    Raises NotYours, GiftCardFrozen, StaleState.
    """
    _require_bought(card)
    _require_sound(card)
    mine = GiftCard.objects.sound().filter(pk=card.pk, holder=card.buyer_id)
    move(mine, Status.GIVING, TRANSITIONS)
    number = f"{card.number}-{card.gifts.count() + 1}"  # while the card is ours alone
    gift = Gift.objects.create(
        number=number,
        card=card,
        giver_id=card.buyer_id,
        code_hash=hash_of(code(number)),
        message=message,
        made_at=at,
        expires_at=at + LINK_LIVES,
    )
    record(card, "GIVEN", at, actor, gift=number)
    return gift


@joined
def take_back(*, card: GiftCard, actor: str, at: datetime) -> None:
    """The giver has it again, while nobody has claimed it; StaleState once somebody has."""
    gift = Gift.objects.filter(card=card, status=GiftStatus.OPEN).first()
    if gift is None:
        raise StaleState
    move(Gift.objects.filter(pk=gift.pk), GiftStatus.TAKEN_BACK, GIFT_TRANSITIONS, ended_at=at)
    _return(card, "TAKEN_BACK", at, actor)


def _return(card: GiftCard, event: str, at: datetime, actor: str = "") -> None:
    """Frozen or not: it is not given any more."""
    giving = GiftCard.objects.filter(pk=card.pk, status=Status.GIVING)
    if giving.update(status=Status.HELD) != 1:
        raise StaleState
    record(card, event, at, actor)


@joined
def claim(*, secret: str, person_id: int, actor: str, at: datetime) -> GiftCard:
    """Whoever comes first with a code has the card, and is answered the same when he repeats it.

    Raises GiftGone, OwnGift, TooManyGiftCards, GiftCardFrozen.
    """
    alone(person_id)
    gift = Gift.objects.filter(code_hash=hash_of(secret)).first()
    if gift is None:
        raise GiftGone
    if gift.status == GiftStatus.CLAIMED and gift.taker_id == person_id:
        return GiftCard.objects.get(pk=gift.card_id)
    if gift.giver_id == person_id:
        raise OwnGift
    ends = {"taker_id": person_id, "ended_at": at}
    try:
        fresh = Gift.objects.filter(pk=gift.pk, expires_at__gt=at)
        move(fresh, GiftStatus.CLAIMED, GIFT_TRANSITIONS, **ends)
    except StaleState as late:
        raise GiftGone from late
    card = GiftCard.objects.get(pk=gift.card_id)
    require_room(person_id=person_id, fen=card.face_fen, at=at)
    giving = GiftCard.objects.sound().filter(pk=card.pk, status=Status.GIVING)
    if giving.update(status=Status.HELD, holder_id=person_id, given_at=at) != 1:
        raise GiftCardFrozen
    record(card, "CLAIMED", at, actor, gift=gift.number)
    card.refresh_from_db()
    return card


@joined
def end_link(*, gift: Gift, at: datetime) -> None:
    """Its time is over: the giver has the card again.  StaleState where somebody was first."""
    over = Gift.objects.filter(pk=gift.pk, expires_at__lte=at)
    move(over, GiftStatus.EXPIRED, GIFT_TRANSITIONS, ended_at=at)
    _return(gift.card, "LINK_EXPIRED", at)


# --- used -----------------------------------------------------------------------------------------


@joined
def redeem(*, card: GiftCard, actor: str, at: datetime) -> None:
    """From now on it pays for its holder's orders, before his wallet; not given away any more.

    Raises GiftCardFrozen, StaleState.
    """
    _require_sound(card)
    held = GiftCard.objects.sound().filter(pk=card.pk, holder=card.holder_id)
    move(held, Status.ACTIVE, TRANSITIONS, redeemed_at=at)
    record(card, "REDEEMED", at, actor)


@joined
def refund(*, card: GiftCard, actor: str, at: datetime) -> int:
    """What is left on it goes back the way that it was bought; fen.  The buyer only, not given.

    A card of which nothing was spent is over; another stays, for what orders may give back to it.
    Raises NotYours, GiftCardFrozen, NothingLeft, StaleState.
    """
    bought = Payment.objects.filter(purpose=PURPOSE, reference=card.number)
    rows = bought.locked()
    card = GiftCard.objects.select_for_update().get(pk=card.pk)
    _require_bought(card)
    _require_sound(card)
    if card.status not in {Status.HELD, Status.ACTIVE}:
        raise StaleState
    left = queries.balances([card.number])[card.number]
    # What the bank took back of a card that was spent is nobody's to be given back.
    paid = [row for row in rows if row.guaranteed_fen > row.covered_fen]
    fen = min(left, sum(row.guaranteed_fen - row.covered_fen for row in paid))
    if not fen:
        raise NothingLeft
    changes: dict[str, object] = {"refunded_fen": card.refunded_fen + fen}
    if card.status == Status.HELD:
        changes["status"] = Status.REFUNDED
    GiftCard.objects.filter(pk=card.pk).update(**changes)
    event = record(card, "REFUNDED", at, actor, fen=fen)
    taken = Draft(
        kind="GIFT_CARD_REFUNDED",
        reference=f"{card.number}-{event.pk}",
        debits={account_of(card.number): fen},
        credits={HELD: fen},
    )
    ledger.post([taken], at=at)
    refunds.owe_back(
        owed=_owed(paid, fen),
        reason=Reason.UNUSED,
        status=RefundStatus.APPROVED,
        actor=actor,
        at=at,
    )
    return fen


def _owed(paid: Sequence[Locked], fen: int) -> list[Owed]:
    """It is one payment that has paid for a card; its sibling's money is owed back at once."""
    found = []
    for row in paid:
        if part := min(fen, row.guaranteed_fen - row.covered_fen):
            found.append(Owed(row, part))
            fen -= part
    return found


def _require_bought(card: GiftCard) -> None:
    if card.holder_id != card.buyer_id:
        raise NotYours


def _require_sound(card: GiftCard) -> None:
    if card.frozen_why or card.unpaid_fen:
        raise GiftCardFrozen
