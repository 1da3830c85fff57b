"""Refunds by WeChat Pay: asked for under the cashier's number, and what WeChat says of them."""

from datetime import datetime

from config.kit.errors import Refusal, StaleState
from config.kit.outside import assert_no_transaction
from payments.cashier import refunds
from payments.cashier.models import RefundPart
from payments.channels import wechat
from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.channels.wechat import Sent
from payments.wechat_pay.models import WeChatRefund, WeChatTrade
from payments.wechat_pay.queries import METHOD
from payments.wechat_pay.rules import RefundState


class CannotSendBack(Refusal):
    message = "微信支付拒绝退款"


class CardRefused(Refusal):
    message = "微信支付不接受这张银行卡"


def ask(*, part: RefundPart, at: datetime) -> str | None:
    """Ask for a part's money to go back, or what became of it: the same number is the same refund.

    WeChat's number once the money has left, else None.  Raises CannotSendBack when nothing has
    left and nothing will.
    """
    assert_no_transaction()
    trade = WeChatTrade.objects.get(transaction_id=part.receipt.channel_txn)
    try:
        sent = wechat.wechat_pay().refund(
            out_refund_no=part.number,
            transaction_id=part.receipt.channel_txn,
            fen=part.amount_fen,
            total_fen=trade.amount_fen,
            reason=part.refund.get_reason_display(),
        )
    except ChannelSilent:
        return None
    except ChannelRefused as no:
        if no.code in wechat.LATER:
            return None
        raise CannotSendBack(f"微信支付拒绝退款：{no}") from no
    _note(trade, sent, part.amount_fen, at)
    if sent.status == RefundState.CLOSED:
        raise CannotSendBack("微信支付关闭了这笔退款，没有退出")
    return sent.refund_id if sent.status == RefundState.SUCCESS else None


def to_card(*, refund: WeChatRefund, bank_type: str, card_no: str, name: str, at: datetime) -> None:
    """The buyer's card is gone: his money goes to another one of his own.

    Not atomic on purpose: the network lies in between; WeChat compares the name with the payer's.
    Raises StaleState, CardRefused, ChannelSilent.
    """
    assert_no_transaction()
    if refund.status != RefundState.ABNORMAL:
        raise StaleState
    try:
        sent = wechat.wechat_pay().refund_to_card(
            out_refund_no=refund.out_refund_no,
            refund_id=refund.refund_id,
            bank_type=bank_type,
            card_no=card_no,
            name=name,
        )
    except ChannelRefused as no:
        raise CardRefused(f"微信支付不接受：{no}") from no
    _note(refund.trade, sent, refund.amount_fen, at)
    refunds.look_again(of_method=METHOD, number=refund.out_refund_no)


def _note(trade: WeChatTrade, sent: Sent, fen: int, at: datetime) -> None:
    WeChatRefund.objects.update_or_create(
        out_refund_no=sent.out_refund_no,
        defaults={"status": sent.status, "heard_at": at},
        create_defaults={
            "trade": trade,
            "refund_id": sent.refund_id,
            "amount_fen": fen,
            "status": sent.status,
            "accepted_at": sent.accepted_at or at,
            "heard_at": at,
        },
    )
