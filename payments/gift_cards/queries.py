from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Sum

from config.kit.money import yuan
from config.kit.viewer import Viewer
from payments.gift_cards.models import Gift, GiftCard
from payments.gift_cards.rules import WORDS, GiftStatus, Status, account_of, named
from payments.ledger.models import Account, Entry


def mine(person: Viewer) -> QuerySet[GiftCard]:
    """Cards that he holds or has bought."""
    return GiftCard.objects.of(person.pk)


def held(person: Viewer) -> QuerySet[GiftCard]:
    return GiftCard.objects.filter(holder=person.pk).exclude(status__in=["OPEN", "CLOSED"])


def balances(numbers: Collection[str]) -> dict[str, int]:
    """Fen on each of these cards; one query."""
    codes = {account_of(number): number for number in numbers}
    found = Account.objects.filter(code__in=codes).values_list("code", "balance_fen")
    return dict.fromkeys(numbers, 0) | {codes[code]: fen for code, fen in found}


def to_spend(person_id: int) -> QuerySet[GiftCard]:
    """Whatever pays for this person's orders, oldest first."""
    return GiftCard.objects.sound().filter(holder=person_id, status=Status.ACTIVE).order_by("pk")


def spendable_fen(person_id: int) -> int:
    """What is on his redeemed cards; one query where there are none, two where there are."""
    numbers = list(to_spend(person_id).values_list("number", flat=True))
    return sum(balances(numbers).values()) if numbers else 0


def holding_fen(person_id: int, at: datetime) -> int:
    """What a person has in cards, with those that he may still pay for; two queries."""
    cards = GiftCard.objects.filter(holder=person_id)
    whole = Q(status__in=["HELD", "GIVING"]) | Q(status=Status.OPEN, pay_before__gt=at)
    face_fen = cards.filter(whole).aggregate(fen=Sum("face_fen", default=0))["fen"]
    active = list(cards.filter(status=Status.ACTIVE).values_list("number", flat=True))
    return int(face_fen) + sum(balances(active).values())


def shown(cards: Sequence[GiftCard], person: Viewer) -> list[dict[str, Any]]:
    """As the API answers them.  Who gave one away sees that, and nothing of what came of it."""
    left = balances([card.number for card in cards if card.holder_id == person.pk])
    gifts: dict[int, Gift] = {}
    for gift in Gift.objects.filter(card__in=cards).order_by("pk"):
        gifts[gift.card_id] = gift
    return [_shown(card, left.get(card.number), gifts.get(card.pk), person) for card in cards]


def _shown(card: GiftCard, left: int | None, gift: Gift | None, person: Viewer) -> dict[str, Any]:
    is_given = card.holder_id != person.pk
    is_sound = not (card.unpaid_fen or card.frozen_why or is_given)
    is_own = card.buyer_id == person.pk
    is_held = card.status == Status.HELD
    return {
        "number": card.number,
        "face_fen": card.face_fen,
        "balance_fen": left,
        "status": "GIVEN" if is_given else card.status,
        "is_frozen": bool(card.frozen_why or card.unpaid_fen) and not is_given,
        "is_bought": is_own,
        "refunded_fen": card.refunded_fen,
        "opened_at": card.opened_at,
        "paid_at": card.paid_at,
        "gift": gift_shown(gift) if gift else None,
        "actions": {
            "give": is_sound and is_held and is_own,
            "take_back": card.status == Status.GIVING,
            "redeem": is_sound and is_held,
            "refund": is_sound and is_own and (is_held or card.status == Status.ACTIVE)
            and bool(left),
        },
    }  # fmt: skip


def gift_shown(gift: Gift) -> dict[str, Any]:
    names = ("number", "status", "message", "made_at", "expires_at")
    return {name: getattr(gift, name) for name in names}


def entries(card: GiftCard) -> QuerySet[Entry]:
    """Every movement of a card."""
    return Entry.objects.filter(account__code=account_of(card.number)).select_related("posting")


def shown_entries(card: GiftCard, page: Iterable[Entry]) -> list[dict[str, Any]]:
    found = []
    for entry in page:
        kind, reference = entry.posting.kind, entry.posting.reference
        found.append(
            {
                "at": entry.posting.at,
                "kind": WORDS.get(kind, kind),
                "amount_fen": -entry.amount_fen,
                "reference": named(kind, reference, card.number),
            }
        )
    return found


