"""What both ways to pay by Alipay have in common for the cashier; `link` and `qr` add their own."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction
from payments.alipay import offers, services
from payments.alipay.models import AlipayTrade
from payments.alipay.queries import SOURCE
from payments.alipay.rules import Status
from payments.cashier.models import Payment, RefundPart
from payments.channels.alipay import alipay
from payments.channels.answers import ChannelRefused, ChannelSilent

ASKS_CHANNEL = True
LOOK_AGAIN = timedelta(seconds=15)  # whether Alipay has closed it


class CannotSendBack(Refusal):
    message = "支付宝拒绝退款"


class BeingPaid(Refusal):
    message = "这笔支付宝支付正在支付或刚刚支付，请稍后再试"


def hindered(*, payer_id: int, merchant: str) -> str:
    """Nobody is: `opened` asks nothing of a payer, nor of a merchant."""
    return ""


def opened(payment: Payment, *, at: datetime) -> None:
    offers.open_first(payment=payment, at=at)


def unheard(payments: Sequence[Payment], *, at: datetime) -> dict[int, datetime]:
    """Whose trade is not shut yet: it may be paid at this moment; one query."""
    trades = AlipayTrade.objects.filter(payment__in=payments, status=Status.OPEN)
    return dict.fromkeys(trades.values_list("payment_id", flat=True), at + LOOK_AGAIN)


def shut(payment: Payment, *, at: datetime) -> None:
    for trade in AlipayTrade.objects.filter(payment=payment, status=Status.OPEN):
        try:
            is_shut = services.shut(trade=trade, at=at)
        except ChannelRefused as no:
            raise BeingPaid(said=str(no)) from no
        if not is_shut:
            raise BeingPaid
    if not services.is_shut(payment=payment, at=at):
        raise BeingPaid


# --- money goes back ----------------------------------------------------------------------------

# Alipay may do it later, under the same number and with the same facts.
_LATER = {"ACQ.SELLER_BALANCE_NOT_ENOUGH"}


def send_back(part: RefundPart) -> str | None:
    """To where it came from; the part's number is Alipay's key, and asking again is repeating.

    Alipay gives a refund no number of its own: ours names it, in its bills too.  What it refuses
    now it may have done before, so it is asked about before anything is concluded.
    """
    assert_no_transaction()
    try:
        no = _refund(part)
        if no is None or _is_back(part):
            return part.number
    except (ChannelSilent, ChannelRefused):
        return None
    if no.code in {"", *_LATER}:
        return None
    raise CannotSendBack(f"支付宝拒绝退款：{no}")


def _refund(part: RefundPart) -> ChannelRefused | None:
    """None: done, by this very call.  No code: perhaps by an earlier one.  Raises ChannelSilent."""
    if part.receipt.undone_at:
        return ChannelRefused("UNDONE", "这笔收款已撤销")  # only asked about
    try:
        is_made = alipay().refund(
            trade_no=part.receipt.channel_txn,
            out_request_no=part.number,
            fen=part.amount_fen,
            reason=part.refund.get_reason_display(),
        )
    except ChannelRefused as no:
        return no
    return None if is_made else ChannelRefused("")


def _is_back(part: RefundPart) -> bool:
    return alipay().is_refunded(
        trade_no=part.receipt.channel_txn, out_request_no=part.number, fen=part.amount_fen
    )


def left_from(part: RefundPart, channel_txn: str) -> str:
    return SOURCE
