"""BANK_TRANSFER for the cashier: what a buyer has to do, and how money goes back to him."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import Sum

from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction
from payments.cashier.models import Payment, Receipt, Refund
from payments.cashier.payables import Sent
from payments.cashier.rules import RefundStatus
from payments.channels import transfer
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import draw_codes
from payments.transfers.models import Allocation, StatementLine


class NoReceivingAccount(Refusal):
    message = "商家尚未开通银行转账收款"


class NoReferenceCode(Refusal):
    status = 503
    message = "核对码暂时用尽，请稍后重试"


class CannotSendBack(Refusal):
    message = "无法原路退回"


# A free virtual account if there is one (nobody waits for one that another is just taking), and
# the first of the drawn codes that is not in use, in one round trip.
_ASSIGN = """
WITH free AS (
    SELECT id FROM payments_virtualaccount
    WHERE receiving_account_id = %(account)s AND state = 'FREE'
    ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED
), taken AS (
    UPDATE payments_virtualaccount v SET state = 'ASSIGNED' FROM free WHERE v.id = free.id
    RETURNING v.id
)
INSERT INTO payments_transferintent
    (payment_id, receiving_account_id, virtual_account_id, code, assigned_at)
SELECT %(payment)s, %(account)s, (SELECT id FROM taken), d.code, %(at)s
FROM unnest(%(codes)s::text[]) WITH ORDINALITY AS d (code, turn)
WHERE NOT EXISTS (
    SELECT 1 FROM payments_transferintent i
    WHERE i.code = d.code AND i.receiving_account_id = %(account)s
)
ORDER BY d.turn LIMIT 1
ON CONFLICT (code, receiving_account_id) DO NOTHING
"""
CODES_DRAWN = 24


def opened(payment: Payment, *, at: datetime) -> None:
    """Assign a receiving account, a virtual one below it and a reference code; two statements."""
    # The merchant's own account before the platform's.
    account = (
        ReceivingAccount.objects.filter(is_active=True, merchant__in={payment.merchant, ""})
        .order_by("-merchant", "pk")
        .first()
    )
    if account is None:
        raise NoReceivingAccount(merchant=payment.merchant)
    for _ in range(3):  # two drawing one code in the same instant is a matter of 1 in 10^6
        with connection.cursor() as cursor:
            cursor.execute(
                _ASSIGN,
                {
                    "account": account.pk,
                    "payment": payment.pk,
                    "codes": draw_codes(CODES_DRAWN, [account.account_no]),
                    "at": at,
                },
            )
            if cursor.rowcount == 1:
                return
    raise NoReferenceCode


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
    virtual = intent.virtual_account
    return {
        "account_name": account.account_name,
        "account_no": virtual.number if virtual else account.account_no,
        "bank_name": account.bank_name,
        "reference": intent.code,
        "amount_fen": payment.outstanding_fen,
        "pay_before": payment.pay_before,
    }


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
                out_no=refund.number if len(parts) == 1 else f"{refund.number}-{i}",
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
    return Sent(channel_txn=serials[0], account=f"bank:{account.account_no}")


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
        sources = [(refund.receipt.channel_txn, refund.amount_fen)] if refund.receipt else []
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
    found = Allocation.objects.filter(channel_txn__in=txns).select_related("line")
    return {allocation.channel_txn: allocation.line for allocation in found}


def _payer(line: StatementLine | None) -> tuple[str, str]:
    if line is None or not line.payer_account or "*" in line.payer_account:
        raise CannotSendBack("银行没有给出完整的付款账号，无法原路退回")
    return line.payer_account, line.payer_name
