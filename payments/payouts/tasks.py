import logging
from datetime import timedelta

from celery import shared_task
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.payouts import batches, files, sending
from payments.payouts.models import Payout
from payments.settlement import debts

logger = logging.getLogger(__name__)

ASK_AGAIN = timedelta(seconds=30)


@shared_task
def send_payout(*, payout_id: int) -> None:
    payout = Payout.objects.select_related("account", "payee").get(pk=payout_id)
    try:
        sending.send(payout=payout, at=now())
    except StaleState:
        return  # another worker was first, or it was declined


@shared_task
def send_payouts() -> None:
    """Every half minute: what is approved, and what was sent without an answer."""
    for payout_id in sending.take_turns(before=now() - ASK_AGAIN, at=now()):
        try:
            send_payout(payout_id=payout_id)
        except Exception:
            # The others are not kept waiting for one that a person has to look at.
            logger.exception("payout %d could not be sent", payout_id)


@shared_task
def pay_all() -> None:
    """Every morning."""
    batches.pay_all(at=now())


@shared_task
def find_bookings() -> None:
    """Every minute: what statements have brought of payouts by file."""
    files.let_go(at=now())
    files.find_bookings(at=now())


@shared_task
def square_debts() -> None:
    """Every minute: what merchants owe is paid out of what has become theirs."""
    for merchant in debts.indebted():
        debts.square(merchant=merchant, at=now())
