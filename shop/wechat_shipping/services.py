"""Which payments WeChat has to be told of, whose turn it is to be told, and what came of it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, Subquery, Sum

from config.kit.errors import Refusal, StaleState, TryAgain
from config.kit.jobs import later
from config.kit.states import move
from payments.wechat_pay.models import WeChatRefund, WeChatTrade
from payments.wechat_pay.rules import RefundState
from payments.wechat_pay.rules import Status as TradeStatus
from shop.fulfilment.models import Shipment
from shop.orders.models import Order
from shop.orders.rules import Status as OrderStatus
from shop.wechat_shipping import rules
from shop.wechat_shipping.models import ShippingEvent, ShippingReport
from shop.wechat_shipping.rules import (
    AT_WECHAT,
    DEADLINE,
    LEASE,
    NOT_TOLD,
    TO_SEND,
    TRANSITIONS,
    Parcel,
    Sent,
    Status,
)  # fmt: skip

logger = logging.getLogger(__name__)

PURPOSE = "ORDER"
REPORT = "shop.wechat_shipping.tasks.report"
AT_ONCE = 1000
# A payment may be committed this much later than one that was paid after it.
MARGIN = timedelta(days=1)
COMPARE_WAITING = timedelta(hours=36)  # after the payment


class CorrectionUsed(Refusal):
    message = "微信只允许更正一次发货信息，这笔订单已经更正过；请联系买家说明，或在微信公众平台处理"


class NotToBeCorrected(Refusal):
    message = "微信已确认收货或已退款，发货信息不能再更正"


class NotAllSent(Refusal):
    message = "订单还没有全部发货；全部发货并上报后才能更正，微信只允许一次"


class ReceiptAsked(Refusal):
    message = "已请微信提醒过买家，或订单不在可提醒的状态；微信每笔订单只提醒一次"


class ReceiptNotAsked(Refusal):
    message = "微信没有接受这次提醒"


class BeingReported(TryAgain):
    message = "发货信息正在上报，请稍后再更正"


@dataclass(frozen=True)
class Claim:
    """One worker's turn to tell WeChat; `at` goes with it and tells WeChat which word is newer."""

    report_id: int
    turn: int
    attempts: int
    at: datetime
    transaction_id: str
    openid: str
    sent: Sent


# --- what is to be told ---------------------------------------------------------------------------


def discover(*, at: datetime) -> int:
    """A report for every payment by WeChat Pay that has none; answers how many were looked at.

    Found from what is committed, so that nothing is forgotten whoever is killed in between.
    """
    last = ShippingReport.objects.aggregate(last=Max("deadline"))["last"]
    paid = WeChatTrade.objects.filter(status=TradeStatus.PAID)
    if last:
        paid = paid.filter(paid_at__gte=last - DEADLINE - MARGIN)
    known = ShippingReport.objects.filter(trade=OuterRef("pk"))
    new = list(paid.filter(~Exists(known)).select_related("payment").order_by("paid_at")[:AT_ONCE])
    references = [one.payment.reference for one in new if one.payment.purpose == PURPOSE]
    orders = dict(Order.objects.filter(number__in=references).values_list("number", "pk"))
    rows = [_expected(trade, orders, at) for trade in new]
    ShippingReport.objects.bulk_create((row for row in rows if row), ignore_conflicts=True)
    return len(new)


def _expected(trade: WeChatTrade, orders: Mapping[str, int], at: datetime) -> ShippingReport | None:
    is_order = trade.payment.purpose == PURPOSE
    order_id = orders.get(trade.payment.reference) if is_order else None
    paid_at = trade.paid_at or at
    if is_order and order_id is None:
        logger.error("WeChat Pay trade %s is of no order", trade.out_trade_no)
        return None
    return ShippingReport(
        trade=trade,
        order_id=order_id,
        kind=None if is_order else rules.Kind.VIRTUAL,
        deadline=paid_at + DEADLINE,
        # A top-up has arrived as soon as it is paid for.
        next_try_at=None if is_order else at,
        compare_at=paid_at + COMPARE_WAITING,
    )


