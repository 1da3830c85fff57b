"""The bank takes money back (冲正): the booking and what undoes it cancel each other out.

A reversal that names its original by the bank's serial, for the same amount, undoes it by itself,
whichever of the two came first and whatever was paid with it.  Any other waits for a person, who
may name the original (`pair`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import F
from django.utils.timezone import localtime

from config.kit.errors import Refusal
from config.kit.money import yuan
from payments.cashier import services as cashier
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.receiving.models import ReceivingAccount
from payments.transfers import matching, queries
from payments.transfers.decisions import decided_meanwhile, lock
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.rules import GONE, Verdict

# Every original that a reversal names, also one that is not undone now: whoever sends its money
# back waits here for the reversal to be seen, or is seen himself.
_HOLD = """
SELECT o.id
FROM payments_statementline r
JOIN payments_statementline o
    ON o.receiving_account_id = r.receiving_account_id AND o.key = r.reverses
WHERE r.receiving_account_id = %s AND r.reverses <> '' AND r.verdict = 'CONFLICT'
ORDER BY o.id FOR UPDATE OF o
"""
# A return that is under way, or done, is for a person: the money has gone twice.
_PAIRS = """
SELECT r.id, r.number, o.id, o.number, o.amount_fen, o.set_aside_fen
FROM payments_statementline r
JOIN payments_statementline o
    ON o.receiving_account_id = r.receiving_account_id AND o.key = r.reverses
    AND o.amount_fen = -r.amount_fen AND o.is_posted AND o.returned_fen = 0
WHERE r.receiving_account_id = %s AND r.reverses <> '' AND r.verdict = 'CONFLICT' AND r.rule = 'R'
    AND o.verdict NOT IN ('RETURNING', 'RETURNED', 'REVERSED')
    AND NOT EXISTS (
        SELECT 1 FROM payments_statementline other
        WHERE other.receiving_account_id = r.receiving_account_id AND other.reverses = r.reverses
            AND other.id <> r.id AND other.is_reversal
    )
    AND NOT EXISTS (  -- the bank has given this serial to two bookings: which of them?
        SELECT 1 FROM payments_statementline apart
        WHERE apart.receiving_account_id = r.receiving_account_id
            AND apart.key >= r.reverses || '!' AND apart.key < r.reverses || '"'
    )
