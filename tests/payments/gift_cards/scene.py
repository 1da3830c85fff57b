"""People with gift cards."""

from typing import Any

from django.db.models import Q
from django.utils.timezone import now

from members.accounts.models import User
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.tasks import send_refund
from payments.gift_cards import buying, queries, services
from payments.gift_cards.models import Gift, GiftCard
from payments.ledger import queries as books
from tests.factories import make_account
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import give as fill_wallet

FACE = 50_000


def asked(user: User, fen: int = FACE, method: str = "BANK_TRANSFER") -> Payment:
    make_account()
    return buying.buy(user_id=user.pk, face_fen=fen, method=method, at=now())


def card_of(payment: Payment) -> GiftCard:
    return GiftCard.objects.get(number=payment.reference)


def bought(user: User, fen: int = FACE) -> GiftCard:
    """By a transfer that has come."""
    payment = asked(user, fen)
    transfer_in(payment, fen=fen)
    return card_of(payment)


def from_wallet(user: User, fen: int = FACE) -> GiftCard:
    """By money that the user's wallet got for it."""
    fill_wallet(user, fen)
    return card_of(asked(user, fen, "WALLET"))


def redeemed(user: User, fen: int = FACE) -> GiftCard:
    card = bought(user, fen)
    redeem(card)
    return fresh(card)


def fresh(card: GiftCard) -> GiftCard:
    return GiftCard.objects.get(pk=card.pk)


def redeem(card: GiftCard) -> None:
    services.redeem(card=fresh(card), actor="", at=now())


def give(card: GiftCard, message: str = "") -> str:
    """The code of the link."""
    gift = services.give(card=fresh(card), actor="", message=message, at=now())
    return services.code(gift.number)


def claim(code: str, user: User) -> GiftCard:
    return services.claim(secret=code, person_id=user.pk, actor=user.number, at=now())


def take_back(card: GiftCard) -> None:
    services.take_back(card=fresh(card), actor="", at=now())


def refund(card: GiftCard) -> int:
    return services.refund(card=fresh(card), actor="", at=now())


def left(card: GiftCard) -> int:
    return queries.balances([card.number])[card.number]


def held() -> int:
    return books.balance("held:GIFT_CARDS")


def lost() -> int:
    return books.balance("receivable:GIFT_CARDS")


def gift() -> Gift:
    return Gift.objects.latest("pk")


def reversed_by_the_bank(payment: Payment, **only: Any) -> None:
    txns = list(payment.receipts.filter(**only).values_list("channel_txn", flat=True))
    cashier.reverse(channel_txns=txns, method=payment.method, actor="", at=now())


def payment_of(card: GiftCard) -> Payment:
    return Payment.objects.get(purpose="GIFT_CARD", reference=card.number)


def sent() -> None:
    """What is to go back has gone, where nobody outside is asked."""
    inside = Q(way="WALLET") | Q(payment__method="WALLET")
    for refund in Refund.objects.filter(inside, status="APPROVED"):
        send_refund(refund_id=refund.pk)
