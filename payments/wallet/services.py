from datetime import datetime

from config.kit.db import joined
from config.kit.errors import Refusal
from payments.cashier import inside
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.rules import Arrival, Status
from payments.gift_cards import spending
from payments.gift_cards.rules import PAYS_FOR, account_of
from payments.ledger.services import NotCovered
from payments.wallet import queries
from payments.wallet.rules import METHOD, wallet_of


class InsufficientBalance(Refusal):
    message = "钱包余额不足"


@joined
def pay(*, payment: Payment, at: datetime) -> None:
    """All of a payment from its payer's wallet, now; `payment` says so then, too.

    Raises InsufficientBalance; nothing is left of the payment, which was opened for this.
    """
    _take(payment, payment.amount_fen, at)
    payment.received_fen, payment.status = payment.amount_fen, Status.CONFIRMED
    payment.confirmed_at = at


@joined
def pay_part(*, payment: Payment, fen: int, at: datetime) -> None:
    """So much of a payment by another method, now.  Raises InsufficientBalance."""
    _take(payment, fen, at)


def _take(payment: Payment, fen: int, at: datetime) -> None:
    """First off gift cards, where these pay for such things; each its own arrival, and goes back
    to where it came from."""
    number = queries.owner_of(payment.payer_id)
    arrivals, left = [], fen
    if payment.purpose in PAYS_FOR:
        for card, part in spending.cover(person_id=payment.payer_id, fen=fen):
            txn = f"{payment.number}-{card}"
            arrivals.append(Arrival(payment.pk, txn, part, account_of(card), METHOD))
            left -= part
    if left:
        arrivals.append(Arrival(payment.pk, payment.number, left, wallet_of(number), METHOD))
    try:
        cashier.confirm(arrivals=arrivals, at=at)
    except NotCovered as short:
        available_fen, _ = queries.balance(number)
        raise InsufficientBalance(available_fen=available_fen + fen - left) from short


@joined
def take_owed(*, refund: Refund, owner: str, at: datetime) -> None:
    """What is owed back to a payer is in his wallet; see `inside.settle`."""
    inside.settle(refund=refund, account=wallet_of(owner), actor=owner, at=at)
