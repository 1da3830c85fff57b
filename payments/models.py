"""The tables of this app, for Django; nobody else imports this list."""

from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund
from payments.ledger.models import Account, Entry, Posting
from payments.transfers.models import (
    Allocation,
    LineEvent,
    ReceivingAccount,
    Statement,
    StatementLine,
    TransferIntent,
    VirtualAccount,
)

__all__ = [
    "Account",
    "Allocation",
    "Entry",
    "LineEvent",
    "Payment",
    "PaymentEvent",
    "Posting",
    "Receipt",
    "ReceivingAccount",
    "Refund",
    "Statement",
    "StatementLine",
    "TransferIntent",
    "VirtualAccount",
]
