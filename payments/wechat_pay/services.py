"""WeChat's word about our trades becomes money, or a problem that a person looks at."""

import logging
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from config.kit.db import insert_once, joined
from config.kit.errors import StaleState
from config.kit.outside import assert_no_transaction
from config.kit.states import move
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Arrival
from payments.channels import wechat
from payments.channels.answers import ChannelRefused
from payments.channels.asking import ASK_AT, REST, ask_next
from payments.channels.wechat import Notice, Trade
from payments.wechat_pay.models import WeChatNotice, WeChatTrade
from payments.wechat_pay.queries import METHOD, SOURCE
from payments.wechat_pay.rules import TRANSITIONS, Asked, Status, differs

logger = logging.getLogger(__name__)

PAID = "TRANSACTION.SUCCESS"
_NAMED = "SELECT * FROM payments_wechattrade WHERE out_trade_no = %s"


# --- to pay -------------------------------------------------------------------------------------


def prepare(*, payment: Payment, at: datetime) -> None:
    """A prepay session for a payment that waits.  Not atomic on purpose: the network lies between.

    The trade's number was written down when the payment was opened; an answer that never came is
    asked for again under the same number.  Raises ChannelSilent, ChannelRefused.
    """
    assert_no_transaction()
    trade = _payable_trade(payment, at)
    if trade and trade.amount_fen != payment.outstanding_fen:
        # The payer's wallet has paid a part since: nobody is to pay the whole any more.
        trade = _instead(payment, trade, at)
    if trade is None:
        return
    if trade.prepaid_at and at < trade.prepaid_at + wechat.PREPAY_LIVES:
        return
    try:
        _prepay(payment, trade, at)
    except ChannelRefused:
        # What it had taken before it does not take any more: closed there, or other facts of ours.
        again = _instead(payment, trade, at) if trade.prepaid_at else None
        if again is None:
            raise
        _prepay(payment, again, at)


@transaction.atomic
def _payable_trade(payment: Payment, at: datetime) -> WeChatTrade | None:
    """The trade by which a payment may be paid now; None: by none (any more).

    A number that was closed stays closed: the next attempt has another.  Not at once: whoever had
    it closed is giving up what it pays for, or keeps it after all (REST).
    Raises the payable's Refusal when nothing is to be paid.
    """
    if not cashier.may_be_paid(payment=payment, at=at):
        return None
    last = WeChatTrade.objects.filter(payment=payment).order_by("-pk")[0]
    if last.status == Status.CLOSED and last.closed_at and at >= last.closed_at + REST:
        return _another(payment, last, at)
    return last if last.status == Status.OPEN else None


def _instead(payment: Payment, over: WeChatTrade, at: datetime) -> WeChatTrade | None:
    """A new number, now that nobody can pay the one before.  None: it is paid, or may be."""
    if not shut(trade=over, at=at):
        return None
    with transaction.atomic():
        if not cashier.may_be_paid(payment=payment, at=at):
            return None
        # Two taps at once: the second has what the first was given.
        found = WeChatTrade.objects.filter(payment=payment, status=Status.OPEN).first()
        return found or _another(payment, over, at)


def _prepay(payment: Payment, trade: WeChatTrade, at: datetime) -> None:
    prepay_id = wechat.wechat_pay().prepay(
        out_trade_no=trade.out_trade_no,
        description=f"订单 {payment.reference}",
        fen=trade.amount_fen,
        openid=trade.openid,
        pay_before=payment.pay_before,
    )
    WeChatTrade.objects.filter(pk=trade.pk, status=Status.OPEN).update(
        prepay_id=prepay_id, prepaid_at=at
    )


def _another(payment: Payment, over: WeChatTrade, at: datetime) -> WeChatTrade:
    """Under the payment's lock."""
    tried = WeChatTrade.objects.filter(payment=payment).count()
    return WeChatTrade.objects.create(
        payment=payment,
        out_trade_no=f"{payment.number}-{tried + 1}",
        openid=over.openid,
        amount_fen=payment.outstanding_fen,
        opened_at=at,
        ask_at=at + ASK_AT[0],
    )


# --- what WeChat tells --------------------------------------------------------------------------


@transaction.atomic
def take_notice(*, notice: Notice, at: datetime) -> WeChatNotice | None:
    """A verified notice is taken once; None: it was known.

    What a retry cannot mend (an unknown number, another amount) is kept with its problem, for a
    person; nothing comes of it.
    """
    # A second delivery waits here for the first, and finds it.
    row = WeChatNotice(event_id=notice.id, kind=notice.kind, told=notice.told, at=at)
    if not insert_once(row):
        return None
    if problem := _problem(notice, at):
        row.problem = problem[:200]
        row.save(update_fields=["problem"])
        logger.error("WeChat Pay notice %s: %s", notice.id, problem)
    return row


