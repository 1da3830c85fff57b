"""Alipay's word about our trades becomes money, or a problem that a person looks at."""

import logging
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from config.kit.db import insert_once, joined
from config.kit.errors import Refusal, StaleState
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move
from payments.alipay.models import AlipayNotice, AlipayTrade
from payments.alipay.queries import SOURCE
from payments.alipay.rules import TRANSITIONS, Asked, Status, differs, may_begin
from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Arrival
from payments.cashier.rules import Status as PaymentStatus
from payments.channels.alipay import PAID, Closed, Notice, Trade, alipay
from payments.channels.asking import GRACE, ask_next

logger = logging.getLogger(__name__)


class StillPayable(Refusal):
    """An address or a code is out that nobody can take back; `until` is when it is dead."""

    message = "支付宝付款页面或付款码仍可付款，请稍后再取消"

    @classmethod
    def before(cls, until: datetime) -> "StillPayable":
        at = until.astimezone(ZoneInfo("Asia/Shanghai"))
        return cls(
            f"支付宝付款页面或付款码在 {at:%H:%M:%S} 前仍可付款，请在此之后再取消",
            until=at.isoformat(timespec="seconds"),
        )


# --- what Alipay tells --------------------------------------------------------------------------


@transaction.atomic
def take_notice(*, notice: Notice, at: datetime) -> AlipayNotice | None:
    """A verified notification is taken once; None: it was known.

    What a retry cannot mend (an unknown number, another amount) is kept with its problem, for a
    person; nothing comes of it.
    """
    # A second delivery waits here for the first, and finds it.
    row = AlipayNotice(
        notify_id=notice.id[:128], kind=notice.trade.status[:64], told=notice.told, at=at
    )
    if not insert_once(row):
        return None
    if problem := take(theirs=notice.trade, at=at):
        row.problem = problem[:200]
        row.save(update_fields=["problem"])
        logger.error("Alipay notice %s: %s", notice.id, problem)
    return row


@joined
def take(*, theirs: Trade, at: datetime) -> str:
    """Alipay says (by notification or answer) how a trade stands.  Safe twice, in any order.

    TRADE_SUCCESS comes again after a partial refund, TRADE_FINISHED when no refund is possible any
    more: of a trade that is paid already neither is money.  TRADE_CLOSED is the end of one that
    nobody paid, or of one that was given back in full.  Answers the problem where it is not what
    we had asked for, else an empty text.
    """
    found = AlipayTrade.objects.filter(out_trade_no=theirs.out_trade_no)
    trade = found.select_related("payment").first()
    if trade is None:
        return f"商户订单号 {theirs.out_trade_no[:32]} 不是本店的"
    channel = alipay()
    ours = Asked(trade.amount_fen, channel.seller_id, channel.app_id)
    problem = differs(ours, theirs)
    if not problem and theirs.status in PAID:
        problem = _pay(trade, theirs, at)
    elif not problem and theirs.status == "TRADE_CLOSED" and theirs.was_paid:
        problem = _given_back(trade)
    if not problem and theirs.refund_no:
        # Its state is asked for, under the same number: the word itself decides nothing.
        is_ours = refunds.look_again(of_method=trade.payment.method, number=theirs.refund_no)
        problem = "" if is_ours else f"退款请求号 {theirs.refund_no[:32]} 不是本店的"
    return problem


def _pay(trade: AlipayTrade, theirs: Trade, at: datetime) -> str:
    if not theirs.trade_no:
        return "已支付，但没有支付宝交易号"
    cashier.locked([trade.payment_id])
    found = AlipayTrade.objects.filter(pk=trade.pk)
    try:
        proof = {"trade_no": theirs.trade_no, "success_at": theirs.paid_at or at}
        move(found, Status.PAID, TRANSITIONS, paid_at=at, **proof)
    except StaleState:
        known = found.filter(trade_no=theirs.trade_no).exists()
        return "" if known else f"又以 {theirs.trade_no[:40]} 支付了一次"
    arrival = Arrival(trade.payment_id, theirs.trade_no, trade.amount_fen, SOURCE)
    cashier.confirm(arrivals=[arrival], at=at)
    cashier.return_all_owed(payment_id=trade.payment_id, at=at)
    return ""


