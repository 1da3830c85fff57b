"""The bank takes money back (冲正): the booking and what undoes it cancel each other out.

A reversal that names its original by the bank's serial, for the same amount, undoes it by itself,
whichever of the two came first and whatever was paid with it.  Any other waits for a person.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from django.db import connection
from django.db.models import F

from config.kit.errors import Refusal
from payments.cashier import services as cashier
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.receiving.models import ReceivingAccount
from payments.transfers import matching
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.rules import Verdict

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
SELECT r.id, r.number, o.id, o.number, o.amount_fen
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
ORDER BY o.id FOR UPDATE OF o, r
"""


class TakenBack(Refusal):
    """The bank has taken money of a line back, in whole or in part."""

    message = "银行已冲正这笔来账，钱已不在账户上，不能再退回"


class Pair(NamedTuple):
    reversal_id: int
    reversal: str
    original_id: int
    original: str
    fen: int


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
        ledger.post([_draft(account.account_no, pair) for pair in pairs], at=at)
    return len(pairs)


def _undo(pairs: list[Pair], at: datetime) -> None:
    """What the originals paid is not paid: payments first, then orders, as they are locked."""
    originals = [pair.original_id for pair in pairs]
    if txns := matching.live_txns(originals):
        Allocation.objects.filter(line__in=originals, undone_at=None).update(undone_at=at)
        cashier.reverse(channel_txns=txns, method=matching.METHOD, actor="", at=at)


def _mark(pairs: list[Pair], at: datetime) -> None:
    originals = [pair.original_id for pair in pairs]
    reversals = [pair.reversal_id for pair in pairs]
    matching.record_first(originals, "REVERSED", at=at)
    StatementLine.objects.filter(pk__in=originals).update(
        verdict=Verdict.REVERSED,
        rule="R",
        reasons=["银行已冲正这笔来账，核销已自动撤销"],
        allocated_fen=0,
        returned_fen=F("amount_fen"),
        decided_at=at,
        decided_by="",
    )
    StatementLine.objects.filter(pk__in=reversals).update(
        verdict=Verdict.REVERSED,
        reasons=["冲正了已有的来账，原来账的核销已自动撤销"],
        decided_at=at,
        decided_by="",
    )
    matching.recount([*originals, *reversals])


def _draft(account_no: str, pair: Pair) -> Draft:
    """The bank's own booking has gone elsewhere when it came in: it was this money."""
    return Draft(
        kind="REVERSAL",
        reference=pair.reversal,
        debits={f"suspense:{account_no}": pair.fen},
        credits={f"elsewhere:{account_no}": pair.fen},
    )
