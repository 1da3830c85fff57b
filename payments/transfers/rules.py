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
    ReturnStatus.DONE: frozenset[ReturnStatus](),
    ReturnStatus.FAILED: frozenset[ReturnStatus](),
    ReturnStatus.DECLINED: frozenset[ReturnStatus](),
}

# The verdicts that wait for a person.
OPEN = (Verdict.SUGGESTED, Verdict.UNMATCHED, Verdict.CONFLICT)
_BY_A_PERSON = frozenset({Verdict.MATCHED, Verdict.RETURNING, Verdict.IGNORED})
LINE_TRANSITIONS = {
    Verdict.SUGGESTED: _BY_A_PERSON | {Verdict.CONFLICT, Verdict.REVERSED},
    Verdict.UNMATCHED: _BY_A_PERSON | {Verdict.CONFLICT, Verdict.REVERSED},
    Verdict.CONFLICT: _BY_A_PERSON | {Verdict.REVERSED},
    Verdict.MATCHED: frozenset({Verdict.UNMATCHED, Verdict.REVERSED}),
    Verdict.IGNORED: frozenset({Verdict.UNMATCHED, Verdict.REVERSED}),
    Verdict.RETURNING: frozenset({Verdict.RETURNED, Verdict.UNMATCHED}),
    Verdict.RETURNED: frozenset[Verdict](),
    Verdict.REVERSED: frozenset[Verdict](),  # the bank has taken it back
}
