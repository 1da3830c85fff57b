"""What a person decides about a line that the ladder left over, or got wrong."""

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from config.kit.errors import NotFound, Refusal
from config.kit.money import yuan
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Arrival
from payments.transfers import evidence, matching, queries
from payments.transfers.decisions import (
    DecidedMeanwhile,
    NotPosted,
    leave_trace,
    lock,
    settle,
    suspense,
)
from payments.transfers.ladder.facts import NO_TERMS
from payments.transfers.models import Allocation, StatementLine
from payments.transfers.rules import OPEN, Verdict

__all__ = ["DecidedMeanwhile", "NotPosted", "assign", "ignore", "undo"]


class MoreThanLeft(Refusal):
    message = "金额超过这笔来账剩余的可处理金额"


class PaymentTwice(Refusal):
    status = 400
    message = "同一张支付单出现了两次"


class AssignedAlready(Refusal):
    message = "这笔来账已经核销到该支付单；要改金额请先撤销"


class PaymentOfAnotherMerchant(Refusal):
    message = "该支付单不属于这个收款账户的商家"


class NothingToUndo(Refusal):
    message = "这一行没有可以撤销的核销"


class AlreadyReturned(Refusal):
    message = "已经退回的钱不能撤销"


@transaction.atomic
def assign(
    *,
    line: StatementLine,
    shares: Mapping[str, int],
    payments: QuerySet[Payment],
    actor: str,
    at: datetime,
) -> StatementLine:
    """A person says which payments a line pays, in fen > 0 by payment number; what is left waits.

    `payments` are those the person may see; others raise NotFound.  More than is outstanding,
    or money for a closed payment, is owed back to the buyer by the cashier.  Raises MoreThanLeft,
    AssignedAlready, DecidedMeanwhile.
    """
    if not line.is_posted:
        raise NotPosted
    row = lock(line, seen={*OPEN, Verdict.RETURNING}, at=at)
    given, left = sum(shares.values()), queries.left_fen(row)
    if given > left:
        raise MoreThanLeft(left_fen=left, assigned_fen=given)
    found = _payable_by(row, shares, payments)
    settle(
        row,
        actor=actor,
        at=at,
        allocated_fen=row.allocated_fen + given,
        rule="手工",
        reasons=["人工核销", *_rest(left - given)],
        candidates=[],
    )
    made = Allocation.objects.filter(line=row).count()
    arrivals = [
        Arrival(
            found[number].pk,
            row.number if made + i == 0 else f"{row.number}-{made + i + 1}",
            fen,
            suspense(row),
        )
        for i, (number, fen) in enumerate(shares.items())
    ]
    terms = evidence.terms({payment.merchant for payment in found.values()})
    reopens = {
        payment.merchant: terms.get(payment.merchant, terms.get("", NO_TERMS)).reopens_within_days
        for payment in found.values()
    }
    matching.allocate(row, arrivals, at, reopens)
    rest = {"left_fen": left - given} if left > given else {}
    leave_trace(line, "MATCHED", actor, at, payments=dict(shares), **rest)
    return line


def _rest(fen: int) -> list[str]:
    return [f"还剩 {yuan(fen)} 元待处理"] if fen else []


def _payable_by(
    line: StatementLine, shares: Mapping[str, int], payments: QuerySet[Payment]
) -> dict[str, Payment]:
    found = {
        row.number: row for row in payments.filter(number__in=list(shares), method=matching.METHOD)
    }
    if missing := sorted(set(shares) - set(found)):
        raise NotFound("支付单不存在", payments=missing)
    owner = line.receiving_account.merchant
    if owner and any(row.merchant != owner for row in found.values()):
        raise PaymentOfAnotherMerchant
    live = Allocation.objects.filter(line=line, payment__in=found.values(), undone_at=None)
    if again := sorted(live.values_list("payment__number", flat=True)):
        raise AssignedAlready(payments=again)
    return found


@transaction.atomic
def undo(*, line: StatementLine, actor: str, at: datetime) -> StatementLine:
    """Every live match of a line is taken back by compensating entries; what was ignored waits.

    What was returned stays returned.  Raises TooLateToUndo, or the payable's refusal, when goods
    or money have gone on; AlreadyReturned, NothingToUndo.
    """
    if not line.is_posted:
        raise NotPosted
    row = lock(line, seen=list(Verdict), at=at)
    if row.verdict == Verdict.IGNORED:
        settle(row, actor=actor, at=at, rule="", reasons=["人工撤销，待重新处理"])
    else:
        _take_back(row, actor, at)
    leave_trace(line, "UNDONE", actor, at, was=row.verdict)
    return line


def _take_back(row: StatementLine, actor: str, at: datetime) -> None:
    if not row.allocated_fen:
        raise AlreadyReturned if row.returned_fen else NothingToUndo
    settle(
        row,
        actor=actor,
        at=at,
        allocated_fen=0,
        rule="",
        reasons=["人工撤销，待重新处理"],
    )
    txns = matching.live_txns([row.pk])
    Allocation.objects.filter(line=row, undone_at=None).update(undone_at=at)
    cashier.take_back(channel_txns=txns, method=matching.METHOD, actor=actor, at=at)


@transaction.atomic
def ignore(*, line: StatementLine, reason: str, actor: str, at: datetime) -> StatementLine:
    """What is left is not a buyer's money.  It stays in suspense: nothing becomes income here."""
    row = lock(line, seen=OPEN, at=at)
    settle(
        row,
        actor=actor,
        at=at,
        to=Verdict.IGNORED,
        rule="手工",
        reasons=[reason],
        candidates=[],
    )
    leave_trace(line, "IGNORED", actor, at, reason=reason)
    return line
