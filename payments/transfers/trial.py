"""What a version of the rules on trial would have done, beside what was done."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from django.db.models import Min, Q, QuerySet

from config.kit.viewer import Viewer
from payments.receiving.models import ReceivingAccount
from payments.transfers.ladder.shadow import Comparison, Judged, Opinion, compare
from payments.transfers.models import Allocation, LineEvent, Policy, ShadowVerdict, StatementLine
from payments.transfers.rules import Verdict

LATEST = 20_000  # lines compared; older ones say little about the rules of today
ENOUGH = 100  # lines that a version has judged before it is put in force
LONG_ENOUGH = timedelta(days=7)  # or so long all of them, where fewer come

_NOBODYS = frozenset({Verdict.IGNORED, Verdict.RETURNING, Verdict.RETURNED})


def _of(viewer: Viewer) -> Any:
    return ShadowVerdict.objects.filter(line__in=StatementLine.objects.seen_by(viewer))


def versions(viewer: Viewer) -> list[str]:
    """Those that have judged a line which this person may see, the newest first."""
    found = _of(viewer).order_by("-version").values_list("version", flat=True)
    return list(found.distinct())


class Run(NamedTuple):
    """How far a version has been tried, or was in force before; `lines`: as many, or ENOUGH."""

    lines: int
    is_enough: bool


def run(merchant: str, version: str, at: datetime) -> Run:
    """On the accounts that a merchant's policy ("": everybody else's) speaks for; four queries."""
    mine = StatementLine.objects.filter(receiving_account__in=_accounts(merchant))
    shadows = ShadowVerdict.objects.filter(line__in=mine, version=version)
    judged = mine.filter(rule_version=version).exclude(rule="T0")
    lines = min(ENOUGH, shadows[:ENOUGH].count() + judged[:ENOUGH].count())
    if lines in {0, ENOUGH}:
        return Run(lines, is_enough=lines == ENOUGH)
    since = at - LONG_ENOUGH
    lately = mine.filter(stored_at__range=(since, at)).exclude(rule="T0")
    untried = lately.exclude(rule_version=version).exclude(shadows__version=version)
    began = shadows.filter(at__lte=since).exists() or judged.filter(stored_at__lte=since).exists()
    return Run(lines, is_enough=began and not untried.exists())


def _accounts(merchant: str) -> QuerySet[ReceivingAccount]:
    if merchant:
        return ReceivingAccount.objects.filter(merchant=merchant)
    own = Policy.objects.exclude(merchant="").values("merchant")
    return ReceivingAccount.objects.filter(~Q(merchant__in=own))


def report(viewer: Viewer, version: str) -> Comparison:
    """The latest lines that the version judged, in four queries."""
    shadows = _of(viewer).filter(version=version).select_related("line")
    judged = list(shadows.order_by("-pk")[:LATEST])
    lines = [shadow.line for shadow in judged]
    began, ended = _paid(lines)
    return compare(
        Judged(
            shadow.line.number,
            _live(shadow.line, began.get(shadow.line_id, frozenset())),
            Opinion(shadow.verdict, shadow.rule, frozenset(shadow.payments)),
            _end(shadow.line, ended.get(shadow.line_id, frozenset())),
        )
        for shadow in judged
    )


def _live(line: StatementLine, paid: frozenset[str]) -> Opinion:
    """What the rules in force did, whatever a person did later."""
    if paid:
        return Opinion(Verdict.MATCHED, "" if line.decided_by else line.rule, paid)
    return Opinion(Verdict.UNMATCHED if line.decided_by else line.verdict, "")


def _end(line: StatementLine, paid: frozenset[str]) -> frozenset[str] | None:
    if line.verdict in _NOBODYS:
        return frozenset()
    return paid if line.verdict == Verdict.MATCHED else None


def _paid(
    lines: Iterable[StatementLine],
) -> tuple[dict[int, frozenset[str]], dict[int, frozenset[str]]]:
    """By line, the payments that it was given to before any person came, and those of now."""
    keys = [line.pk for line in lines]
    by_people = LineEvent.objects.filter(line__in=keys).exclude(actor="")
    people_came = dict(by_people.values_list("line").annotate(Min("at")))
    began: dict[int, set[str]] = {}
    ended: dict[int, set[str]] = {}
    for pk, number, made_at, undone_at in Allocation.objects.filter(line__in=keys).values_list(
        "line", "payment__number", "made_at", "undone_at"
    ):
        if pk not in people_came or made_at < people_came[pk]:
            began.setdefault(pk, set()).add(number)
        if undone_at is None:
            ended.setdefault(pk, set()).add(number)
    return _frozen(began), _frozen(ended)


def _frozen(found: dict[int, set[str]]) -> dict[int, frozenset[str]]:
    return {pk: frozenset(numbers) for pk, numbers in found.items()}
