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
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import confirming, evidence, matching, queries, reversals
from payments.transfers.decisions import (
    DecidedMeanwhile,
    NotPosted,
    leave_trace,
    lock,
    settle,
    suspense,
)
from payments.transfers.ladder.facts import NO_TERMS
from payments.transfers.models import Allocation, LineEvent, StatementLine
from payments.transfers.rules import OPEN, Verdict

__all__ = ["DecidedMeanwhile", "NotPosted", "assign", "ignore", "take_in", "undo"]


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


class NotToBeTakenIn(Refusal):
    message = "这一行不能作为来账处理"


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

    What was only taken in (`take_in`) is left out again, as it was before.
    What was returned stays returned.  Raises TooLateToUndo, or the payable's refusal, when goods
    or money have gone on; AlreadyReturned, NothingToUndo.
    """
    if not line.is_posted:
        raise NotPosted
    row = lock(line, seen=list(Verdict), at=at)
    if queries.is_taken_in(row):
        _take_out(row, actor, at)
    elif row.verdict == Verdict.IGNORED:  # with which what was set aside is in suspense again
        settle(row, actor=actor, at=at, rule="", reasons=["人工撤销，待重新处理"])
    else:
        take_back(row, actor, at)
    aside = {"amount_fen": row.set_aside_fen} if row.set_aside_fen else {}
    leave_trace(line, "UNDONE", actor, at, was=row.verdict, **aside)
    return line


def take_back(row: StatementLine, actor: str, at: datetime) -> None:
    """What a locked line has paid, by compensating entries; see `undo` for what is raised."""
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
    """What is left is not a buyer's money.  It leaves suspense for an account of its own.

    Nothing becomes income with that.  What the line has paid or given back stays so.
    """
    row = lock(line, seen=OPEN, at=at)
    left = queries.left_fen(row)
    settle(
        row,
        actor=actor,
        at=at,
        to=Verdict.IGNORED,
        rule="手工",
        reasons=[reason],
        candidates=[],
    )
    if held_as := row.facts.get("held_as"):
        _confirm(row, held_as, at)
    leave_trace(line, "IGNORED", actor, at, reason=reason, **({"amount_fen": left} if left else {}))
    return line


def _confirm(row: StatementLine, held_as: str, at: datetime) -> None:
    """The same booking under another name: its statement confirms what the bank had pushed."""
    if row.statement is not None:
        held = StatementLine.objects.get(number=held_as)
        confirming.confirm(
            statement=row.statement.number, lines=[(held.pk, row.balance_fen)], at=at
        )


# --- what T0 had left out -----------------------------------------------------------------------


@transaction.atomic
def take_in(*, line: StatementLine, actor: str, at: datetime) -> StatementLine:
    """A line that T0 left out of suspense is a buyer's money, or new, after all.

    Money in goes into suspense and waits to be matched; money out that seemed to be known already
    is booked as any other.  Raises NotToBeTakenIn, DecidedMeanwhile.
    """
    row = lock(line, seen=[Verdict.IGNORED, Verdict.CONFLICT], at=at)
    if not queries.may_be_taken_in(row):
        raise NotToBeTakenIn
    judged = {"verdict": row.verdict, "rule": row.rule, "version": row.rule_version}
    was = {"judged": {**judged, "reasons": row.reasons}, "elsewhere": row.is_elsewhere}
    if row.amount_fen > 0:
        settle(
            row,
            actor=actor,
            at=at,
            rule=queries.TAKEN_IN,
            reasons=["由人工作为来账处理"],
            is_posted=True,
            is_elsewhere=False,
        )
    else:
        _book_money_out(row, actor, at)
    before = _elsewhere(row) if row.is_elsewhere else _bank(row)
    after = suspense(row) if row.amount_fen > 0 else _elsewhere(row)
    _post(row, "TAKEN_IN", before, after, at)
    leave_trace(line, "TAKEN_IN", actor, at, **was)
    if row.is_reversal:
        reversals.settle(account=row.receiving_account, at=at)
        line.refresh_from_db()
    return line


def _book_money_out(row: StatementLine, actor: str, at: datetime) -> None:
    """As screening books it: a reversal then finds its original, or waits for a person."""
    is_reversal = row.is_reversal
    StatementLine.objects.filter(pk=row.pk).update(
        verdict=Verdict.CONFLICT if is_reversal else Verdict.IGNORED,
        rule="R" if is_reversal else "手工",
        reasons=["冲正或退汇，需人工处理" if is_reversal else "支出，由人工确认是新的一笔"],
        is_elsewhere=True,
        facts={},
        decided_at=at,
        decided_by=actor,
    )


def _take_out(row: StatementLine, actor: str, at: datetime) -> None:
    """Back to where it was before it was taken in."""
    taken = LineEvent.objects.filter(line=row, kind="TAKEN_IN").latest("pk").facts
    was, is_elsewhere = taken["judged"], taken["elsewhere"]
    settle(
        row,
        actor=actor,
        at=at,
        to=Verdict(was["verdict"]),
        rule=was["rule"],
        reasons=["人工撤销，不再作为来账处理", *was["reasons"]],
        is_posted=False,
        is_elsewhere=is_elsewhere,
    )
    _post(row, "TAKEN_OUT", suspense(row), _elsewhere(row) if is_elsewhere else _bank(row), at)


def _post(row: StatementLine, kind: str, debit: str, credit: str, at: datetime) -> None:
    """One leg each; money out moves the other way.  A line may be taken in more than once."""
    times = LineEvent.objects.filter(line=row, kind="TAKEN_IN").count()
    turn = times + 1 if kind == "TAKEN_IN" else times
    fen = abs(row.amount_fen)
    if row.amount_fen < 0:
        debit, credit = credit, debit
    reference = row.number if turn == 1 else f"{row.number}-{turn}"
    draft = Draft(kind=kind, reference=reference, debits={debit: fen}, credits={credit: fen})
    ledger.post([draft], at=at)


def _bank(row: StatementLine) -> str:
    return f"bank:{row.receiving_account.account_no}"


def _elsewhere(row: StatementLine) -> str:
    return f"elsewhere:{row.receiving_account.account_no}"
