"""What is owed back to a payer stays in the house: it goes to an account of his with us."""

from datetime import datetime

from django.db.models import F, Sum

from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.states import move
from payments.cashier import refunds
from payments.cashier.models import Payment, PaymentEvent, Refund
from payments.cashier.payables import check_to_wallet, payable
from payments.cashier.rules import REFUND_TRANSITIONS, RefundStatus, may_move
from payments.ledger import services as ledger
from payments.ledger.rules import Draft


class NotToWallet(Refusal):
    message = "这笔应退款不能转入余额，请选择原路退回"


@joined
def settle(*, refund: Refund, account: str, actor: str, at: datetime) -> None:
    """The payer's own choice, at once and once: StaleState where it is on its way, or was.

    No limit: the money stays in the house, and who takes it out of his wallet is looked at then.
    Raises NotToWallet where its arrivals do not cover it, CannotSendBack where the channel has
    taken them back.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    rows = Refund.objects.select_related("payment").select_for_update(of=("self",))
    refund = rows.get(pk=refund.pk)
    payment = refund.payment
    if not may_move(refund.status, refund.asked_by, refund.hand_txn):
        raise StaleState
    found = Refund.objects.filter(pk=refund.pk)
    move(found, RefundStatus.APPROVED, REFUND_TRANSITIONS, failure="")
    move(found, RefundStatus.SENDING, REFUND_TRANSITIONS, sent_at=at)
    refunds.share_out(refund, at)
    parts = refund.parts.filter(status="SENDING").select_related("receipt")
    if parts.aggregate(fen=Sum("amount_fen"))["fen"] != refund.amount_fen:
        raise NotToWallet(refunds.NOT_THERE)
    for part in parts:
        check_to_wallet(part)
    parts.update(status="DONE", channel_txn=F("number"), done_at=at)
    move(found, RefundStatus.DONE, REFUND_TRANSITIONS, channel_txn=refund.number, done_at=at)
    PaymentEvent.objects.create(
        payment=payment,
        kind="REFUND_TO_WALLET",
        actor=actor,
        at=at,
        facts={"refund": refund.number, "fen": refund.amount_fen},
    )
    payable(payment.purpose).refunded(references=[payment.reference], at=at)
    moved = Draft(
        kind="OWED_TO_WALLET",
        reference=refund.number,
        debits={f"refund_payable:{payment.method}": refund.amount_fen},
        credits={account: refund.amount_fen},
    )
    ledger.post([moved], at=at)