def notice(*, at: datetime) -> int:
    """Shipments since the last word to WeChat make a report due; answers how many."""
    newer = Shipment.objects.filter(order=OuterRef("order"), pk__gt=OuterRef("seen_shipment"))
    waiting = ShippingReport.objects.filter(status=Status.WAITING, next_try_at=None)
    return waiting.filter(Exists(newer)).update(next_try_at=at, attempts=0)


def close_refunded(*, at: datetime) -> int:
    """Of money that is back with the buyer nothing is told, once WeChat says that it is."""
    rows = ShippingReport.objects.filter(status__in=NOT_TOLD)
    gone = [row.pk for row in rows.filter(_is_refunded()).order_by("pk")[:AT_ONCE]]
    closing = ShippingReport.objects.filter(pk__in=gone, status__in=NOT_TOLD)
    return closing.update(status=Status.CLOSED, next_try_at=None, compare_at=None, difference="")


def _is_refunded() -> Q:
    back = WeChatRefund.objects.filter(trade=OuterRef("trade"), status=RefundState.SUCCESS)
    total = back.order_by().values("trade").annotate(fen=Sum("amount_fen")).values("fen")
    return Q(trade__amount_fen__lte=Subquery(total))


# --- whose turn it is -----------------------------------------------------------------------------


@transaction.atomic
def claim(*, at: datetime) -> Claim | None:
    """The report that has waited longest, for this worker alone; None: nothing is due.

    What another worker looks at is passed over.  Who dies at it loses his turn after the lease.
    """
    due = ShippingReport.objects.to_send(at).order_by("next_try_at", "pk")
    row = due.select_for_update(skip_locked=True, of=("self",)).first()
    if row is None:
        return None
    shipments = _shipments(row)
    ShippingReport.objects.filter(pk=row.pk).update(
        turn=F("turn") + 1,
        attempts=F("attempts") + 1,
        next_try_at=at + LEASE,
        seen_shipment=max((one.pk for one in shipments), default=row.seen_shipment),
    )
    trade = row.trade
    return Claim(
        row.pk,
        row.turn + 1,
        row.attempts + 1,
        at,
        trade.transaction_id or "",
        trade.openid,
        sent_of(row, shipments),
    )


def _shipments(row: ShippingReport) -> list[Shipment]:
    if row.order_id is None:
        return []
    sent = Shipment.objects.filter(order=row.order_id).order_by("pk")
    return list(sent.prefetch_related("lines"))


def sent_of(row: ShippingReport, shipments: Sequence[Shipment]) -> Sent:
    """What WeChat may be told now."""
    order = row.order
    if order is None:
        bought = Parcel("", "", f"虚拟商品 {row.trade.payment.reference}")
        return Sent([bought], is_all=True, kind=row.kind)
    parcels = [
        Parcel(one.carrier, one.tracking_no, "；".join(_line(line) for line in one.lines.all()))
        for one in shipments
    ]
    is_all = order.status not in {OrderStatus.UNPAID, OrderStatus.PAID, OrderStatus.CLOSED}
    return Sent(parcels, is_all, str(order.consignee.get("phone", "")), row.kind)


def _line(line: Any) -> str:
    return f"{line.title} {line.sku_name} ×{line.quantity}"


# --- what came of it ------------------------------------------------------------------------------


@transaction.atomic
def took(*, claim: Claim, body: dict[str, Any], at: datetime) -> bool:
    """WeChat has it.  False: another worker had the word meanwhile."""
    row = _of(claim)
    held = row.select_for_update().first()
    if held is None:
        return False
    changes = {"told": body, "attempts": 0, "next_try_at": None, "last_error": ""}
    if not rules.is_whole(body):
        row.update(**changes)
        record(held.pk, "TOLD_PART", at, numbers=sorted(rules.numbers(body)))
        return True
    to = Status.CORRECTED if held.status == Status.CORRECTING else Status.REPORTED
    changes |= {"reported_at": held.reported_at or at, "compare_at": at + rules.COMPARE_AFTER}
    move(row, to, TRANSITIONS, **changes)
    record(held.pk, to, at, numbers=sorted(rules.numbers(body)))
    return True


def put_back(*, claim: Claim) -> None:
    """There is nothing to tell yet."""
    _of(claim).update(next_try_at=None, attempts=0)


