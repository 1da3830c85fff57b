import logging
from datetime import timedelta

from celery import shared_task
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.cashier import queries, refunds, services
from payments.cashier.models import Refund
from payments.cashier.rules import RefundStatus

logger = logging.getLogger(__name__)

ASK_AGAIN = timedelta(seconds=30)


@shared_task
def send_refund(*, refund_id: int) -> None:
    refund = Refund.objects.select_related("payment").get(pk=refund_id)
    if refund.status not in {RefundStatus.APPROVED, RefundStatus.SENDING}:
        return
    try:
        refunds.send(refund=refund, at=now())
    except StaleState:
        return  # another worker was first


@shared_task
def close_paid_elsewhere() -> None:
    """Every minute: payments with a part of their money whose thing another payment has paid.

    Closed already with that other one, but for those that somebody held at that moment.
    """
    if ids := queries.paid_elsewhere(most=200):
        services.close_paid_elsewhere(ids=ids, at=now())


@shared_task
def send_refunds() -> None:
    """Every half minute: what is approved, and what was sent without an answer."""
    for refund_id in refunds.take_turns(before=now() - ASK_AGAIN, at=now()):
        try:
            send_refund(refund_id=refund_id)
        except Exception:
            # The others are not kept waiting for one that a person has to look at.
            logger.exception("refund %d could not be sent", refund_id)