ORDER BY o.id FOR UPDATE OF o, r
"""


class TakenBack(Refusal):
    """The bank has taken money of a line back, in whole or in part."""

    message = "银行已冲正这笔来账，钱已不在账户上，不能再退回"


class NotAReversal(Refusal):
    message = "这一行不是等待处理的冲正"


class NotTheOriginal(Refusal):
    """The message says why: what a reversal that names it would not undo by itself."""

    message = "这笔来账不能作为冲正的原来账"


class Pair(NamedTuple):
    reversal_id: int
    reversal: str
    original_id: int
    original: str
    fen: int
    aside_fen: int  # of them, what a person had set aside


def name(originals: Mapping[int, str], at: datetime) -> None:
    """Reversals that were here (by line), and are now said to take back these serials.

    What a person has decided about one of them stays as it is.
    """
    for pk, serial in sorted(originals.items()):
        StatementLine.objects.filter(
            pk=pk, reverses="", decided_by="", verdict__in=[Verdict.IGNORED, Verdict.CONFLICT]
        ).update(
            is_reversal=True,
            reverses=serial,
            verdict=Verdict.CONFLICT,
            rule="R",
            reasons=[f"冲正或退汇，原流水号 {serial}，需人工处理"],
            decided_at=at,
        )
    matching.recount(list(originals))


def refuse_taken_back(line: StatementLine) -> None:
    """TakenBack where a reversal names the line, whatever its amount and whoever has ignored it.

    For one who holds the line and is about to send its money back: see `_HOLD`.
    """
    by = StatementLine.objects.filter(
        receiving_account=line.receiving_account_id, reverses=line.key, amount_fen__lt=0
    )
    if number := by.order_by("pk").values_list("number", flat=True).first():
        raise TakenBack(reversal=number)


def settle(*, account: ReceivingAccount, at: datetime) -> int:
    """Undo every original that is here and reversed; answers how many.  Joins the transaction."""
    with connection.cursor() as cursor:
        cursor.execute(_HOLD, [account.pk])
        cursor.execute(_PAIRS, [account.pk])
        pairs = list(map(Pair._make, cursor.fetchall()))
    if pairs:
        _undo(pairs, at)
        _mark(pairs, at)
        matching.recount([pk for pair in pairs for pk in (pair.reversal_id, pair.original_id)])
        ledger.post([_draft(account.account_no, pair) for pair in pairs], at=at)
    return len(pairs)


@transaction.atomic
def pair(
    *, line: StatementLine, original: StatementLine, reason: str, actor: str, at: datetime
) -> StatementLine:
    """A person says which line a reversal takes back; then it is as if the bank had named it.

    Raises NotAReversal, NotTheOriginal, and DecidedMeanwhile where either line is not as it was
    shown.
    """
    if not queries.is_waiting_reversal(line):
        raise decided_meanwhile(line, at) if line.verdict == Verdict.REVERSED else NotAReversal
    rows = {one.pk: one for one in (line, original)}
    held = {pk: lock(rows[pk], seen=list(Verdict), at=at) for pk in sorted(rows)}
    row, found = held[line.pk], held[original.pk]
    if why := _why_not(row, found):
        raise NotTheOriginal(f"这笔来账不能作为冲正的原来账：{why}")
    pairs = [
        Pair(row.pk, row.number, found.pk, found.number, found.amount_fen, found.set_aside_fen)
    ]
    _undo(pairs, at, actor)
    facts = {"original": found.number, "reason": reason}
    matching.record_first([row.pk], "REVERSED", at=at, actor=actor, facts=facts)
    _mark(pairs, at, actor=actor, reason=reason)
    if not row.reverses:  # whoever looks for reversals of the line finds this one
        StatementLine.objects.filter(pk=row.pk).update(reverses=found.serial)
    matching.recount(sorted(rows))
    ledger.post([_draft(row.receiving_account.account_no, one) for one in pairs], at=at)
    line.refresh_from_db()
    return line


def _why_not(row: StatementLine, original: StatementLine) -> str:
    """What `_PAIRS` asks of two lines, in words."""
    lines = StatementLine.objects.filter(receiving_account=row.receiving_account_id)
    others = lines.filter(reverses=original.key, is_reversal=True).exclude(pk=row.pk)
    named = lines.filter(key=row.reverses).exclude(pk=original.pk) if row.reverses else lines.none()
    too_late = localtime(original.booked_at).date() > localtime(row.booked_at).date()
    is_amount = original.is_posted and original.amount_fen == -row.amount_fen
    reasons = {
        "不是同一个收款账户": original.receiving_account_id != row.receiving_account_id,
        f"须是一笔 {yuan(-row.amount_fen)} 元的来账": not is_amount,
        "正在退回、已退回，或已被冲正": original.returned_fen or original.verdict in GONE,
        "它在冲正之后才入账": too_late,
        "另一笔冲正写明了它": others.exists(),
        f"银行写明的原来账是流水号 {row.reverses}": named.exists(),
    }
    return next((why for why, is_so in reasons.items() if is_so), "")


def _undo(pairs: list[Pair], at: datetime, actor: str = "") -> None:
    """What the originals paid is not paid: payments first, then orders, as they are locked."""
    originals = [pair.original_id for pair in pairs]
    if txns := matching.live_txns(originals):
        Allocation.objects.filter(line__in=originals, undone_at=None).update(undone_at=at)
        cashier.reverse(channel_txns=txns, method=matching.METHOD, actor=actor, at=at)


def _mark(pairs: list[Pair], at: datetime, *, actor: str = "", reason: str = "") -> None:
    originals = [pair.original_id for pair in pairs]
    reversals = [pair.reversal_id for pair in pairs]
    facts = {"reversal": pairs[0].reversal, "reason": reason} if actor else {}
    matching.record_first(originals, "REVERSED", at=at, actor=actor, facts=facts)
    StatementLine.objects.filter(pk__in=originals).update(
        verdict=Verdict.REVERSED,
        rule="R",
        reasons=["银行已冲正这笔来账，核销已自动撤销"],
        allocated_fen=0,
        returned_fen=F("amount_fen"),
        set_aside_fen=0,
        decided_at=at,
        decided_by=actor,
    )
    StatementLine.objects.filter(pk__in=reversals).update(
        verdict=Verdict.REVERSED,
        reasons=["冲正了已有的来账，原来账的核销已自动撤销"],
        decided_at=at,
        decided_by=actor,
    )


def _draft(account_no: str, pair: Pair) -> Draft:
    """The bank's own booking has gone elsewhere when it came in: it was this money.

    What the original had paid is in suspense again by now; what was set aside leaves from there.
    """
    lies = {
        f"suspense:{account_no}": pair.fen - pair.aside_fen,
        f"set_aside:{account_no}": pair.aside_fen,
    }
    return Draft(
        kind="REVERSAL",
        reference=pair.reversal,
        debits={code: fen for code, fen in lies.items() if fen},
        credits={f"elsewhere:{account_no}": pair.fen},
    )
