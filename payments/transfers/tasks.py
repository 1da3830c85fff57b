from datetime import timedelta

from celery import shared_task
from django.utils.timezone import now

from payments.transfers import desk, matching, pool, queries, services
from payments.transfers.models import ReceivingAccount, Statement, StatementLine
from payments.transfers.rules import StatementStatus, Verdict

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
        import_statement(statement_id=statement_id)


@shared_task
def match_waiting() -> None:
    """Every half minute: lines that are in and not judged; returns without an answer."""
    matching.match(line_ids=queries.waiting_lines(before=now() - GRACE, limit=AT_ONCE), at=now())
    for line_id in queries.returning_lines(before=now() - GRACE):
        send_return(line_id=line_id)


@shared_task
def send_return(*, line_id: int) -> None:
    line = StatementLine.objects.select_related("receiving_account").get(pk=line_id)
    if line.verdict == Verdict.RETURNING:
        desk.send_return(line=line, at=now())


@shared_task
def fill_pool() -> None:
    """Every minute: enough free virtual accounts below each account whose bank gives them."""
    for account in ReceivingAccount.objects.filter(is_active=True).exclude(provider=""):
        pool.fill(account=account)
