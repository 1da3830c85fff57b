"""WALLET for the cashier: paid when it is opened, and back in the wallet when it is given back."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from payments.cashier.models import Payment, RefundPart
from payments.gift_cards import queries as gift_cards
from payments.gift_cards.rules import POT
from payments.wallet import queries, services

ASKS_CHANNEL = False


def hindered(*, payer_id: int, merchant: str) -> str:
    """Whose wallet is empty; what is in it may be less than what is to be paid, all the same.

    Gift cards count, but for other gift cards.
    """
    available_fen, _ = queries.balance(queries.owner_of(payer_id))
    if available_fen or (merchant != POT and gift_cards.spendable_fen(payer_id)):
        return ""
    return services.InsufficientBalance.message


def opened(payment: Payment, *, at: datetime) -> None:
    """Raises InsufficientBalance."""
    services.pay(payment=payment, at=at)


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    """Nothing is left to do."""
    return {}


def prepare(payment: Payment, *, at: datetime) -> None:
    """Nothing: it is paid."""


def unheard(payments: Sequence[Payment], *, at: datetime) -> Mapping[int, datetime]:
    """Nobody else has to tell us."""
    return {}


def shut(payment: Payment, *, at: datetime) -> None:
    """Nothing: it is paid."""


def send_back(part: RefundPart) -> str | None:
    """It does not leave the house: there is nobody to ask."""
    return part.number


def left_from(part: RefundPart, channel_txn: str) -> str:
    """Back to the wallet or the very gift card that it came from."""
    return part.receipt.source
