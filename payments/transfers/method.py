"""BANK_TRANSFER for the cashier: what a buyer has to do, and how money goes back to him."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from config.kit import sql
from config.kit.errors import Refusal
from config.kit.money import yuan
from config.kit.outside import assert_no_transaction
from payments.calendar import queries as calendar
from payments.cashier.models import Payment, RefundPart
from payments.cashier.rules import Status
from payments.channels import transfer
from payments.receiving import services as receiving
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import CODES_HALF_USED
from payments.transfers import payers, queries
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.remarks import is_whole_account

_SHORT_OF_CODES = ExpressionWrapper(Q(codes_in_use__gte=CODES_HALF_USED), BooleanField())
ASKS_CHANNEL = False
STATEMENT_WITHIN = 2  # working days after the last day; who uploads nothing holds nobody up longer
LOOK_AGAIN = timedelta(minutes=15)  # whether that statement is in
_SECOND = timedelta(seconds=1)
# Payments on accounts that neither push nor hand out statements, and of whose last day no
# statement is in that was made when the day was over.
_UNHEARD = """
SELECT p.id FROM payments_payment p
JOIN payments_transferintent i ON i.payment_id = p.id
JOIN payments_receivingaccount a ON a.id = i.receiving_account_id
CROSS JOIN LATERAL (
    SELECT ((p.pay_before - interval '1 second') AT TIME ZONE 'Asia/Shanghai')::date AS last
) day
WHERE p.id = ANY(%s::bigint[]) AND a.provider = '' AND NOT EXISTS (
    SELECT 1 FROM payments_statement s
    WHERE s.receiving_account_id = a.id AND s.uploaded_at >= p.pay_before
      AND s.status = 'DONE' AND s.pays
      AND s.booked_from <= day.last AND s.booked_until > day.last
)
"""


class NoReceivingAccount(Refusal):
    message = "商家尚未开通银行转账收款"


class CannotSendBack(Refusal):
    message = "无法原路退回"


def hindered(*, payer_id: int, merchant: str) -> str:
    return "" if _taking(merchant).exists() else NoReceivingAccount.message


def _taking(merchant: str) -> QuerySet[ReceivingAccount]:
    return ReceivingAccount.objects.filter(is_active=True, merchant__in={merchant, ""})


def opened(payment: Payment, *, at: datetime) -> None:
    """Assign a receiving account, a virtual one below it and a reference code.

    Two statements, and a third where the account wants to know the payer.
    """
    # The merchant's own account before the platform's; of several, one with codes to give.
    taking = _taking(payment.merchant)
    account = taking.order_by("-merchant", _SHORT_OF_CODES, "pk").first()
    if account is None:
        raise NoReceivingAccount(merchant=payment.merchant)
    payer_account = payers.bound_to(payment, account)
    receiving.give(payment=payment, account=account, at=at, payer_account=payer_account)


def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
    """Where to transfer what, by payment id; one query."""
    intents = TransferIntent.objects.filter(payment__in=payments).select_related(
        "receiving_account", "virtual_account"
    )
    by_payment = {intent.payment_id: intent for intent in intents}
    return {
        payment.pk: _told(payment, by_payment[payment.pk])
        for payment in payments
        if payment.pk in by_payment
    }


def _told(payment: Payment, intent: TransferIntent) -> dict[str, Any]:
    account = intent.receiving_account
    virtual = None if intent.released_at else intent.virtual_account
    code = None if intent.code_released_at else intent.code or None
    only = payers.only(payment, intent)
    return {
        "account_name": account.account_name,
        "account_no": virtual.number if virtual else account.account_no,
        "bank_name": account.bank_name,
        "reference": code,
        "amount_fen": payment.outstanding_fen,
        "pay_before": payment.pay_before,
        "message": said(payment, has_code=bool(code), only=only),
        "payer_account": f"****{only.tail}" if only else None,
        "payer_lifting": bool(only and only.is_lifting),
        "hinted_at": intent.hinted_at,
    }


def said(payment: Payment, *, has_code: bool = True, only: payers.Only | None = None) -> str:
    """Where the payment stands, in a sentence for its payer."""
    got, missing = yuan(payment.received_fen), yuan(payment.outstanding_fen)
    if payment.status == Status.CONFIRMED:
        return f"已收到 {got} 元，付款完成"
    if payment.status == Status.CLOSED:
        kept = f"已收到的 {got} 元应退还给您，" if payment.received_fen else ""
        return f"支付单已关闭，{kept}请不要再转账"
    bound = f"；{only.said}" if only else ""
    if payment.received_fen:
        return f"已收到 {got} 元，还差 {missing} 元{bound}"
    how = "附言填写核对码" if has_code else "转到这个专属账号即可，附言不必填写"
    return f"请转账 {missing} 元，{how}{bound}"


# --- time is over -------------------------------------------------------------------------------


def prepare(payment: Payment, *, at: datetime) -> None:
    """Nothing: what to transfer where was settled when the payment was opened."""


def shut(payment: Payment, *, at: datetime) -> None:
    """Nothing: what a bank brings later is owed back."""


def unheard(payments: Sequence[Payment], *, at: datetime) -> dict[int, datetime]:
    """Transfers of the last day to an account of which clerks upload statements; two queries.

    Until such a statement is imported, and for two working days at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNHEARD, [sql.ints(payment.pk for payment in payments)])
        found = {pk for (pk,) in cursor.fetchall()}
    # 24:00 is the next day's 0:00: the days count from the last one.
    ends = {one.pk: one.pay_before - _SECOND for one in payments if one.pk in found}
    until = calendar.deadlines(starts=set(ends.values()), working_days=STATEMENT_WITHIN)
    return {pk: at + LOOK_AGAIN for pk, end in ends.items() if at < until[end]}


