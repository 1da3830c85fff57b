"""The tables of this app, for Django; nobody else imports this list."""

from payments.calendar.models import BankDay
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund, RefundPart
from payments.closing.models import DayClose
from payments.ledger.models import Account, Entry, Posting
from payments.receiving.models import (
    MissingDay,
    ReceivingAccount,
    TransferIntent,
    VirtualAccount,
)
from payments.transfers.models import (
    Allocation,
    LineEvent,
    LineReturn,
    Policy,
    ShadowVerdict,
    Statement,
    StatementLine,
    StatementPart,
)
from payments.wallet.models import TopUp, Wallet, Withdrawal
from payments.wechat_pay.models import WeChatNotice, WeChatTrade

__all__ = [
    "Account",
    "Allocation",
    "BankDay",
    "DayClose",
    "Entry",
    "LineEvent",
    "LineReturn",
    "MissingDay",
    "Payment",
    "PaymentEvent",
    "Policy",
    "Posting",
    "Receipt",
    "ReceivingAccount",
    "Refund",
    "RefundPart",
    "ShadowVerdict",
    "Statement",
    "StatementLine",
    "StatementPart",
    "TopUp",
    "TransferIntent",
    "VirtualAccount",
    "Wallet",
    "WeChatNotice",
    "WeChatTrade",
    "Withdrawal",
]
