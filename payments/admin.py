"""The admin classes of this app, for Django; nobody else imports this list."""

from payments.alipay.admin import AlipayNoticeAdmin, AlipayTradeAdmin
from payments.bills.admin import ChannelDayAdmin, ChannelDifferenceAdmin
from payments.calendar.admin import BankDayAdmin
from payments.carrier.admin import CarrierAccountAdmin, CarrierBatchAdmin, CarrierMoveAdmin
from payments.cashier.admin import PaymentAdmin, ReceiptAdmin, RefundAdmin
from payments.closing.admin import DayCloseAdmin
from payments.deposits.admin import DepositMoveAdmin, DepositPaymentAdmin, DepositRuleAdmin
from payments.gift_cards.admin import GiftCardAdmin
from payments.ledger.admin import AccountAdmin, EntryAdmin, PostingAdmin
from payments.offering.admin import MethodRuleAdmin
from payments.payouts.admin import PayeeAdmin, PayoutAdmin, PayoutFileAdmin
from payments.receiving.admin import (
    ReceivingAccountAdmin,
    TransferIntentAdmin,
    VirtualAccountAdmin,
)
from payments.settlement.admin import FeeRateAdmin
from payments.transfers.admin import StatementAdmin, StatementLineAdmin
from payments.transfers.admin_by_hand import ByHandAdmin
from payments.transfers.admin_policies import PolicyAdmin
from payments.transfers.admin_returns import LineReturnAdmin
from payments.wallet.admin import TopUpAdmin, WalletAdmin, WithdrawalAdmin
from payments.wechat_pay.admin import WeChatNoticeAdmin, WeChatRefundAdmin, WeChatTradeAdmin

__all__ = [
    "AccountAdmin",
    "AlipayNoticeAdmin",
    "AlipayTradeAdmin",
    "BankDayAdmin",
    "ByHandAdmin",
    "CarrierAccountAdmin",
    "CarrierBatchAdmin",
    "CarrierMoveAdmin",
    "ChannelDayAdmin",
    "ChannelDifferenceAdmin",
    "DayCloseAdmin",
    "DepositMoveAdmin",
    "DepositPaymentAdmin",
    "DepositRuleAdmin",
    "EntryAdmin",
    "FeeRateAdmin",
    "GiftCardAdmin",
    "LineReturnAdmin",
    "MethodRuleAdmin",
    "PayeeAdmin",
    "PaymentAdmin",
    "PayoutAdmin",
    "PayoutFileAdmin",
    "PolicyAdmin",
    "PostingAdmin",
    "ReceiptAdmin",
    "ReceivingAccountAdmin",
    "RefundAdmin",
    "StatementAdmin",
    "StatementLineAdmin",
    "TopUpAdmin",
    "TransferIntentAdmin",
    "VirtualAccountAdmin",
    "WalletAdmin",
    "WeChatNoticeAdmin",
    "WeChatRefundAdmin",
    "WeChatTradeAdmin",
    "WithdrawalAdmin",
]
