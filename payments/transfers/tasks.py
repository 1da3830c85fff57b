import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from celery import shared_task
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.transfers import matching, queries, returns, services
from payments.transfers.models import LineReturn, Statement
from payments.transfers.rules import ReturnStatus, StatementStatus

logger = logging.getLogger(__name__)

GRACE = timedelta(seconds=30)  # before a sweep takes up what a nudge has not finished
AT_ONCE = 20_000


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
def match_waiting() -> None:
    """Every half minute: lines that are in and not judged; returns without an answer."""
    matching.match(line_ids=queries.waiting_lines(before=now() - GRACE, limit=AT_ONCE), at=now())
    for return_id in queries.returns_under_way(before=now() - GRACE):
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


@contextmanager
def _others_go_on(what: str, pk: int) -> Iterator[None]:
    """A sweep does not stand still before one row that a person has to look at."""
    try:
        yield
    except Exception:
        logger.exception("%s %d failed; the sweep goes on", what, pk)
