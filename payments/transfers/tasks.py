import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import shared_task
from django.db import transaction
from django.db.models import QuerySet
from django.utils.timezone import now

from config.kit.errors import Refusal, StaleState
from config.kit.limits import TooManyRequests, allow
from payments.channels import transfer
from payments.receiving.models import ReceivingAccount
from payments.transfers import pulling, queries, returns, reversals, second_look, services
from payments.transfers.models import LineReturn, Statement
from payments.transfers.rules import ReturnStatus, StatementStatus

logger = logging.getLogger(__name__)

GRACE = timedelta(seconds=30)  # before a sweep takes up what a nudge has not finished
LOOK_EVERY = 60  # seconds, per account: buyers in a hurry are many


@shared_task
def import_statement(*, statement_id: int) -> None:
    statement = Statement.objects.select_related("receiving_account").get(pk=statement_id)
    if statement.status == StatementStatus.RUNNING:
        services.import_statement(statement=statement, at=now())


@shared_task
def import_waiting() -> None:
    """Every half minute: imports whose nudge was lost or whose worker died."""
    for statement_id in queries.running_statements(before=now() - GRACE):
        with _others_go_on("statement", statement_id):
            import_statement(statement_id=statement_id)


@shared_task
def settle_reversals() -> None:
    """Every half minute: a reversal and its original that came in at the same moment."""
    for account in ReceivingAccount.objects.filter(pk__in=queries.accounts_with_reversals()):
        with _others_go_on("reversals of account", account.pk), transaction.atomic():
            reversals.settle(account=account, at=now())


@shared_task
def look_again() -> None:
    """Every half minute: one booking under two names that came in at the same moment."""
    at = now()
    for statement_id in second_look.due(at=at):
        with _others_go_on("statement", statement_id):
            statement = Statement.objects.select_related("receiving_account").get(pk=statement_id)
            second_look.look_again(statement=statement, at=at)


@shared_task
def send_returns() -> None:
    """Every half minute: returns without an answer."""
    for return_id in returns.take_turns(before=now() - GRACE, at=now()):
        with _others_go_on("return", return_id):
            send_return(return_id=return_id)


@shared_task
def send_return(*, return_id: int) -> None:
    asked = LineReturn.objects.select_related("line__receiving_account").get(pk=return_id)
    if asked.status != ReturnStatus.SENDING:
        return
    try:
        returns.send(asked=asked, at=now())
    except StaleState:
        return  # another worker was first


@shared_task
def pull_statements() -> None:
    """Every hour: the statements of days that are over, from banks that hand them out.

    A day that cannot be had is put down and asked for again; those behind it are not held up.
    """
    for account in _pullable():
        with _others_go_on("statements of account", account.pk):
            for day in pulling.days_to_fetch(account=account, at=now()):
                pulling.pull_day(account=account, day=day, at=now())


@shared_task
def look_sooner(*, account_id: int) -> None:
    """A buyer says that he has paid: what the bank has booked today, at most once a minute."""
    account = _pullable().filter(pk=account_id).first()
    if account is None:
        return  # this bank pushes, or a clerk uploads
    try:
        allow(f"look:{account.pk}", limit=1, seconds=LOOK_EVERY)
        pulling.pull_today(account=account, at=now())
    except TooManyRequests:
        return
    except (transfer.BankUnknown, transfer.BankRefused, Refusal) as refused:
        logger.warning("today's statement of %s: %s", account, refused)


def _pullable() -> QuerySet[ReceivingAccount]:
    able = transfer.that_can("statements")
    return ReceivingAccount.objects.filter(provider__in=able).order_by("pk")


@contextmanager
def _others_go_on(what: str, pk: int) -> Iterator[None]:
    """A sweep does not stand still before one row that a person has to look at."""
    try:
        yield
    except Exception:
        logger.exception("%s %d failed; the sweep goes on", what, pk)