# --- what must always be true -------------------------------------------------------------------

# What was put on each card, and taken off it for its buyer or by the bank, is what its row says.
_CARDS = """
WITH booked AS (
    SELECT split_part(a.code, ':', 2) AS number, -sum(e.amount_fen) AS fen
    FROM payments_posting p JOIN payments_entry e ON e.posting_id = p.id
    JOIN payments_account a ON a.id = e.account_id
    WHERE p.kind LIKE 'GIFT\\_CARD\\_%' AND a.code LIKE 'gift\\_card:%' GROUP BY 1
), told AS (
    SELECT number, CASE WHEN status IN ('OPEN', 'CLOSED') THEN 0
                        ELSE face_fen - refunded_fen - unpaid_fen END AS fen
    FROM payments_giftcard
)
SELECT coalesce(t.number, b.number), coalesce(t.fen, 0), coalesce(b.fen, 0)
FROM told t FULL JOIN booked b USING (number)
WHERE coalesce(t.fen, 0) <> coalesce(b.fen, 0) LIMIT 20
"""
# What came for cards and is on none.
_HELD = """
SELECT (SELECT coalesce(sum(received_fen - refunded_fen), 0) FROM payments_payment
        WHERE purpose = 'GIFT_CARD')
     - (SELECT coalesce(sum(face_fen - refunded_fen - unpaid_fen), 0) FROM payments_giftcard
        WHERE status NOT IN ('OPEN', 'CLOSED')),
       (SELECT coalesce(-sum(e.amount_fen), 0) FROM payments_entry e
        JOIN payments_account a ON a.id = e.account_id WHERE a.code = 'held:GIFT_CARDS')
"""
# Nothing but its purchase and orders touches a card: above all no wallet, and nothing twice.
_TOUCHED = """
SELECT DISTINCT p.kind, p.reference FROM payments_posting p
JOIN payments_entry e ON e.posting_id = p.id JOIN payments_account a ON a.id = e.account_id
WHERE a.code LIKE 'gift\\_card:%' AND p.kind NOT IN
      ('GIFT_CARD_PAID', 'GIFT_CARD_TAKEN', 'GIFT_CARD_REFUNDED', 'RECEIPT', 'REFUND_PAID') LIMIT 20
"""
# Orders pay with redeemed cards only, and only their holders do.
_SPENT = """
SELECT r.channel_txn FROM payments_receipt r
JOIN payments_payment p ON p.id = r.payment_id
LEFT JOIN payments_giftcard c ON 'gift_card:' || c.number = r.source
WHERE r.source LIKE 'gift\\_card:%'
  AND (c.id IS NULL OR c.status <> 'ACTIVE' OR c.holder_id <> p.payer_id
       OR p.purpose <> 'ORDER') LIMIT 20
"""


def findings() -> Iterator[str]:
    """Cards against the ledger, their purchases, their gifts, and what they have paid."""
    with connection.cursor() as cursor:
        cursor.execute(_CARDS)
        for number, told, booked in cursor.fetchall():
            yield f"礼品卡 {number} 应入账 {yuan(int(told))} 元，账面 {yuan(int(booked))} 元"
        cursor.execute(_HELD)
        told, booked = cursor.fetchone()
        if told != booked:
            yield (
                f"held:GIFT_CARDS 账面 {yuan(int(booked))} 元，"
                f"未入卡购卡款合计 {yuan(int(told))} 元"
            )
        cursor.execute(_TOUCHED)
        for kind, reference in cursor.fetchall():
            yield f"凭证 {kind} {reference} 动用了礼品卡"
        cursor.execute(_SPENT)
        for (txn,) in cursor.fetchall():
            yield f"到账 {txn} 用了不能用的礼品卡"
    is_open = Exists(Gift.objects.filter(card=OuterRef("pk"), status=GiftStatus.OPEN))
    is_giving = ExpressionWrapper(Q(status=Status.GIVING), output_field=BooleanField())
    uneven = GiftCard.objects.annotate(is_open=is_open, is_giving=is_giving)
    for number in uneven.exclude(is_open=F("is_giving")).values_list("number", flat=True)[:20]:
        yield f"礼品卡 {number} 的状态与赠送链接不符"
