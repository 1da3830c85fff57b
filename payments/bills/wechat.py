"""WeChat Pay for the daily comparison: its two bills, and where they and our rows disagree."""

import logging
import re
from datetime import date, datetime
from typing import IO, Any

from django.conf import settings
from django.db import connection

from config.kit.errors import StaleState
from config.kit.money import percent
from payments.bills import asking
from payments.bills.rules import Moved
from payments.cashier import refunds
from payments.cashier.models import Refund, RefundPart
from payments.cashier.rules import PartStatus
from payments.channels import wechat
from payments.channels.answers import ChannelSilent
from payments.transfers.parsers import Stream
from payments.transfers.parsers.channels.bill import BillRow
from payments.transfers.parsers.refusals import BadCell
from payments.wechat_pay import services
from payments.wechat_pay.models import WeChatRefund, WeChatTrade

logger = logging.getLogger(__name__)

NAME, WHICH = "wechat", ""  # in the codes of the ledger
TRADE_FORM, FUND_FORM = "wechat_tradebill", "wechat_fundflow"
# 备注 of a refund in the fund bill, whose amount is net of the fee that comes back with it.
_REFUND = re.compile(r"退款总金额(\d+)\.(\d\d)元;含手续费(\d+)\.(\d\d)元", re.ASCII)


def is_on() -> bool:
    return bool(settings.WECHAT_PAY)


def account_no() -> str:
    return wechat.wechat_pay().mchid


def trade_bill(day: date) -> IO[bytes] | None:
    return wechat.wechat_pay().trade_bill(day)


def fund_bill(day: date) -> IO[bytes] | None:
    return wechat.wechat_pay().fund_bill(day)


def whose(bill: Stream) -> str | None:
    return None if bill.format == FUND_FORM else bill.account_no or ""


def due_fen(row: BillRow) -> int:
    return percent(row.amount_fen, settings.CHANNEL_FEE_PERCENT[NAME])


def moved(row: BillRow) -> Moved:
    """What one line of the fund bill moved; raises BadCell."""
    fen = row.amount_fen
    if row.kind == "交易":
        return Moved(paid_fen=fen)
    if row.kind.startswith("退款"):
        gross, fee = _refunded(row)
        if fen > 0:
            return Moved(returned_fen=gross, fee_fen=-fee)
        return Moved(refunded_fen=-gross, fee_fen=fee)
    if "手续费" in row.kind:
        return Moved(fee_fen=fen)
    return Moved(other_fen=fen)


def _refunded(row: BillRow) -> tuple[int, int]:
    found = _REFUND.search(row.remark)
    gross, fee = (int(found[1] + found[2]), int(found[3] + found[4])) if found else (0, 0)
    if gross - fee != abs(row.amount_fen):
        raise BadCell(
            f"第 {row.position} 行「备注」“{row.remark[:40]}”与退款的收支金额不符",
            row=row.position,
            column="备注",
        )
    return gross, fee


# --- what we have not heard yet -----------------------------------------------------------------

_UNHEARD_TRADES = """
SELECT t.id FROM payments_billrow b JOIN payments_wechattrade t ON t.out_trade_no = b.our_number
WHERE b.batch = %s AND NOT b.is_refund AND t.status <> 'PAID' AND t.id > %s ORDER BY t.id LIMIT %s
"""
_UNHEARD_REFUNDS = """
SELECT DISTINCT p.refund_id FROM payments_billrow b
JOIN payments_refundpart p ON p.number = b.our_number
WHERE b.batch = %s AND b.is_refund AND b.state IN ('SUCCESS', 'FAIL') AND p.status = 'SENDING'
  AND p.refund_id > %s ORDER BY p.refund_id LIMIT %s
"""


def ask(batch: str, *, at: datetime, most: int) -> bool:
    """Ask about trades and refunds that the bill knows more of than we do.

    Only WeChat's own answer, as always, makes them money.  False: there are more than `most`.
    Raises ChannelSilent.
    """
    unheard = ((_UNHEARD_TRADES, _ask_trade), (_UNHEARD_REFUNDS, _ask_refund))
    return asking.ask_each(unheard, batch, at=at, most=most)


def _ask_trade(pk: int, at: datetime) -> None:
    trade = WeChatTrade.objects.select_related("payment").get(pk=pk)
    try:
        services.ask(trade=trade, at=at)
    except ChannelSilent:
        raise
    except Exception:
        # One that cannot be taken is a difference, and no reason to know nothing of the others.
        logger.exception("trade %s could not be asked about", trade.out_trade_no)


