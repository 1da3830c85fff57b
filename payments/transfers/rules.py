"""What becomes of a statement, of each of its lines and of money that is sent back.

Which payment a line pays is decided in `payments.transfers.ladder`.
"""

from django.db import models


class StatementStatus(models.TextChoices):
    RUNNING = "RUNNING", "导入中"
    DONE = "DONE", "已导入"
    REFUSED = "REFUSED", "已拒绝"


STATEMENT_TRANSITIONS = {
    StatementStatus.RUNNING: frozenset({StatementStatus.DONE, StatementStatus.REFUSED}),
    StatementStatus.DONE: frozenset[StatementStatus](),
    StatementStatus.REFUSED: frozenset[StatementStatus](),
}


class Verdict(models.TextChoices):
    MATCHED = "MATCHED", "已核销"
    SUGGESTED = "SUGGESTED", "待确认"
    UNMATCHED = "UNMATCHED", "挂账"
    CONFLICT = "CONFLICT", "有冲突"
    IGNORED = "IGNORED", "不处理"
    RETURNING = "RETURNING", "退回中"
    RETURNED = "RETURNED", "已退回"
    REVERSED = "REVERSED", "已冲正"


class ReturnStatus(models.TextChoices):
    ASKED = "ASKED", "待复核"
    SENDING = "SENDING", "退回中"
    DONE = "DONE", "已退回"
    FAILED = "FAILED", "退回失败"
    DECLINED = "DECLINED", "复核未通过"


RETURN_TRANSITIONS = {
    ReturnStatus.ASKED: frozenset({ReturnStatus.SENDING, ReturnStatus.DECLINED}),
    ReturnStatus.SENDING: frozenset({ReturnStatus.DONE, ReturnStatus.FAILED}),
    ReturnStatus.DONE: frozenset({ReturnStatus.FAILED}),  # the payee's bank sent it back (退汇)
    ReturnStatus.FAILED: frozenset[ReturnStatus](),
    ReturnStatus.DECLINED: frozenset[ReturnStatus](),
}


class HandStatus(models.TextChoices):
    """Of what a person says that he has paid back in net banking."""

    ASKED = "ASKED", "待复核"
    DONE = "DONE", "已确认"
    DECLINED = "DECLINED", "复核未通过"


HAND_TRANSITIONS = {
    HandStatus.ASKED: frozenset({HandStatus.DONE, HandStatus.DECLINED}),
    HandStatus.DONE: frozenset[HandStatus](),
    HandStatus.DECLINED: frozenset[HandStatus](),
}
UNDER_WAY = (ReturnStatus.ASKED, ReturnStatus.SENDING)

# The verdicts that wait for a person.
OPEN = (Verdict.SUGGESTED, Verdict.UNMATCHED, Verdict.CONFLICT)
# Money has left, or is leaving: no reversal undoes such a line.
GONE = (Verdict.RETURNING, Verdict.RETURNED, Verdict.REVERSED)
_BY_A_PERSON = frozenset(
    {Verdict.MATCHED, Verdict.RETURNING, Verdict.IGNORED, Verdict.UNMATCHED}  # UNMATCHED: in part
)
LINE_TRANSITIONS = {
    Verdict.SUGGESTED: _BY_A_PERSON | {Verdict.CONFLICT, Verdict.REVERSED},
    Verdict.UNMATCHED: _BY_A_PERSON | {Verdict.CONFLICT, Verdict.REVERSED},
    Verdict.CONFLICT: _BY_A_PERSON | {Verdict.REVERSED},
    Verdict.MATCHED: frozenset({Verdict.UNMATCHED, Verdict.REVERSED}),
    Verdict.IGNORED: frozenset({Verdict.UNMATCHED, Verdict.REVERSED}),
    Verdict.RETURNING: frozenset(
        {Verdict.RETURNING, Verdict.RETURNED, Verdict.MATCHED, Verdict.UNMATCHED}
    ),
    Verdict.RETURNED: frozenset({Verdict.UNMATCHED}),  # by what came back (退汇) alone
    Verdict.REVERSED: frozenset[Verdict](),  # the bank has taken it back
}


def standing(*, amount_fen: int, allocated_fen: int, returned_fen: int, under_way: bool) -> Verdict:
    """Where a posted line stands by its amounts, once a person has touched it.

    While a return is under way it is RETURNING, whatever else is left; what is left then waits.
    A line that is used up is MATCHED where any payment keeps part of it, else RETURNED.
    """
    if under_way:
        return Verdict.RETURNING
    if allocated_fen + returned_fen < amount_fen:
        return Verdict.UNMATCHED
    return Verdict.MATCHED if allocated_fen else Verdict.RETURNED
