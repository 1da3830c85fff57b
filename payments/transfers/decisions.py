"""One line under its lock: who has decided on it, and what a decision writes.

The money of a line may be split: part is given to payments, part returned; the rest waits in
suspense, or is set aside as no buyer's.  Always: allocated + returned + suspense + set aside =
amount.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.utils.timezone import localtime

from config.kit.errors import Refusal, StaleState
from config.kit.money import yuan
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import matching
from payments.transfers.models import LineEvent, StatementLine
from payments.transfers.rules import LINE_TRANSITIONS, UNDER_WAY, Verdict, standing


class NotPosted(Refusal):
    message = "这一行没有作为来账记账，不能核销或退回"


class DecidedMeanwhile(StaleState):
    """Another person was first; the message says who, when, and what he did."""

    message = "这一行刚被处理过，请刷新"


def lock(line: StatementLine, *, seen: Collection[Verdict], at: datetime) -> StatementLine:
    """The row as it is now, locked until the transaction ends.

    DecidedMeanwhile unless it is as the caller saw it, and in one of the verdicts `seen`.
    """
    row = (
        StatementLine.objects.select_for_update(of=("self",))
        .select_related("receiving_account")
        .get(pk=line.pk)
    )
    if row.verdict not in seen or _version(row) != _version(line):
        raise decided_meanwhile(row, at)
    return row


def _version(line: StatementLine) -> tuple[Any, ...]:
    return line.verdict, line.allocated_fen, line.returned_fen, line.decided_at


def suspense(line: StatementLine) -> str:
    return f"suspense:{line.receiving_account.account_no}"


def aside(line: StatementLine) -> str:
    return f"set_aside:{line.receiving_account.account_no}"


def settle(
    row: StatementLine,
    *,
    actor: str,
    at: datetime,
    to: Verdict | None = None,
    allocated_fen: int | None = None,
    returned_fen: int | None = None,
    **changes: Any,
) -> None:
    """Write a decision on a locked line; where it stands follows from its amounts unless said.

    What is left of a line in the books leaves suspense when it becomes IGNORED, and comes back
    whenever it is so no longer.
    """
    allocated = row.allocated_fen if allocated_fen is None else allocated_fen
    returned = row.returned_fen if returned_fen is None else returned_fen
    verdict = to or standing(
        amount_fen=row.amount_fen,
        allocated_fen=allocated,
        returned_fen=returned,
        under_way=row.returns.filter(status__in=UNDER_WAY).exists(),
    )
    if verdict not in LINE_TRANSITIONS[Verdict(row.verdict)]:
        raise StaleState
    is_aside = verdict == Verdict.IGNORED and changes.get("is_posted", row.is_posted)
    aside_fen = row.amount_fen - allocated - returned if is_aside else 0
    StatementLine.objects.filter(pk=row.pk).update(
        verdict=verdict,
        allocated_fen=allocated,
        returned_fen=returned,
        set_aside_fen=aside_fen,
        decided_at=at,
        decided_by=actor,
        **changes,
    )
    _set_aside(row, aside_fen - row.set_aside_fen, at)


def _set_aside(row: StatementLine, fen: int, at: datetime) -> None:
    """Out of suspense, or back again where below zero: a posting each time that it is ignored."""
    if not fen:
        return
    times = LineEvent.objects.filter(line=row, kind="IGNORED").count()  # written after this
    turn = times + 1 if fen > 0 else max(times, 1)
    debit, credit = suspense(row), aside(row)
    if fen < 0:
        debit, credit = credit, debit
    draft = Draft(
        kind="SET_ASIDE" if fen > 0 else "SET_ASIDE_UNDONE",
        reference=row.number if turn == 1 else f"{row.number}-{turn}",
        debits={debit: abs(fen)},
        credits={credit: abs(fen)},
    )
    ledger.post([draft], at=at)


def leave_trace(line: StatementLine, kind: str, actor: str, at: datetime, **facts: Any) -> None:
    """The event, the counters of the line's statement, and the caller's row made fresh.

    A line is born with its first verdict, which is in no event: the first event says what it was.
    """
    facts |= matching.first_verdict(line)
    matching.record([line.pk], kind, at=at, actor=actor, facts=facts)
    matching.recount([line.pk])
    line.refresh_from_db()


# --- who was first ------------------------------------------------------------------------------


def decided_meanwhile(line: StatementLine, at: datetime) -> DecidedMeanwhile:
    """For example: 李会计已在 10:32 核销到 P9EXYWENMGM9TR，请刷新."""
    decisive = LineEvent.objects.filter(line=line).exclude(kind__in=["CONFIRMED", "NOTE", "TWIN"])
    event = decisive.order_by("-pk").first()
    if event is None:  # as it came in
        event = LineEvent(kind=line.verdict, actor="", at=line.decided_at or at)
    what = _told(line, event)
    return DecidedMeanwhile(
        f"{_name(event.actor)}已在 {_moment(event.at, at)} {what}，请刷新",
        by=event.actor,
        at=event.at.isoformat(),
        kind=event.kind,
    )


def _name(actor: str) -> str:
    if not actor:
        return "系统"
    people = get_user_model()._default_manager.filter(number=actor)
    names = people.values_list("nickname", "username").first()
    return next((name for name in names or () if name), actor)


def _moment(then: datetime, at: datetime) -> str:
    is_today = localtime(then).date() == localtime(at).date()
    return f"{localtime(then):{'%H:%M' if is_today else '%m-%d %H:%M'}}"


def _told(line: StatementLine, event: LineEvent) -> str:
    facts = event.facts
    if event.kind == "MATCHED":
        live = line.allocations.filter(undone_at=None)
        paid = list(facts.get("payments") or live.values_list("payment__number", flat=True)[:4])
        more = "等" if len(paid) > 3 else ""
        return f"核销到 {'、'.join(paid[:3])}{more}"
    fen = facts.get("amount_fen", line.amount_fen)
    words = {
        "UNDONE": "撤销了处理",
        "TAKEN_IN": "作为来账处理",
        "IGNORED": f"标记为不处理（{facts.get('reason', '')}）",
        "RETURN_ASKED": f"申请退回 {yuan(fen)} 元",
        "RETURNING": f"提交退回 {yuan(fen)} 元",
        "RETURNED": f"完成退回 {yuan(fen)} 元",
        "RETURN_FAILED": f"记下退回 {yuan(fen)} 元失败",
        "RETURN_DECLINED": f"否决退回 {yuan(fen)} 元",
        "CONTRADICTED": "发现同一流水号的不同内容",
        "HELD_BACK": "发现疑似重复收录，退出记账",
    }
    known = dict(Verdict.choices)
    return words.get(event.kind, f"判为{known.get(event.kind, event.kind)}")