def silent(*, claim: Claim, why: str, asked: timedelta, at: datetime) -> None:
    """No answer, or one that says later: the same again after a while."""
    again = at + rules.wait(claim.attempts, asked)
    _of(claim).update(next_try_at=again, last_error=why[:300])


@transaction.atomic
def refused(*, claim: Claim, why: str, at: datetime) -> None:
    """WeChat will not have it as it is: a person must look."""
    row = _of(claim)
    try:
        move(row, Status.FAILED, TRANSITIONS, next_try_at=None, last_error=why[:300])
    except StaleState:
        return  # another worker had the word meanwhile
    record(claim.report_id, "FAILED", at, why=why[:300])
    logger.error("shipping information of %s was refused: %s", claim.transaction_id, why)


def _of(claim: Claim) -> Any:
    """The report, while the claim still counts."""
    return ShippingReport.objects.filter(pk=claim.report_id, turn=claim.turn, status__in=TO_SEND)


def record(report_id: int, kind: str, at: datetime, actor: str = "", /, **facts: Any) -> None:
    ShippingEvent.objects.create(report_id=report_id, kind=kind, at=at, actor=actor, facts=facts)


# --- what WeChat knows ----------------------------------------------------------------------------


@transaction.atomic
def hear(*, report: ShippingReport, known: rules.Theirs, at: datetime) -> None:
    """WeChat was asked.  What it knows moves our row, or is a difference for a person."""
    row = ShippingReport.objects.filter(pk=report.pk)
    held = row.select_for_update(of=("self",)).get()
    is_told = held.status in AT_WECHAT
    wanted = rules.numbers(held.told) if is_told else _tracked(held)
    gone = row.filter(_is_refunded()).exists()
    to, odd = rules.verdict(held.status, wanted, known, is_refunded=gone)
    changes: dict[str, Any] = {"difference": odd, "compare_at": at + rules.COMPARE_AGAIN}
    if to == Status.REPORTED and held.correction_asked_at:
        to = Status.CORRECTED if wanted == known.numbers else None
    elif to == Status.REPORTED:
        listed = [{"tracking_no": number} for number in sorted(known.numbers)]
        changes |= {"reported_at": at, "told": {"shipping_list": listed}, "last_error": ""}
    if to in {Status.CONFIRMED, Status.CLOSED}:
        changes["compare_at"] = None
    if to and to in TRANSITIONS[Status(held.status)]:
        move(row, to, TRANSITIONS, **changes, next_try_at=None)
        record(held.pk, to, at, said_by="查询")
    else:
        row.update(**changes)
    differs(held, odd, at)


def _tracked(row: ShippingReport) -> set[str]:
    return {one.tracking_no for one in _shipments(row) if one.tracking_no}


def differs(held: ShippingReport, odd: str, at: datetime) -> None:
    """Told once, when it is new."""
    if odd and odd != held.difference:
        record(held.pk, "DIFFERENT", at, what=odd)
        logger.error("WeChat's shipping information differs for %s: %s", held, odd)


# --- what a person does ---------------------------------------------------------------------------


@transaction.atomic
def retry(*, report: ShippingReport, actor: str, at: datetime) -> None:
    """Now, and as often as need be.  StaleState unless something is still to be told."""
    row = ShippingReport.objects.filter(pk=report.pk)
    held = row.select_for_update(of=("self",)).get()
    if held.status not in {*TO_SEND, Status.FAILED}:
        raise StaleState
    to = Status.CORRECTING if held.correction_asked_at else Status.WAITING
    row.update(status=to, next_try_at=at, attempts=0)
    record(held.pk, "RETRIED", at, actor)
    later(REPORT)


@transaction.atomic
def choose_kind(*, report: ShippingReport, kind: int, actor: str, at: datetime) -> None:
    """A clerk says how it is brought, before WeChat was told."""
    row = ShippingReport.objects.filter(pk=report.pk, told={})
    # The last word may have arrived without our having heard of it.
    untold = Q(status=Status.WAITING, attempts=0) | Q(status=Status.FAILED)
    if row.filter(untold).update(kind=kind, status=Status.WAITING, next_try_at=at, attempts=0) != 1:
        raise StaleState
    record(report.pk, "KIND", at, actor, kind=rules.Kind(kind).label)
    later(REPORT)


