"""A refund that the channel had refused and a person has paid outside: another confirms it."""

from datetime import datetime

from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from config.kit.states import move
from payments.cashier import refunds
from payments.cashier.models import Payment, PaymentEvent, Refund
from payments.cashier.rules import REFUND_TRANSITIONS, PartStatus, RefundStatus
from payments.ledger import services as ledger


class NotFailed(Refusal):
    message = "只有“退回失败”的退款单能登记为已在网银退款"


class NotCovered(Refusal):
    message = refunds.NOT_THERE


@joined
def enter(*, refund: Refund, txn: str, actor: str, at: datetime) -> None:
    """A person says that it was paid as `txn`.  Until `settle` it is on its way.

    Nobody sends it meanwhile, and whatever is taken back of its arrivals finds it gone.  Raises
    NotFailed, NotCovered.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    found = Refund.objects.filter(pk=refund.pk)
    if not found.filter(status=RefundStatus.FAILED).exists():
        raise NotFailed
    move(found, RefundStatus.APPROVED, REFUND_TRANSITIONS, failure="")
    under_way = {"sent_at": at, "hand_txn": txn}
    move(found, RefundStatus.SENDING, REFUND_TRANSITIONS, **under_way)
    refund.refresh_from_db()
    refunds.share_out(refund, at)
    if not refund.parts.filter(status=PartStatus.SENDING).exists():
        raise NotCovered
    _record(refund, "REFUND_BY_HAND", txn, actor, at)


@joined
def settle(
    *, refund: Refund, txn: str, left: str | None, why: str, actor: str, at: datetime
) -> None:
    """Another person has looked: it left the ledger account `left`; None: it did not leave.

    Then it has failed as before, and may be sent or paid again.  Raises StaleState unless it waits
    for this.
    """
    Payment.objects.filter(pk=refund.payment_id).locked()
    waiting = Refund.objects.filter(pk=refund.pk, status=RefundStatus.SENDING, hand_txn=txn)
    if waiting.update(hand_txn="") != 1:
        raise StaleState
    refund.refresh_from_db()
    parts = refund.parts.filter(status=PartStatus.SENDING)
    if left is None:
        _record(refund, "REFUND_NOT_BY_HAND", txn, actor, at)
        parts.update(status=PartStatus.REFUSED, failure=why)
    else:
        _record(refund, "REFUND_APPROVED", txn, actor, at)
        sent = parts.select_related("refund__payment").order_by("pk")
        drafts = [refunds.paid(part, left) for part in sent]
        parts.update(status=PartStatus.DONE, channel_txn=txn, done_at=at)
        ledger.post(drafts, at=at)
    refunds.conclude(refund, at)


def _record(refund: Refund, kind: str, txn: str, actor: str, at: datetime) -> None:
    facts = {"refund": refund.number, "serial": txn}
    PaymentEvent.objects.create(
        payment_id=refund.payment_id, kind=kind, actor=actor, at=at, facts=facts
    )