def _ask_refund(pk: int, at: datetime) -> None:
    try:
        refunds.send(refund=Refund.objects.select_related("payment").get(pk=pk), at=at)
    except StaleState:
        return  # another worker has just heard it
    except Exception:
        logger.exception("refund %d could not be asked about", pk)
        return
    open_parts = RefundPart.objects.filter(refund=pk, status=PartStatus.SENDING)
    numbers = set(open_parts.values_list("number", flat=True))
    heard = WeChatRefund.objects.filter(out_refund_no__in=numbers, heard_at__gte=at)
    if numbers - set(heard.values_list("out_refund_no", flat=True)):
        raise ChannelSilent


# --- set against set ----------------------------------------------------------------------------

_MARK = """
UPDATE payments_wechattrade t SET billed_on = %(day)s FROM payments_billrow b
WHERE b.batch = %(batch)s AND NOT b.is_refund
  AND t.out_trade_no = b.our_number AND t.transaction_id = b.their_number
  AND t.billed_on IS DISTINCT FROM %(day)s;
UPDATE payments_wechatrefund r SET billed_on = %(day)s FROM payments_billrow b
WHERE b.batch = %(batch)s AND b.is_refund
  AND r.out_refund_no = b.our_number AND r.refund_id = b.their_number
  AND r.billed_on IS DISTINCT FROM %(day)s
"""


def mark(facts: dict[str, Any]) -> None:
    """Our rows that the bill has remember its day; `facts`: batch, day, begins, ends."""
    with connection.cursor() as cursor:
        for statement in _MARK.split(";"):
            cursor.execute(statement, facts)


# Ours are known by their number, of whatever day.  What WeChat did not list yet is missed once the
# day on which it happened is over there; a bill of another day that has it is enough.
# A partial refund gives back what the fee of the rest is less: a fen more or less.
DIFFERENCES = """
WITH trades AS (
    SELECT b.our_number, b.their_number, b.fen, b.fee_fen, b.due_fen,
           t.id, t.amount_fen, t.status, t.transaction_id
    FROM payments_billrow b LEFT JOIN payments_wechattrade t ON t.out_trade_no = b.our_number
    WHERE b.batch = %(batch)s AND NOT b.is_refund
), refunds AS (
    SELECT b.our_number, b.their_number, b.fen, b.fee_fen, b.due_fen, b.state,
           p.id, p.amount_fen, p.status
    FROM payments_billrow b LEFT JOIN (
        payments_refundpart p JOIN payments_refund r ON r.id = p.refund_id
        JOIN payments_payment y ON y.id = r.payment_id AND y.method = 'WECHAT'
    ) ON p.number = b.our_number
    WHERE b.batch = %(batch)s AND b.is_refund
)
SELECT 'TRADE' AS subject, 'MISSING_HERE' AS kind, our_number, their_number,
       0 AS our_fen, fen AS their_fen, '' AS our_state, 'SUCCESS' AS their_state
FROM trades WHERE id IS NULL
UNION ALL SELECT 'TRADE', 'AMOUNT', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM trades WHERE amount_fen <> fen
UNION ALL SELECT 'TRADE', 'STATE', our_number, their_number, amount_fen, fen, status, 'SUCCESS'
FROM trades WHERE amount_fen = fen AND (status <> 'PAID' OR transaction_id <> their_number)
UNION ALL SELECT 'TRADE', 'FEE', our_number, their_number, due_fen, fee_fen, status, 'SUCCESS'
FROM trades WHERE id IS NOT NULL AND fee_fen <> due_fen
UNION ALL SELECT 'TRADE', 'MISSING_THERE', out_trade_no, transaction_id, amount_fen, 0, status, ''
FROM payments_wechattrade
WHERE status = 'PAID' AND billed_on IS NULL
  AND success_at >= %(begins)s AND success_at < %(ends)s
UNION ALL SELECT 'REFUND', 'MISSING_HERE', our_number, their_number, 0, fen, '', state
FROM refunds WHERE id IS NULL
UNION ALL SELECT 'REFUND', 'AMOUNT', our_number, their_number, amount_fen, fen, status, state
FROM refunds WHERE amount_fen <> fen
UNION ALL SELECT 'REFUND', 'STATE', our_number, their_number, amount_fen, fen, status, state
FROM refunds WHERE amount_fen = fen AND (
    state = 'SUCCESS' AND status <> 'DONE'
    OR state = 'FAIL' AND status IN ('SENDING', 'DONE')
    OR state NOT IN ('SUCCESS', 'FAIL', 'PROCESSING') AND status <> 'DONE')
UNION ALL SELECT 'REFUND', 'FEE', our_number, their_number, due_fen, fee_fen, status, state
FROM refunds WHERE id IS NOT NULL AND abs(fee_fen - due_fen) > 1
UNION ALL SELECT 'REFUND', 'MISSING_THERE', out_refund_no, refund_id, amount_fen, 0, status, ''
FROM payments_wechatrefund
WHERE billed_on IS NULL AND accepted_at >= %(begins)s AND accepted_at < %(ends)s
"""
