"""What a version of the rules on trial would have done, beside what was done."""

from collections.abc import Iterable
from typing import Any

from django.db.models import Min

from config.kit.viewer import Viewer
from payments.transfers.ladder.shadow import Comparison, Judged, Opinion, compare
from payments.transfers.models import Allocation, LineEvent, ShadowVerdict, StatementLine
from payments.transfers.rules import Verdict

LATEST = 20_000  # lines compared; older ones say little about the rules of today

_NOBODYS = frozenset({Verdict.IGNORED, Verdict.RETURNING, Verdict.RETURNED})


def _of(viewer: Viewer) -> Any:
    return ShadowVerdict.objects.filter(line__in=StatementLine.objects.seen_by(viewer))


def versions(viewer: Viewer) -> list[str]:
    """Those that have judged a line which this person may see, the newest first."""
    found = _of(viewer).order_by("-version").values_list("version", flat=True)
    return list(found.distinct())


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
