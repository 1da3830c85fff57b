from celery import shared_task
from django.utils.timezone import now

from payments.bills import tasks as bills
from payments.bills.rules import Name
from payments.carrier import comparing, services
from payments.carrier.protocol import is_on

BATCHES = 100  # a run; the next one goes on


@shared_task
def tell_carrier() -> None:
    """Every ten seconds: what is in the ledger and the carrier has not been told."""
    if is_on():
        for _ in range(BATCHES):
            if not services.tell(at=now()):
                return


@shared_task
def compare_days() -> None:
    """Every hour from ten in the morning: the days that are over, and not compared yet."""
    if is_on():
        for day in bills.days_due(Name.CARRIER):
            bills.fetch(Name.CARRIER, day, comparing.take_in)
