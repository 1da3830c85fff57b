import logging

from celery import shared_task
from django.utils.timezone import now

from payments.receiving import limits, pool, services
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


@shared_task
def go_round() -> None:
    """Every minute: accounts rest when their payment is over, and are free when they have rested.

    Waking comes first, so that a payment that waits again keeps its number.
    """
    services.wake()
    services.rest(at=now())
    services.release(at=now())


@shared_task
def take_codes_back() -> None:
    """Every hour: codes of payments that were over two years ago, and how many are in use."""
    services.release_codes(at=now())
    services.count_codes()


@shared_task
def tell_limit(*, virtual_account_id: int) -> None:
    limits.tell(virtual_account_id=virtual_account_id, at=now())


@shared_task
def tell_limits() -> None:
    """Every half minute: limits at the bank that are not what they should be."""
    for virtual_account_id in limits.untold(at=now()):
        try:
            tell_limit(virtual_account_id=virtual_account_id)
        except Exception:
            logger.exception("limit of %d failed; the sweep goes on", virtual_account_id)