def _problem(notice: Notice, at: datetime) -> str:
    if notice.kind == PAID:
        return take(theirs=Trade.of(notice.told), at=at)
    if notice.kind.startswith("REFUND."):
        # Its state is asked for, under the same number: the notice itself decides nothing.
        number = str(notice.told.get("out_refund_no", ""))
        if not refunds.look_again(of_method=METHOD, number=number):
            return f"退款单号 {number[:32]} 不是本店的"
    for begins, path in settings.WECHAT_NOTICES.items():
        if notice.kind.startswith(begins):
            return str(import_string(path)(told=notice.told))
    return ""


@joined
def take(*, theirs: Trade, at: datetime) -> str:
    """WeChat says (notice or query) that a trade is paid: the money is here.  Safe twice.

    Answers the problem where it is not what we had asked for, else an empty text.
    """
    trade = next(iter(WeChatTrade.objects.raw(_NAMED, [theirs.out_trade_no])), None)
    if trade is None:
        return f"商户订单号 {theirs.out_trade_no[:32]} 不是本店的"
    if theirs.state == "REFUND" and trade.status == Status.PAID:
        return ""  # known, and given back since
    if problem := _is_no_payment(trade, theirs):
        return problem
    cashier.locked([trade.payment_id])
    paid = {
        "transaction_id": theirs.transaction_id,
        "paid_at": at,
        "success_at": theirs.success_at or at,
    }
    found = WeChatTrade.objects.filter(pk=trade.pk)
    try:
        move(found, Status.PAID, TRANSITIONS, **paid)
    except StaleState:
        known = found.filter(transaction_id=theirs.transaction_id).exists()
        return "" if known else f"又以 {theirs.transaction_id[:40]} 支付了一次"
    arrival = Arrival(trade.payment_id, theirs.transaction_id, trade.amount_fen, SOURCE)
    cashier.confirm(arrivals=[arrival], at=at)
    cashier.return_all_owed(payment_id=trade.payment_id, at=at)
    return ""


def _is_no_payment(trade: WeChatTrade, theirs: Trade) -> str:
    if theirs.state == "REFUND":
        # By somebody else, and nobody says how much of it.
        return "已支付又退款，但本店没有收到过付款通知"
    if theirs.state != "SUCCESS" or not theirs.transaction_id:
        return f"交易状态为 {theirs.state[:20]}"
    pay = wechat.wechat_pay()
    return differs(Asked(trade.out_trade_no, trade.amount_fen, pay.mchid, pay.appid), theirs)


# --- asking -------------------------------------------------------------------------------------


def ask(*, trade: WeChatTrade, at: datetime) -> None:
    """Whether a trade was paid; one whose time is over is closed first, and only then is asked.

    Not atomic on purpose: the network lies in between.  Without an answer it is asked again.
    """
    assert_no_transaction()
    payment = trade.payment
    WeChatTrade.objects.filter(pk=trade.pk, status=Status.OPEN).update(
        ask_at=ask_next(trade.opened_at, payment.pay_before, at)
    )
    if at >= payment.pay_before or payment.closed_at:
        shut(trade=trade, at=at)
    else:
        _hear(trade, at)


def shut(*, trade: WeChatTrade, at: datetime) -> bool:
    """Nobody can pay a trade any more: closed at WeChat, then asked about.  False: perhaps paid.

    Before what it pays for is given to anybody else.  Raises ChannelSilent.
    """
    assert_no_transaction()
    if not wechat.wechat_pay().close(trade.out_trade_no):
        _hear(trade, at)
        return False
    if _hear(trade, at):
        return False
    over = WeChatTrade.objects.filter(pk=trade.pk)
    over.filter(status=Status.OPEN).update(status=Status.CLOSED, closed_at=at)
    return not over.filter(status=Status.PAID).exists()


def _hear(trade: WeChatTrade, at: datetime) -> bool:
    """True when WeChat says that it is paid, or may be just now."""
    theirs = wechat.wechat_pay().query(trade.out_trade_no)
    if theirs is None or theirs.state in {"NOTPAY", "CLOSED", "REVOKED", "PAYERROR"}:
        return False
    if theirs.state in {"SUCCESS", "REFUND"} and (problem := take(theirs=theirs, at=at)):
        _keep(theirs, problem, at)
    return True


def _keep(theirs: Trade, problem: str, at: datetime) -> None:
    """As of a notice, once for each trade and state."""
    logger.error("WeChat Pay trade %s: %s", theirs.out_trade_no, problem)
    told = {name: getattr(theirs, name) for name in Trade.__slots__}
    told["success_at"] = theirs.success_at and theirs.success_at.isoformat()
    WeChatNotice.objects.get_or_create(
        event_id=f"query:{theirs.out_trade_no}:{theirs.state}"[:64],
        defaults={"kind": "QUERY", "told": told, "problem": problem[:200], "at": at},
    )
