"""Alipay for the daily comparison: 业务明细, 账务明细, and where they and our rows disagree."""

import logging
import re
from datetime import date, datetime, timedelta
from typing import IO, Any

from django.conf import settings
from django.db import connection

from config.kit.errors import StaleState
from config.kit.money import percent
from payments.alipay import services
from payments.alipay.models import AlipayTrade
from payments.bills import asking
from payments.bills.rules import Moved, begins
from payments.cashier import refunds
from payments.cashier.models import RefundPart
from payments.cashier.rules import PartStatus
from payments.channels.alipay import alipay
from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.transfers.parsers import Stream
from payments.transfers.parsers.channels.bill import BillRow

logger = logging.getLogger(__name__)

NAME = "alipay"  # in the codes of the ledger
WHICH = ""  # it has but one account
TRADE_FORM, FUND_FORM = "alipay_trade", "alipay_account"
_PAID_BY = {"在线支付", "交易付款"}  # 业务类型 of the account bill
_FEE = re.compile("收费|退费|服务费|手续费")
# Its bills write a seller's number (PID) as the number of his account.
_SELLER = re.compile(r"(2088\d{12})0156", re.ASCII)


def is_on() -> bool:
    return bool(settings.ALIPAY)


def account_no() -> str:
    return alipay().seller_id


def trade_bill(day: date) -> IO[bytes] | None:
    return _bill("trade", day)


def fund_bill(day: date) -> IO[bytes] | None:
    return _bill("signcustomer", day)


_SOMETHING = """
SELECT EXISTS (
    SELECT FROM payments_alipaytrade
    WHERE status = 'PAID' AND billed_on IS NULL
      AND success_at >= %(begins)s AND success_at < %(ends)s
) OR EXISTS (
    SELECT FROM payments_refundpart p
    JOIN payments_receipt r ON r.id = p.receipt_id AND r.method IN ('ALIPAY_LINK', 'ALIPAY_QR')
    WHERE p.status = 'DONE' AND p.billed_on IS NULL AND p.channel_txn = p.number
      AND p.done_at >= %(begins)s AND p.done_at < %(ends)s
)
"""


def _bill(kind: str, day: date) -> IO[bytes] | None:
    """Alipay's "no such bill" is believed only where we know of nothing that day either."""
    bill = alipay().bill(kind, day)
    if bill is None and _something_of(day):
        raise ChannelSilent(
            "支付宝说没有这一天的账单，而本店有当天的收款或退款：账单可能还没有生成"
        )
    return bill


def _something_of(day: date) -> bool:
    """That no bill has had yet."""
    with connection.cursor() as cursor:
        cursor.execute(_SOMETHING, {"begins": begins(day), "ends": begins(day + timedelta(days=1))})
        return bool(cursor.fetchone()[0])


def whose(bill: Stream) -> str | None:
    said = bill.account_no or ""
    found = _SELLER.fullmatch(said)
    return found[1] if found else said


def due_fen(row: BillRow) -> int:
    """Of a refund nothing: Alipay keeps its fee."""
    return 0 if row.is_reversal else percent(row.amount_fen, settings.CHANNEL_FEE_PERCENT[NAME])


def moved(row: BillRow) -> Moved:
    """What one line of the account bill moved."""
    fen, kind = row.amount_fen, row.kind
    if _FEE.search(kind):
        return Moved(fee_fen=fen)
    if "退款" in kind:
        return Moved(refunded_fen=fen) if fen < 0 else Moved(returned_fen=fen)
    if kind in _PAID_BY and fen > 0:
        return Moved(paid_fen=fen)
    return Moved(other_fen=fen)


# --- what we have not heard yet -----------------------------------------------------------------

_UNHEARD_TRADES = """
SELECT t.id FROM payments_billrow b JOIN payments_alipaytrade t ON t.out_trade_no = b.our_number
WHERE b.batch = %s AND NOT b.is_refund AND t.status <> 'PAID' AND t.id > %s ORDER BY t.id LIMIT %s
"""
# Another amount under our number is no answer to wait for, but a difference.
_UNHEARD_REFUNDS = """
SELECT p.id FROM payments_billrow b
JOIN payments_refundpart p ON p.number = b.our_number AND p.amount_fen = b.fen
JOIN payments_receipt r ON r.id = p.receipt_id AND r.method IN ('ALIPAY_LINK', 'ALIPAY_QR')
WHERE b.batch = %s AND b.is_refund AND p.status = 'SENDING' AND p.id > %s ORDER BY p.id LIMIT %s
"""


def ask(batch: str, *, at: datetime, most: int) -> bool:
    """Ask about trades and refunds that the bill knows more of than we do.

    Only Alipay's own signed answer, as always, makes them money.  False: there are more than
    `most`.  Raises ChannelSilent.
    """
    unheard = ((_UNHEARD_TRADES, _ask_trade), (_UNHEARD_REFUNDS, _ask_refund))
    return asking.ask_each(unheard, batch, at=at, most=most)


def _ask_trade(pk: int, at: datetime) -> None:
    trade = AlipayTrade.objects.get(pk=pk)
    try:
        services.hear(trade=trade, at=at)
    except ChannelSilent:
        raise
    except Exception:
        # One that cannot be taken is a difference, and no reason to know nothing of the others.
        logger.exception("trade %s could not be asked about", trade.out_trade_no)