def _given_back(trade: AlipayTrade) -> str:
    """Ours to give back is only what we know to be paid."""
    if AlipayTrade.objects.filter(pk=trade.pk, status=Status.PAID).exists():
        return ""
    return "已支付又全额退款，但本店没有收到过付款通知"


# --- asking -------------------------------------------------------------------------------------


def ask(*, trade: AlipayTrade, at: datetime) -> None:
    """Whether a trade was paid; one that need not be paid any more is closed, and then asked about.

    Not atomic on purpose: the network lies in between.  Without an answer it is asked again.
    """
    assert_no_transaction()
    payment = trade.payment
    mine = AlipayTrade.objects.filter(pk=trade.pk, status=Status.OPEN)
    mine.update(ask_at=ask_next(trade.opened_at, payment.pay_before, at))
    if at < payment.pay_before and payment.status == PaymentStatus.WAITING:
        hear(trade=trade, at=at)
        return
    try:
        shut(trade=trade, at=at)
    except StillPayable:
        mine.update(ask_at=F("offered_until") + GRACE)


def ask_soon(*, payment: Payment) -> None:
    """A buyer says that he has paid: that proves nothing, but it is worth a question."""
    later("payments.alipay.tasks.ask_payment", payment_id=payment.pk)


def shut(*, trade: AlipayTrade, at: datetime) -> bool:
    """Nobody can pay a trade any more: closed at Alipay, then asked about.  False: perhaps paid.

    Before what it pays for is given to anybody else.  A trade that has begun is closed for ever.
    Of one that has not, Alipay knows nothing (TRADE_NOT_EXIST) and can close nothing: an address
    or a code that is out would begin it a moment later.  So it is shut only
      - when nothing was ever handed out: `offered_until` is written before anything is, and the
        UPDATE below finds it unchanged, or does not shut;
      - or after `offered_until`, which every address and code carries as its `time_expire`: Alipay
        begins nothing under it any more, on any clock (GRACE).
    From then on our own page hands out nothing either, for its trade is not OPEN.
    Raises StillPayable until then, ChannelSilent, ChannelRefused.
    """
    assert_no_transaction()
    trade = AlipayTrade.objects.get(pk=trade.pk)
    closed = alipay().close(trade.out_trade_no)
    theirs = hear(trade=trade, at=at)
    if theirs and theirs.status in {*PAID, "WAIT_BUYER_PAY"}:
        return False
    if closed == Closed.NOT_NOW and not (theirs and theirs.status == "TRADE_CLOSED"):
        return False
    if closed == Closed.NOT_BEGUN and trade.offered_until and may_begin(trade.offered_until, at):
        raise StillPayable.before(trade.offered_until)
    mine = AlipayTrade.objects.filter(pk=trade.pk)
    unchanged = mine.filter(status=Status.OPEN, offered_until=trade.offered_until)
    unchanged.update(status=Status.CLOSED, closed_at=at)
    return mine.filter(status=Status.CLOSED).exists()


@transaction.atomic
def is_shut(*, payment: Payment, at: datetime) -> bool:
    """Whether none of a payment's trades is open, and no other is begun for a while (REST)."""
    Payment.objects.filter(pk=payment.pk).locked()
    mine = AlipayTrade.objects.filter(payment=payment)
    mine.filter(status=Status.CLOSED).update(closed_at=at)
    return not mine.filter(status=Status.OPEN).exists()


def hear(*, trade: AlipayTrade, at: datetime) -> Trade | None:
    """What Alipay says of a trade, taken; None: it has not begun."""
    theirs = alipay().query(trade.out_trade_no)
    if theirs and (problem := take(theirs=theirs, at=at)):
        _keep(theirs, problem, at)
    return theirs


def _keep(theirs: Trade, problem: str, at: datetime) -> None:
    """As of a notification, once for each trade and problem."""
    logger.error("Alipay trade %s: %s", theirs.out_trade_no, problem)
    told = {name: getattr(theirs, name) for name in Trade.__slots__}
    told["paid_at"] = theirs.paid_at and theirs.paid_at.isoformat()
    AlipayNotice.objects.get_or_create(
        notify_id=f"query:{theirs.out_trade_no}:{theirs.status}"[:128],
        defaults={"kind": theirs.status[:64], "told": told, "problem": problem[:200], "at": at},
    )
