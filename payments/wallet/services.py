from datetime import datetime

from config.kit.db import joined
from config.kit.errors import Refusal
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Arrival, Status
from payments.ledger.services import NotCovered
from payments.wallet import queries
from payments.wallet.rules import wallet_of


class InsufficientBalance(Refusal):
    message = "钱包余额不足"


@joined
def pay(*, payment: Payment, at: datetime) -> None:
    """All of a payment from its payer's wallet, now; `payment` says so then, too.

    Raises InsufficientBalance; nothing is left of the payment, which was opened for this.
    """
    number = queries.owner_of(payment.payer_id)
    arrival = Arrival(payment.pk, payment.number, payment.amount_fen, wallet_of(number))
    try:
        cashier.confirm(arrivals=[arrival], at=at)
    except NotCovered as short:
        available_fen, _ = queries.balance(number)
        raise InsufficientBalance(available_fen=available_fen) from short
    payment.received_fen, payment.status = payment.amount_fen, Status.CONFIRMED
    payment.confirmed_at = at