@transaction.atomic
def correct(
    *,
    report: ShippingReport,
    shipment: Shipment,
    carrier: str,
    tracking_no: str,
    actor: str,
    at: datetime,
) -> None:
    """Another number for a parcel.  Before WeChat knows the old one it is free; after, once.

    Raises CorrectionUsed, NotToBeCorrected, NotAllSent, BeingReported, StaleState.
    """
    row = ShippingReport.objects.filter(pk=report.pk)
    held = row.select_for_update(of=("self",)).get()
    _check_correction(held, shipment)
    old = {"carrier": shipment.carrier, "tracking_no": shipment.tracking_no}
    same = Shipment.objects.filter(pk=shipment.pk, order=held.order_id, **old)
    if same.update(carrier=carrier, tracking_no=tracking_no) != 1:
        raise StaleState
    if held.status == Status.REPORTED:
        move(
            row,
            Status.CORRECTING,
            TRANSITIONS,
            correction_asked_at=at,
            next_try_at=at,
            attempts=0,
        )
    else:
        to = Status.CORRECTING if held.correction_asked_at else Status.WAITING
        row.update(status=to, next_try_at=at, attempts=0)
    facts = {"from": f"{old['carrier']} {old['tracking_no']}", "to": f"{carrier} {tracking_no}"}
    record(held.pk, "CORRECTION", at, actor, **facts)
    later(REPORT)


def _check_correction(held: ShippingReport, shipment: Shipment) -> None:
    if held.status in {Status.CONFIRMED, Status.CLOSED}:
        raise NotToBeCorrected
    if held.status in {Status.CORRECTING, Status.CORRECTED}:
        raise CorrectionUsed
    if held.status == Status.WAITING and held.attempts:
        # The last word may have arrived without our having heard of it.
        raise BeingReported
    if held.correction_asked_at:
        return  # WeChat refused the correction itself: it may be mended
    if held.status in NOT_TOLD and shipment.tracking_no in rules.numbers(held.told):
        raise NotAllSent


@transaction.atomic
def mark_receipt_asked(*, report: ShippingReport, actor: str, at: datetime) -> None:
    """Written down before WeChat is asked, so that it is never asked twice; ReceiptAsked."""
    told = ShippingReport.objects.filter(
        pk=report.pk, status__in=[Status.REPORTED, Status.CORRECTED], receipt_asked_at=None
    )
    if told.update(receipt_asked_at=at) != 1:
        raise ReceiptAsked
    record(report.pk, "RECEIPT_ASKED", at, actor)


@transaction.atomic
def receipt_not_asked(*, report: ShippingReport, why: str, at: datetime) -> None:
    """WeChat has asked nobody: it may be tried again."""
    ShippingReport.objects.filter(pk=report.pk).update(receipt_asked_at=None)
    record(report.pk, "RECEIPT_NOT_ASKED", at, "", why=why)


@transaction.atomic
def settle_difference(*, report: ShippingReport, reason: str, actor: str, at: datetime) -> None:
    """A person has looked; StaleState where nothing differs (any more)."""
    if ShippingReport.objects.different().filter(pk=report.pk).update(difference="") != 1:
        raise StaleState
    record(report.pk, "SETTLED", at, actor, reason=reason)


# --- before it is too late ------------------------------------------------------------------------


def alert(*, at: datetime, ahead: timedelta) -> int:
    """Say once of each what is not told so shortly before its deadline; answers how many."""
    late = ShippingReport.objects.late(at + ahead).filter(alerted_at=None)
    count = 0
    for row in late.select_related("trade", "order").order_by("deadline", "pk")[:AT_ONCE]:
        mine = ShippingReport.objects.filter(pk=row.pk, alerted_at=None, status__in=NOT_TOLD)
        if not mine.update(alerted_at=at):
            continue
        count += 1
        logger.error(
            "order %s (WeChat Pay %s): shipping information is due at %s and not reported",
            row.order or "-",
            row.trade.transaction_id,
            row.deadline.isoformat(timespec="minutes"),
        )
    return count
