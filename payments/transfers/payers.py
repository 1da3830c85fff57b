"""From which account alone a payment is taken, where its receiving account wants it (限付款人).

Decided when the payment is opened, so that the buyer is told before he pays; he may lift it.
"""

from datetime import datetime
from typing import NamedTuple

from django.db import connection

from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.channels import transfer
from payments.receiving import services as receiving
from payments.receiving.models import ReceivingAccount, TransferIntent
from payments.receiving.rules import Gives
from payments.transfers.pulling import PaymentOver
from payments.transfers.remarks import is_pooled, is_whole_account

# Of the buyer's newest payments to this merchant, as far back as the ladder looks.
_PAID_FROM = """
SELECT DISTINCT l.payer_account, l.payer_name
FROM (
    SELECT id FROM payments_payment
    WHERE payer_id = %s AND merchant = %s AND method = 'BANK_TRANSFER'
    ORDER BY opened_at DESC, id DESC LIMIT 50
) p
JOIN payments_allocation a ON a.payment_id = p.id AND a.undone_at IS NULL
JOIN payments_statementline l ON l.id = a.line_id
"""
_NO_GROUPS = str.maketrans("", "", " -")


class Only(NamedTuple):
    """The bank takes, or may still take, money of one account only.

    `is_lifting`: it is to take all again, and has not said that it does.
    """

    tail: str
    is_lifting: bool

    @property
    def said(self) -> str:
        if self.is_lifting:
            return f"银行正在放开付款账户，尾号 {self.tail} 以外的账户请稍候再转"
        return f"仅接受尾号 {self.tail} 的账户付款"


def bound_to(payment: Payment, account: ReceivingAccount) -> str:
    """The account that this payment is to be taken from; "" is any.

    A query only where the account wants it and its bank can.
    """
    wants = account.is_payer_bound and account.gives == Gives.PAYMENT
    if not wants or account.provider not in transfer.that_can("limits"):
        return ""
    return _always_used(payment)


def _always_used(payment: Payment) -> str:
    """The whole account from which all came that this buyer has paid this merchant, or "".

    Money from where the bank named no whole account, or from a payment company, shows that he
    pays otherwise, too.
    """
    with connection.cursor() as cursor:
        cursor.execute(_PAID_FROM, [payment.payer_id, payment.merchant])
        found = cursor.fetchall()
    accounts = {account.translate(_NO_GROUPS) for account, _ in found}
    if len(accounts) != 1 or any(is_pooled(name) for _, name in found):
        return ""
    (account,) = accounts
    return account if is_whole_account(account) else ""


def only(payment: Payment, intent: TransferIntent) -> Only | None:
    """From which account its payer has to pay just now; None: from any."""
    if payment.status != Status.WAITING or not intent.virtual_account or intent.released_at:
        return None
    wanted = intent.payer_account if intent.receiving_account.is_payer_bound else ""
    account = wanted or ("" if intent.is_shared else intent.virtual_account.payer_account)
    return Only(account[-4:], is_lifting=not wanted) if account else None


def lift(*, payment: Payment, at: datetime, actor: str) -> None:
    """The payer wants to pay from another account; raises PaymentOver.

    Until the bank has answered he is told to wait (`only`).
    """
    if payment.status == Status.CLOSED:
        raise PaymentOver(payment=payment.number)
    receiving.unbind(payment=payment, at=at, actor=actor)
