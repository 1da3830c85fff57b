import logging
from time import monotonic

from celery import shared_task
from django.conf import settings
from django.utils.timezone import now

from config.kit import wechat
from shop.wechat_shipping import queries, rules, sending, services
from shop.wechat_shipping.models import ShippingReport

logger = logging.getLogger(__name__)

BUDGET = 60.0  # seconds of a run
AT_ONCE = 100


@shared_task
def report() -> None:
    """Every ten seconds: find what must be told, and tell it, one after the other."""
    if not settings.WECHAT_PAY:
        return
    at = now()
    services.discover(at=at)
    services.close_refunded(at=at)
    services.notice(at=at)
    ends = monotonic() + BUDGET
    while monotonic() < ends and (claim := services.claim(at=now())):
        try:
            sending.report(claim=claim, at=now())
        except Exception:
            # Its lease runs out, and it is tried again.
            logger.exception("report %s failed; the sweep goes on", claim.report_id)


@shared_task
def compare() -> None:
    """Ask WeChat about what has waited long, and once a day about what it was told.

    Who is asked about goes to the end of the line first, so that two machines do not both ask.
    """
    if not settings.WECHAT_PAY:
        return
    at = now()
    due = ShippingReport.objects.to_compare(at).select_related("trade", "order")
    for row in due.order_by("compare_at", "pk")[:AT_ONCE]:
        mine = ShippingReport.objects.filter(pk=row.pk, compare_at=row.compare_at)
        if not mine.update(compare_at=at + rules.COMPARE_AGAIN):
            continue
        try:
            sending.compare(report=row, at=now())
        except Exception:
            logger.exception("comparing %s failed; the sweep goes on", row)


@shared_task
def alert() -> None:
    if settings.WECHAT_PAY:
        services.alert(at=now(), ahead=queries.ahead())


@shared_task
def check_managed() -> None:
    """Nightly: without the management WeChat may stop the mini program's payments."""
    if settings.WECHAT_PAY and not wechat.client().is_trade_managed():
        logger.error("WeChat: the mini program is not under 发货信息管理")
