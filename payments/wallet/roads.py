"""The two ways out of a wallet: what is asked of each channel, and what its word comes to."""

import logging
from datetime import datetime
from typing import cast

from django.conf import settings
from django.utils.module_loading import import_string

from payments.channels import transfer, wechat
from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.wallet.models import Withdrawal
from payments.wallet.rules import STILL_ON_ITS_WAY, Outcome, Said, To

WAITS = Said(Outcome.WAITS)
_ENDS = {"SUCCESS", "FAIL", "CANCELLED"}
_REMARK = "钱包提现"

logger = logging.getLogger(__name__)


def of(row: Withdrawal, at: datetime) -> Said:
    """Over the network, outside any transaction, safe to repeat."""
    return _by_wechat(row, at) if row.to == To.WECHAT else _by_bank(row, at)


def leaves(row: Withdrawal, channel_no: str) -> str:
    """First thing in the transaction that books it: the ledger account that it has left."""
    if row.to == To.WECHAT:
        # Transfers leave our account at WeChat (or the one beside it that it fills), and its bill
        # books what is neither trade nor refund there, too.
        return "elsewhere:wechat"
    by = import_string(settings.PAYOUT_LEAVES)
    return cast(str, by(account_no=row.paid_from, serial=channel_no, fen=row.amount_fen))


# --- WeChat ---------------------------------------------------------------------------------------


def _by_wechat(row: Withdrawal, at: datetime) -> Said:
    """Asked for until WeChat is known to have it; then only asked about."""
    pay = wechat.wechat_pay()
    if not row.is_known or (not row.package and row.silent_at):
        try:
            begun = pay.transfer(
                out_bill_no=row.number,
                fen=row.amount_fen,
                openid=row.openid,
                name=row.account_name,
                remark=_REMARK,
            )
        except ChannelSilent:
            return Said(Outcome.WAITS, silent=True)
        except ChannelRefused as no:
            return _refused(row, no, at)
        if begun.state not in _ENDS:  # an end is asked about: this answer has not all its facts
            return Said(Outcome.WAITS, package=begun.package, is_known=True)
    try:
        theirs = pay.transfer_state(row.number)
    except (ChannelSilent, ChannelRefused):
        return WAITS
    return _read(row, theirs) if theirs else WAITS


def _refused(row: Withdrawal, no: ChannelRefused, at: datetime) -> Said:
    """WeChat says no to the order; an earlier one may have been heard, though."""
    if no.code in wechat.LATER:
        return Said(Outcome.WAITS, why=f"微信支付：{no}")
    try:
        theirs = wechat.wechat_pay().transfer_state(row.number)
    except (ChannelSilent, ChannelRefused):
        return WAITS
    if theirs is not None:
        return _read(row, theirs)
    return _never(row, f"微信支付拒绝转账：{no}", at)


def _never(row: Withdrawal, why: str, at: datetime) -> Said:
    """Refused and unknown; but an order that nobody answered may still be on its way."""
    if row.silent_at and at < row.silent_at + STILL_ON_ITS_WAY:
        return Said(Outcome.WAITS, why=why)
    return Said(Outcome.NEVER, why=why)


def _read(row: Withdrawal, theirs: wechat.Transfer) -> Said:
    ours = (row.number, row.amount_fen, row.openid, wechat.wechat_pay().mchid)
    if (theirs.out_bill_no, theirs.fen, theirs.openid, theirs.mchid) != ours:
        logger.error("withdrawal %s is another one at WeChat Pay: %s", row.number, theirs)
        return Said(Outcome.WAITS, why="微信支付的转账与本单不符，请人工核对")
    if theirs.state == "SUCCESS":
        return Said(Outcome.LEFT, theirs.bill_no, is_known=True)
    if theirs.state in _ENDS:
        return Said(Outcome.NEVER, why=f"微信支付：{theirs.why or theirs.state}", is_known=True)
    return Said(Outcome.WAITS, is_known=True)


# --- banks ----------------------------------------------------------------------------------------


def _by_bank(row: Withdrawal, at: datetime) -> Said:
    """The number is the bank's key: asking again is repeating."""
    bank = transfer.bank(settings.WALLET_PAYOUT_BANK)
    try:
        sent = bank.pay_out(
            out_no=row.number,
            account_no=row.paid_from,
            to_account=row.account_no,
            to_name=row.account_name,
            amount_fen=row.amount_fen,
            remark=f"{_REMARK} {row.number}",
        )
    except transfer.BankUnknown:
        return Said(Outcome.WAITS, silent=True)
    except transfer.BankRefused as no:
        return _refused_by_bank(row, no, at)
    if sent.status != "DONE":
        return Said(Outcome.WAITS, is_known=True)
    return Said(Outcome.LEFT, sent.serial, is_known=True)


def _refused_by_bank(row: Withdrawal, no: transfer.BankRefused, at: datetime) -> Said:
    try:
        before = transfer.bank(settings.WALLET_PAYOUT_BANK).payout(row.number)
    except (transfer.BankUnknown, transfer.BankRefused):
        return WAITS
    if before is None:
        return _never(row, f"银行拒绝付款：{no}", at)
    # It has this number, with other facts than ours: a person must look at it.
    logger.error("withdrawal %s is another payout at the bank: %s", row.number, before)
    return Said(Outcome.WAITS, why="银行的付款与本单不符，请人工核对")
