"""The tables of this app, for Django; nobody else imports this list."""

from payments.alipay.models import AlipayLink, AlipayNotice, AlipayTrade
from payments.bills.models import ChannelDay, ChannelDifference
from payments.calendar.models import BankDay
from payments.carrier.models import CarrierAccount, CarrierBatch, CarrierMark, CarrierMove
from payments.cashier.models import (
    PartPaid,
    Payment,
    PaymentEvent,
    Receipt,
    Refund,
    RefundPart,
)
from payments.closing.models import DayClose
from payments.deposits.models import DepositMove, DepositRule
from payments.ledger.models import Account, Entry, Posting
from payments.offering.models import MethodRule, MethodRuleEvent
from payments.payouts.models import Payee, Payout, PayoutEvent, PayoutFile
from payments.receiving.models import (
    MissingDay,
    ReceivingAccount,
    TransferIntent,
    VirtualAccount,
)
from payments.settlement.models import FeeRate
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
from payments.transfers.models_by_hand import ByHand
from payments.wallet.models import TopUp, Wallet, Withdrawal
from payments.wechat_pay.models import (
    PlatformCertificate,
    WeChatNotice,
    WeChatRefund,
    WeChatTrade,
)

__all__ = [
    "Account",
    "AlipayLink",
    "AlipayNotice",
    "AlipayTrade",
    "Allocation",
    "BankDay",
    "ByHand",
    "CarrierAccount",
    "CarrierBatch",
    "CarrierMark",
    "CarrierMove",
    "ChannelDay",
    "ChannelDifference",
    "DayClose",
    "DepositMove",
    "DepositRule",
    "Entry",
    "FeeRate",
    "LineEvent",
    "LineReturn",
    "MethodRule",
    "MethodRuleEvent",
    "MissingDay",
    "PartPaid",
    "Payee",
    "Payment",
    "PaymentEvent",
    "Payout",
    "PayoutEvent",
    "PayoutFile",
    "PlatformCertificate",
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
    "WeChatRefund",
    "WeChatTrade",
    "Withdrawal",
]
