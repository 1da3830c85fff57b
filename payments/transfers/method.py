"""BANK_TRANSFER for the cashier: what a buyer has to do, and how money goes back to him."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.db.models import BooleanField, Exists, ExpressionWrapper, OuterRef, Q, Sum

from config.kit import sql
from config.kit.errors import Refusal
from config.kit.money import yuan
from config.kit.outside import assert_no_transaction
from payments.calendar import queries as calendar
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.payables import Sent
from payments.cashier.rules import RefundStatus, Status
from payments.channels import transfer
from payments.receiving import services as receiving
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import CODES_HALF_USED
from payments.transfers import queries
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.remarks import is_whole_account

_SHORT_OF_CODES = ExpressionWrapper(Q(codes_in_use__gte=CODES_HALF_USED), BooleanField())
STATEMENT_WITHIN = 2  # working days after the last day; who uploads nothing holds nobody up longer
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


def opened(payment: Payment, *, at: datetime) -> None:
    """Assign a receiving account, a virtual one below it and a reference code; two statements."""
    # The merchant's own account before the platform's; of several, one with codes to give.
    taking = ReceivingAccount.objects.filter(is_active=True, merchant__in={payment.merchant, ""})
    account = taking.order_by("-merchant", _SHORT_OF_CODES, "pk").first()
    if account is None:
        raise NoReceivingAccount(merchant=payment.merchant)
    receiving.give(payment=payment, account=account, at=at)


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
    return {
        "account_name": account.account_name,
        "account_no": virtual.number if virtual else account.account_no,
        "bank_name": account.bank_name,
        "reference": code,
        "amount_fen": payment.outstanding_fen,
        "pay_before": payment.pay_before,
        "message": said(payment, has_code=bool(code)),
        "hinted_at": intent.hinted_at,
    }


def said(payment: Payment, *, has_code: bool = True) -> str:
    """Where the payment stands, in a sentence for its payer."""
    got, missing = yuan(payment.received_fen), yuan(payment.outstanding_fen)
    if payment.status == Status.CONFIRMED:
        return f"已收到 {got} 元，付款完成"
    if payment.status == Status.CLOSED:
        kept = f"已收到的 {got} 元应退还给您，" if payment.received_fen else ""
        return f"支付单已关闭，{kept}请不要再转账"
    if payment.received_fen:
        return f"已收到 {got} 元，还差 {missing} 元"
    how = "附言填写核对码" if has_code else "转到这个专属账号即可，附言不必填写"
    return f"请转账 {missing} 元，{how}"


# --- time is over -------------------------------------------------------------------------------


def unheard(payments: Sequence[Payment], *, at: datetime) -> set[int]:
    """Transfers of the last day to an account of which clerks upload statements; two queries.

    Until such a statement is imported, and for two working days at most.
    """
    with connection.cursor() as cursor:
        cursor.execute(_UNHEARD, [sql.ints(payment.pk for payment in payments)])
        found = {pk for (pk,) in cursor.fetchall()}
    # 24:00 is the next day's 0:00: the days count from the last one.
    ends = {one.pk: one.pay_before - _SECOND for one in payments if one.pk in found}
    until = calendar.deadlines(starts=set(ends.values()), working_days=STATEMENT_WITHIN)
    return {pk for pk, end in ends.items() if at < until[end]}


# --- money goes back ----------------------------------------------------------------------------


def send_back(refund: Refund) -> Sent | None:
    """To the account it came from, and to no other; the refund's number is the bank's key.

    Where the money came from several accounts, each gets its part under `<number>-<n>`: a part
    that the bank refuses leaves the refund failed, and trying again repeats no part.
    """
    assert_no_transaction()
    account = _account_of(refund)
    parts = _parts(refund)
    bank = transfer.bank(account.provider)
    serials: list[str] = []
    for i, ((to_account, to_name), fen) in enumerate(sorted(parts.items()), 1):
        try:
            sent = bank.pay_out(
                out_no=refund.out_no if len(parts) == 1 else f"{refund.out_no}-{i}",
                account_no=account.account_no,
                to_account=to_account,
                to_name=to_name,
                amount_fen=fen,
                remark=f"退款 {refund.number}",
            )
        except transfer.BankUnknown:
            return None
        except transfer.BankRefused as refused:
            gone = f"（另有 {len(serials)} 笔已退出）" if serials else ""
            raise CannotSendBack(f"银行拒绝退款：{refused}{gone}") from refused
        if sent.status != "DONE":
            return None
        serials.append(sent.serial)
    # A refund in several parts is known again by its number, which every part's remark says.
    return Sent(
        channel_txn=serials[0],
        account=queries.left_from(account, serials[0], refund.amount_fen),
    )


def _account_of(refund: Refund) -> ReceivingAccount:
    account = ReceivingAccount.objects.get(intents__payment=refund.payment_id)
    if not account.provider:
        raise CannotSendBack("该收款账户没有银行接口，请在网银退款")
    return account


def _parts(refund: Refund) -> dict[tuple[str, str], int]:
    """Fen by payer (account, name): the lines of this receipt, or of the payment in their order.

    What earlier refunds of the whole payment took is taken from the first lines.
    """
    receipts = Receipt.objects.filter(payment=refund.payment_id, undone_at=None)
    if refund.receipt_id:
        own = receipts.filter(pk=refund.receipt_id, owed_fen__gte=refund.amount_fen)
        sources = [(txn, refund.amount_fen) for txn in own.values_list("channel_txn", flat=True)]
        spent = 0
    else:
        sources = list(receipts.order_by("pk").values_list("channel_txn", "kept_fen"))
        earlier = Refund.objects.filter(payment=refund.payment_id, receipt=None, pk__lt=refund.pk)
        made = earlier.exclude(status=RefundStatus.VOID)
        spent = int(made.aggregate(fen=Sum("amount_fen", default=0))["fen"])
    lines = _lines([txn for txn, _ in sources])
    parts: dict[tuple[str, str], int] = {}
    left = refund.amount_fen
    for txn, fen in sources:
        skipped = min(spent, fen)
        spent -= skipped
        take = min(left, fen - skipped)
        if take:
            payer = _payer(lines.get(txn))
            parts[payer] = parts.get(payer, 0) + take
            left -= take
    if left:
        raise CannotSendBack("到账记录不足以退款，请人工核对")
    return parts


def _lines(txns: Sequence[str]) -> dict[str, StatementLine]:
    """The lines behind these arrivals; none that was undone, or that the bank took back."""
    taken_back = StatementLine.objects.filter(
        receiving_account=OuterRef("line__receiving_account"), reverses=OuterRef("line__serial")
    ).exclude(reverses="")
    found = Allocation.objects.filter(~Exists(taken_back), channel_txn__in=txns, undone_at=None)
    return {allocation.channel_txn: allocation.line for allocation in found.select_related("line")}


def _payer(line: StatementLine | None) -> tuple[str, str]:
    if line is None:
        raise CannotSendBack("这笔到账已撤销或已被银行冲正，不能再退款")
    if not is_whole_account(line.payer_account):
        raise CannotSendBack("银行没有给出完整的付款账号，无法原路退回")
    return line.payer_account, line.payer_name
