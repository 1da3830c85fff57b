"""The admin classes of this app, for Django; nobody else imports this list."""

from payments.calendar.admin import BankDayAdmin
from payments.cashier.admin import PaymentAdmin, RefundAdmin
from payments.closing.admin import DayCloseAdmin
from payments.ledger.admin import AccountAdmin, EntryAdmin, PostingAdmin
from payments.receiving.admin import (
    ReceivingAccountAdmin,
    TransferIntentAdmin,
    VirtualAccountAdmin,
)
from payments.transfers.admin import StatementAdmin, StatementLineAdmin

__all__ = [
    "AccountAdmin",
    "BankDayAdmin",
    "DayCloseAdmin",
    "EntryAdmin",
    "PaymentAdmin",
    "PostingAdmin",
    "ReceivingAccountAdmin",
    "RefundAdmin",
    "StatementAdmin",
    "StatementLineAdmin",
    "TransferIntentAdmin",
    "VirtualAccountAdmin",
]