# --- money goes back ----------------------------------------------------------------------------


def send_back(part: RefundPart) -> str | None:
    """To the account it came from, from the one it came to; the part's number is the bank's key.

    Of money that the bank has taken back, or says that it has, it is only asked whether it had
    been sent before.
    """
    assert_no_transaction()
    line = _line_of(part)
    bank = transfer.bank(line.receiving_account.provider)
    if _is_taken_back(part, line):
        return _sent_before(bank, part)
    try:
        sent = bank.pay_out(
            out_no=part.number,
            account_no=line.receiving_account.account_no,
            to_account=line.payer_account,
            to_name=line.payer_name,
            amount_fen=part.amount_fen,
            remark=f"退款 {part.refund.number}",
        )
    except transfer.BankUnknown:
        return None
    except transfer.BankRefused as refused:
        raise CannotSendBack(f"银行拒绝退款：{refused}") from refused
    return sent.serial if sent.status == "DONE" else None


def left_from(part: RefundPart, channel_txn: str) -> str:
    return queries.left_from(_line_of(part).receiving_account, channel_txn, part.amount_fen)


def _line_of(part: RefundPart) -> StatementLine:
    """The line that brought this money, also when its match was undone since."""
    line = _arrived(part)
    if line is None:
        raise CannotSendBack("这笔到账没有银行流水，无法原路退回")
    if not line.receiving_account.provider:
        raise CannotSendBack("该收款账户没有银行接口，请在网银退款")
    if not is_whole_account(line.payer_account):
        raise CannotSendBack("银行没有给出完整的付款账号，无法原路退回")
    return line


def _arrived(part: RefundPart) -> StatementLine | None:
    found = Allocation.objects.filter(channel_txn=part.receipt.channel_txn)
    allocation = found.select_related("line__receiving_account").first()
    return allocation.line if allocation else None


def check_to_wallet(part: RefundPart) -> None:
    """It needs neither a bank's interface nor a whole account number, but the money."""
    line = _arrived(part)
    if line is None or _is_taken_back(part, line):
        raise CannotSendBack("这笔到账已被银行冲正，不能转入余额")


def _is_taken_back(part: RefundPart, line: StatementLine) -> bool:
    """Also where a reversal that names it waits for a person."""
    by = StatementLine.objects.filter(
        receiving_account=line.receiving_account_id, reverses=line.key, amount_fen__lt=0
    )
    return part.receipt.undone_at is not None or by.exists()


def _sent_before(bank: transfer.Bank, part: RefundPart) -> str | None:
    try:
        sent = bank.payout(part.number)
    except (transfer.BankUnknown, transfer.BankRefused):
        return None  # proves nothing
    if sent is None:
        raise CannotSendBack("这笔到账已被银行冲正，没有退出，不能再退款")
    return sent.serial if sent.status == "DONE" else None
