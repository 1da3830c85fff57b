"""Lines are paid out by the cashier, and what every change of a line leaves behind."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db.models import Count, Q, QuerySet

from payments.cashier import services as cashier
from payments.cashier.models import Receipt
from payments.cashier.rules import Arrival
from payments.transfers.ladder.facts import Decision
from payments.transfers.models import Allocation, LineEvent, Statement, StatementLine
from payments.transfers.rules import StatementStatus, Verdict

METHOD = "BANK_TRANSFER"


class Paid(NamedTuple):
    """Money of a line (by number) for one payment; `is_fee`: what banks kept on the way (T8)."""

    line: str
    arrival: Arrival
    is_fee: bool = False


def arrivals(decided: Iterable[tuple[str, str, Decision]]) -> list[Paid]:
    """What the cashier is told of (line number, account number, decision) that pay."""
    paid = []
    for number, account_no, decision in decided:
        source = f"suspense:{account_no}"
        for i, (payment_id, fen) in enumerate(decision.pays):
            txn = f"{number}-{i + 1}" if i else number
            paid.append(Paid(number, Arrival(payment_id, txn, fen, source)))
        if short := decision.facts.get("short_fen"):
            arrival = Arrival(decision.pays[0][0], f"{number}-F", short, f"fee:{account_no}")
            paid.append(Paid(number, arrival, is_fee=True))
    return paid


def pay(paid: Sequence[Paid], at: datetime, reopens: Mapping[str, int]) -> None:
    """Everything the cashier does with money of lines; allocations are the caller's."""
    if not paid:
        return
    shares = cashier.confirm(arrivals=[one.arrival for one in paid], at=at, reopens=reopens)
    if len(shares) != len(paid):
        raise RuntimeError(f"{len(shares)} of {len(paid)} arrivals were confirmed")


def live_txns(line_ids: Sequence[int]) -> list[str]:
    """What the cashier knows these lines' money by: allocations, and fees that came with them."""
    live = Allocation.objects.filter(line__in=line_ids, undone_at=None)
    txns = sorted(live.values_list("channel_txn", flat=True))
    fees = Receipt.objects.filter(
        method=METHOD, channel_txn__in=[f"{txn}-F" for txn in txns], undone_at=None
    )
    return [*txns, *fees.values_list("channel_txn", flat=True)]


def allocate(
    line: StatementLine, given: Sequence[Arrival], at: datetime, reopens: Mapping[str, int]
) -> None:
    """A person gives a line's money to payments."""
    Allocation.objects.bulk_create(
        Allocation(
            line=line,
            payment_id=one.payment_id,
            amount_fen=one.fen,
            channel_txn=one.channel_txn,
            made_at=at,
        )
        for one in given
    )
    pay([Paid(line.number, one) for one in given], at, reopens)


@lru_cache(maxsize=1024)
def as_json(reasons: tuple[str, ...]) -> str:
    return orjson.dumps(reasons).decode()


# --- what every change of a line leaves behind --------------------------------------------------


def record(
    line_ids: Sequence[int],
    kind: str,
    *,
    at: datetime,
    actor: str = "",
    facts: dict[str, Any] | None = None,
) -> None:
    LineEvent.objects.bulk_create(
        LineEvent(line_id=pk, kind=kind, actor=actor, at=at, facts=facts or {}) for pk in line_ids
    )


def first_verdict(line: StatementLine) -> dict[str, Any]:
    """What the ladder said of a line, for the first event that changes it: no event has it yet."""
    if line.decided_by:
        return {}
    said = {"verdict": line.verdict, "rule": line.rule, "version": line.rule_version}
    return {"judged": {**said, "reasons": line.reasons}}


def record_first(
    line_ids: Sequence[int],
    kind: str,
    *,
    at: datetime,
    actor: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """An event on each of these lines, with what it changes."""
    LineEvent.objects.bulk_create(
        LineEvent(
            line=line, kind=kind, actor=actor, at=at, facts={**(facts or {}), **first_verdict(line)}
        )
        for line in StatementLine.objects.filter(pk__in=line_ids).order_by("pk")
    )


def counted(lines: QuerySet[StatementLine]) -> dict[str, int]:
    """How many of a statement's lines stand where, by the names of its counters."""
    found = lines.aggregate(
        matched=Count("pk", filter=Q(verdict=Verdict.MATCHED)),
        suggested=Count("pk", filter=Q(verdict=Verdict.SUGGESTED)),
        ignored=Count("pk", filter=Q(verdict=Verdict.IGNORED)),
        stored=Count("pk"),
    )
    stored = found.pop("stored")
    return {**found, "unmatched": stored - sum(found.values())}


def lock_statements(statement_ids: Iterable[int]) -> None:
    """Counters are read and written under the statement's lock, or two clerks lose a count."""
    list(Statement.objects.filter(pk__in=statement_ids).order_by("pk").select_for_update())


def recount(line_ids: Sequence[int]) -> None:
    """Bring the counters of these lines' statements up to date; last in the transaction."""
    touched = Statement.objects.filter(statement_lines__in=line_ids).distinct()
    ids = sorted(touched.values_list("pk", flat=True))
    lock_statements(ids)
    for pk in ids:
        lines = StatementLine.objects.filter(statement_id=pk)
        done = Statement.objects.filter(pk=pk, status=StatementStatus.DONE)
        done.update(**counted(lines))
