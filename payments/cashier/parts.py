"""Mixed payments: a part is its payer's wallet's, the rest is collected by the payment's method."""

from datetime import datetime

from config.kit.db import joined
from config.kit.errors import Refusal
from payments.cashier.models import Payment
from payments.cashier.payables import pay_part
from payments.cashier.rules import WALLET


class WalletPartTooLarge(Refusal):
    message = "余额支付的部分须小于应付金额；全部用余额请选择余额支付"


class WalletPartTaken(Refusal):
    message = "这笔支付已经用余额支付了一部分，不能更改"


@joined
def pay(*, payment: Payment, fen: int, at: datetime) -> None:
    """Take so much of a payment from its payer's wallet, once.

    The same part again is that part.  Raises WalletPartTooLarge, WalletPartTaken and what the
    wallet raises.
    """
    payment.refresh_from_db(from_queryset=Payment.objects.select_for_update(no_key=True))
    if payment.wallet_fen == fen:
        return
    if payment.wallet_fen:
        raise WalletPartTaken(wallet_fen=payment.wallet_fen)
    if payment.method == WALLET or fen >= payment.outstanding_fen:
        raise WalletPartTooLarge(outstanding_fen=payment.outstanding_fen)
    pay_part(payment, fen=fen, at=at)
    Payment.objects.filter(pk=payment.pk).update(wallet_fen=fen)
    payment.refresh_from_db()
