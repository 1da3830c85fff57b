import logging

from celery import shared_task
from django.conf import settings
from django.utils.timezone import now

from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.wechat_pay import certificates, services
from payments.wechat_pay.models import WeChatTrade
from payments.wechat_pay.rules import Status

logger = logging.getLogger(__name__)

AT_ONCE = 200


@shared_task
def ask_open() -> None:
    """Every ten seconds: trades of which no notice came, and those whose time is over.

    Who is asked goes to the end of the line, so that no silent trade holds the others up.
    """
    if not settings.WECHAT_PAY:
        return
    due = WeChatTrade.objects.filter(status=Status.OPEN, ask_at__lte=now())
    for trade in due.select_related("payment").order_by("ask_at")[:AT_ONCE]:
        try:
            services.ask(trade=trade, at=now())
        except Exception:
            logger.exception("trade %s failed; the sweep goes on", trade.out_trade_no)


@shared_task
def renew_certificates() -> None:
    """Twice a day: WeChat wants it at least every twelve hours."""
    if not certificates.is_on():
        return
    try:
        new = certificates.renew(at=now())
    except (ChannelSilent, ChannelRefused) as no:
        logger.error("the platform certificates could not be renewed: %s", no)
    else:
        for serial in new:
            logger.warning("WeChat Pay has a new platform certificate, %s", serial)
