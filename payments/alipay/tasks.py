import logging

from celery import shared_task
from django.conf import settings
from django.utils.timezone import now

from payments.alipay import services
from payments.alipay.models import AlipayTrade
from payments.alipay.rules import Status
from payments.channels.answers import ChannelSilent

logger = logging.getLogger(__name__)

AT_ONCE = 200


@shared_task
def ask_open() -> None:
    """Every ten seconds: trades of which no notification came, and those whose time is over.

    Who is asked goes to the end of the line, so that no silent trade holds the others up.
    """
    if not settings.ALIPAY:
        return
    due = AlipayTrade.objects.filter(status=Status.OPEN, ask_at__lte=now())
    for trade in due.select_related("payment").order_by("ask_at")[:AT_ONCE]:
        try:
            services.ask(trade=trade, at=now())
        except Exception:
            logger.exception("trade %s failed; the sweep goes on", trade.out_trade_no)


@shared_task
def ask_payment(*, payment_id: int) -> None:
    """A buyer is back from Alipay."""
    mine = AlipayTrade.objects.filter(payment=payment_id, status=Status.OPEN)
    for trade in mine.select_related("payment"):
        try:
            services.ask(trade=trade, at=now())
        except ChannelSilent:
            return  # the sweep asks again