def _ask_refund(pk: int, at: datetime) -> None:
    part = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=pk)
    try:
        is_made = alipay().is_refunded(
            trade_no=part.receipt.channel_txn, out_request_no=part.number, fen=part.amount_fen
        )
        if is_made:
            refunds.send(refund=part.refund, at=at)
    except StaleState:
        return  # another worker has just heard it
    except ChannelRefused as no:
        logger.error("refund %s could not be asked about: %s", part.number, no)
        return
    except ChannelSilent:
        raise
    except Exception:
        logger.exception("refund %s could not be taken", part.number)
        return
    if is_made and RefundPart.objects.filter(pk=pk, status=PartStatus.SENDING).exists():
        raise ChannelSilent


# --- set against set ----------------------------------------------------------------------------

_MARK = """
UPDATE payments_alipaytrade t SET billed_on = %(day)s FROM payments_billrow b
WHERE b.batch = %(batch)s AND NOT b.is_refund
  AND t.out_trade_no = b.our_number AND t.trade_no = b.their_number
  AND t.billed_on IS DISTINCT FROM %(day)s;
UPDATE payments_refundpart p SET billed_on = %(day)s
FROM payments_billrow b, payments_receipt r
WHERE b.batch = %(batch)s AND b.is_refund
  AND p.number = b.our_number AND r.id = p.receipt_id
  AND r.channel_txn || '#' || p.number = b.their_number
  AND p.billed_on IS DISTINCT FROM %(day)s
"""


def mark(facts: dict[str, Any]) -> None:
    """Our rows that the bill has remember its day; `facts`: batch, day, begins, ends."""
    with connection.cursor() as cursor:
        for statement in _MARK.split(";"):
            cursor.execute(statement, facts)


# Ours are known by their number, of whatever day; what is missed as WeChat's.  A refund has no
# number of Alipay's own: its trade's and ours name it; what went by hand has a bank's number.
DIFFERENCES = """
WITH trades AS (
    SELECT b.our_number, b.their_number, b.fen, b.fee_fen, b.due_fen,
           t.id, t.amount_fen, t.status, t.trade_no
    FROM payments_billrow b LEFT JOIN payments_alipaytrade t ON t.out_trade_no = b.our_number
    WHERE b.batch = %(batch)s AND NOT b.is_refund
), refunds AS (
    SELECT b.our_number, b.their_number, b.fen, b.fee_fen, b.due_fen,
           p.id, p.amount_fen, p.status, p.channel_txn || '#' || p.number AS name
    FROM payments_billrow b LEFT JOIN (
        SELECT p.id, p.number, p.amount_fen, p.status, r.channel_txn
        FROM payments_refundpart p
        JOIN payments_receipt r ON r.id = p.receipt_id AND r.method IN ('ALIPAY_LINK', 'ALIPAY_QR')
    ) p ON p.number = b.our_number
    WHERE b.batch = %(batch)s AND b.is_refund
)
SELECT 'TRADE' AS subject, 'MISSING_HERE' AS kind, our_number, their_number,
       0 AS our_fen, fen AS their_fen, '' AS our_state, 'SUCCESS' AS their_state
FROM trades WHERE id IS NULL
UNION ALL SELECT 'TRADE', 'AMOUNT', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM trades WHERE amount_fen <> fen
UNION ALL SELECT 'TRADE', 'STATE', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM trades WHERE amount_fen = fen AND (status <> 'PAID' OR trade_no <> their_number)
UNION ALL SELECT 'TRADE', 'FEE', our_number, their_number, due_fen, fee_fen, status, 'SUCCESS'
FROM trades WHERE id IS NOT NULL AND fee_fen <> due_fen
UNION ALL SELECT 'TRADE', 'MISSING_THERE', out_trade_no, trade_no, amount_fen, 0, status, ''
FROM payments_alipaytrade
WHERE status = 'PAID' AND billed_on IS NULL
  AND success_at >= %(begins)s AND success_at < %(ends)s
UNION ALL SELECT 'REFUND', 'MISSING_HERE', our_number, their_number, 0, fen, '', 'SUCCESS'
FROM refunds WHERE id IS NULL
UNION ALL SELECT 'REFUND', 'AMOUNT', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM refunds WHERE amount_fen <> fen
UNION ALL SELECT 'REFUND', 'STATE', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM refunds WHERE amount_fen = fen AND (status <> 'DONE' OR name <> their_number)
UNION ALL SELECT 'REFUND', 'FEE', our_number, their_number, due_fen, fee_fen, status, 'SUCCESS'
FROM refunds WHERE id IS NOT NULL AND fee_fen <> due_fen
UNION ALL SELECT 'REFUND', 'MISSING_THERE', p.number, r.channel_txn || '#' || p.number,
       p.amount_fen, 0, p.status, ''
FROM payments_refundpart p
JOIN payments_receipt r ON r.id = p.receipt_id AND r.method IN ('ALIPAY_LINK', 'ALIPAY_QR')
WHERE p.status = 'DONE' AND p.billed_on IS NULL AND p.channel_txn = p.number
  AND p.done_at >= %(begins)s AND p.done_at < %(ends)s
"""
