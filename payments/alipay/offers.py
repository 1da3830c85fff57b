"""To pay: a trade's number, and the address or the code that is handed out for it."""

from datetime import datetime

from django.conf import settings
from django.db import transaction

from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction
from payments.alipay import services
from payments.alipay.models import AlipayLink, AlipayTrade
from payments.alipay.rules import Status, hash_of, is_long, offer_until, token_of
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.channels.alipay import Closed, Trade, alipay
from payments.channels.asking import ASK_AT, REST


class NothingToPay(Refusal):
    """Of our cashier page: paid, closed, too late, or being paid at this moment."""

    message = "这笔订单现在不能付款，请稍后刷新查看"


def open_first(*, payment: Payment, at: datetime) -> None:
    """In the transaction that opens the payment: nobody is asked before its number is kept."""
    _create(payment, payment.number, at)


def _create(payment: Payment, number: str, at: datetime) -> AlipayTrade:
    return AlipayTrade.objects.create(
        payment=payment,
        out_trade_no=number,
        amount_fen=payment.outstanding_fen,
        opened_at=at,
        ask_at=at + ASK_AT[0],
    )


# --- the link of our own page ---------------------------------------------------------------------


def token(payment: Payment) -> str:
    """Told to the payment's buyer only; kept nowhere."""
    return token_of(payment.number, settings.SECRET_KEY)


def page_url(token: str) -> str:
    return f"{settings.PUBLIC_URL}/pay/{token}"


@transaction.atomic
def give_link(*, payment: Payment, at: datetime) -> None:
    """A link of its own for a payment that waits; the same one when asked again."""
    if payable_trade(payment=payment, at=at) is None:
        return
    # Another hash than before: the installation has another secret, and older links are dead.
    AlipayLink.objects.bulk_create(
        [
            AlipayLink(
                payment=payment,
                token_hash=hash_of(token(payment)),
                expires_at=payment.pay_before,
            )
        ],
        update_conflicts=True,
        unique_fields=["payment"],
        update_fields=["token_hash", "expires_at"],
    )


def leave_for_alipay(*, payment: Payment, return_url: str, at: datetime) -> str:
    """Where the button of our page leads.  Raises NothingToPay, or the payable's own Refusal."""
    trade = _offered(payment, at)
    if trade is None or trade.offered_until is None:
        raise NothingToPay
    return alipay().pay_url(
        out_trade_no=trade.out_trade_no,
        subject=_subject(payment),
        fen=trade.amount_fen,
        until=trade.offered_until,
        return_url=return_url,
    )


def _subject(payment: Payment) -> str:
    return f"订单 {payment.reference}"


# --- the code -------------------------------------------------------------------------------------


def give_code(*, payment: Payment, at: datetime) -> None:
    """A code for a payment that waits.  Not atomic on purpose: the network lies in between.

    An answer that never came is asked for again under the same number, with the same facts.
    Raises ChannelSilent, ChannelRefused.
    """
    trade = _offered(payment, at)
    if trade is None or trade.offered_until is None or trade.qr_code:
        return
    code = alipay().precreate(
        out_trade_no=trade.out_trade_no,
        subject=_subject(payment),
        fen=trade.amount_fen,
        until=trade.offered_until,
    )
    same = AlipayTrade.objects.filter(pk=trade.pk, offered_until=trade.offered_until)
    same.update(qr_code=code)


# --- numbers --------------------------------------------------------------------------------------


@transaction.atomic
def payable_trade(*, payment: Payment, at: datetime) -> AlipayTrade | None:
    """The trade by which a payment may be paid now; None: by none (any more).

    A number that was closed stays closed: the next attempt has another.  Not at once: whoever had
    it closed is giving up what it pays for, or keeps it after all (REST).
    Raises the payable's Refusal when nothing is to be paid.
    """
    if not cashier.may_be_paid(payment=payment, at=at):
        return None
    last = AlipayTrade.objects.filter(payment=payment).order_by("-pk")[0]
    if last.status == Status.CLOSED and last.closed_at and at >= last.closed_at + REST:
        return _another(payment, at)
    return last if last.status == Status.OPEN else None


def _another(payment: Payment, at: datetime) -> AlipayTrade:
    tried = AlipayTrade.objects.filter(payment=payment).count()
    return _create(payment, f"{payment.number}_{tried + 1}", at)


@transaction.atomic
def _replaced(trade: AlipayTrade, payment: Payment, at: datetime) -> AlipayTrade | None:
    """A new number, now that nobody can pay the one before.  None where it was shut on purpose."""
    if not cashier.may_be_paid(payment=payment, at=at):
        return None
    mine = AlipayTrade.objects.filter(pk=trade.pk, status=Status.OPEN)
    if not mine.update(status=Status.CLOSED, closed_at=at):
        return None
    return _another(payment, at)


def _of_the_rest(trade: AlipayTrade, payment: Payment, at: datetime) -> AlipayTrade | None:
    """The payer's wallet has paid a part since: nobody is to pay the whole any more.

    None while an address or a code for the whole is out.
    """
    try:
        services.shut(trade=trade, at=at)
    except services.StillPayable:
        return None
    return _instead(trade, payment, at)


@transaction.atomic
def _instead(trade: AlipayTrade, payment: Payment, at: datetime) -> AlipayTrade | None:
    """A new number for one that was shut just now, and by nobody else: he is giving it up."""
    shut = AlipayTrade.objects.filter(pk=trade.pk, status=Status.CLOSED, closed_at=at)
    if not cashier.may_be_paid(payment=payment, at=at) or not shut.exists():
        return None
    return _another(payment, at)


def _offered(payment: Payment, at: datetime) -> AlipayTrade | None:
    """A trade to be handed out, good until its `offered_until`, which is committed; None: none."""
    assert_no_transaction()
    trade = payable_trade(payment=payment, at=at)
    if trade and trade.amount_fen != payment.outstanding_fen:
        trade = _of_the_rest(trade, payment, at)
    if trade is None or is_long(trade.offered_until, payment.pay_before, at):
        return trade
    if trade.offered_until and (theirs := services.hear(trade=trade, at=at)):
        if theirs.status == "WAIT_BUYER_PAY" and at < trade.offered_until:
            return trade  # begun, and not to be closed under the buyer's thumb
        if not _is_over(theirs):
            return None
        trade = _replaced(trade, payment, at)
        if trade is None:
            return None
    # Not begun, or a new number: the same trade at Alipay, however many addresses lead to it.
    until = offer_until(at, payment.pay_before)
    mine = AlipayTrade.objects.filter(pk=trade.pk, status=Status.OPEN)
    mine.filter(offered_until=trade.offered_until).update(offered_until=until, qr_code="")
    return mine.first()  # shut meanwhile: none


def _is_over(theirs: Trade) -> bool:
    """Whether nobody can pay, nor has paid, this number."""
    if theirs.status == "WAIT_BUYER_PAY":
        return alipay().close(theirs.out_trade_no) == Closed.FOR_EVER
    return theirs.status == "TRADE_CLOSED" and not theirs.was_paid
