"""Whose turn it is to import a statement: about processes, so by the real time."""

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.utils.timezone import now

from config.kit.jobs import later
from payments.transfers.models import Statement
from payments.transfers.rules import StatementStatus

LEASE = timedelta(seconds=90)  # longer than a chunk of lines ever takes


class LeaseLost(Exception):
    """Nothing was heard of us for so long that another worker is at it."""


@dataclass(frozen=True)
class Lease:
    """Whose turn it is to import a statement; lost when its holder says nothing for too long."""

    statement_id: int
    holder: str

    @classmethod
    def of(cls, statement: Statement) -> "Lease | None":
        at = now()
        free = Statement.objects.filter(
            Q(leased_until=None) | Q(leased_until__lt=at),
            pk=statement.pk,
            status=StatementStatus.RUNNING,
        )
        holder = secrets.token_hex(8)
        if free.update(leased_by=holder, leased_until=at + LEASE) != 1:
            return None
        statement.refresh_from_db()
        return cls(statement.pk, holder)

    def renew(self, **changes: object) -> bool:
        mine = Statement.objects.filter(
            pk=self.statement_id, leased_by=self.holder, status=StatementStatus.RUNNING
        )
        return mine.update(leased_until=now() + LEASE, **changes) == 1

    def keep(self, **changes: object) -> None:
        """As `renew`, for work that must end at once where the lease is lost; raises LeaseLost."""
        if not self.renew(**changes):
            raise LeaseLost

    def give_up(self) -> None:
        Statement.objects.filter(pk=self.statement_id, leased_by=self.holder).update(
            leased_until=None
        )
        later("payments.transfers.tasks.import_statement", statement_id=self.statement_id)
