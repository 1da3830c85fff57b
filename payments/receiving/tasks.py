import logging

from celery import shared_task

from payments.receiving import pool
from payments.receiving.models import ReceivingAccount

logger = logging.getLogger(__name__)


@shared_task
def fill_pool() -> None:
    """Every minute: enough free virtual accounts below each account whose bank gives them."""
    for account in ReceivingAccount.objects.filter(is_active=True).exclude(provider=""):
        try:
            pool.fill(account=account)
        except Exception:
            # One account's bank that is gone does not leave the others without.
            logger.exception("account %d failed; the sweep goes on", account.pk)
