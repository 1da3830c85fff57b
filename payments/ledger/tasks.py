import logging

from celery import shared_task

from payments.ledger import services

logger = logging.getLogger(__name__)


@shared_task
def audit() -> None:
    """Every night; each finding is an error in the log, which pages a person."""
    for finding in services.audit():
        logger.error("audit: %s", finding)
