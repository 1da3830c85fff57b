"""What a person does with a line that the ladder left over, or got wrong."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from config.kit import numbers
from config.kit.errors import NotFound, Refusal, StaleState
from config.kit.jobs import later
from config.kit.outside import assert_no_transaction
from config.kit.states import move, sources
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.rules import Arrival
from payments.channels import transfer
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import matching
from payments.transfers.models import Allocation, LineReturn, StatementLine
from payments.transfers.rules import (
    LINE_TRANSITIONS,
    RETURN_TRANSITIONS,
    ReturnStatus,
    Verdict,
)


class NotPosted(Refusal):
    message = "这一行没有作为来账记账，不能核销或退回"


class NotFullyAssigned(Refusal):
    message = "分配金额之和必须等于来账金额；多出的部分请分给一张支付单，将转为应退款"


class PaymentTwice(Refusal):
    status = 400
    message = "同一张支付单出现了两次"


class PaymentOfAnotherMerchant(Refusal):
    message = "该支付单不属于这个收款账户的商家"


class PayerUnknown(Refusal):
    message = "银行没有给出完整的付款账号，无法原路退回"


class ReturnNotPossible(Refusal):
    message = "该收款账户没有银行接口，无法线上退回"


@transaction.atomic
def assign(
    *,
    line: StatementLine,
    shares: Mapping[str, int],
    payments: QuerySet[Payment],
    actor: str,
    at: datetime,
) -> StatementLine:
    """A person says which payments a line pays, in fen by payment number; all of it.

    `payments` are those the person may see; others raise NotFound.  More than is outstanding,
    or money for a closed payment, is owed back to the buyer by the cashier.
    """
    if sum(shares.values()) != line.amount_fen:
        raise NotFullyAssigned(amount_fen=line.amount_fen, assigned_fen=sum(shares.values()))
    found = _payable_by(line, shares, payments)
    _move(
        line,
        Verdict.MATCHED,
        actor,
        at,
        rule="手工",
        reasons=["人工核销"],
        candidates=[],
        allocated_fen=line.amount_fen,
    )
    made = Allocation.objects.filter(line=line).count()
    arrivals = [
        Arrival(
            found[number].pk,
            line.number if made + i == 0 else f"{line.number}-{made + i + 1}",
            fen,
            _suspense(line),
        )
        for i, (number, fen) in enumerate(shares.items())
    ]
    matching.allocate(line, arrivals, at)
    _leave_trace(line, "MATCHED", actor, at, payments=dict(shares))
    return line


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
    return found


@transaction.atomic
def undo(*, line: StatementLine, actor: str, at: datetime) -> StatementLine:
    """A wrong match is taken back by compensating entries; what was ignored waits again.

    Raises TooLateToUndo, or the payable's refusal, when goods or money have gone on.
    """
    if line.verdict == Verdict.IGNORED and not line.is_posted:
        raise NotPosted
    if line.verdict not in {Verdict.MATCHED, Verdict.IGNORED}:
        raise StaleState
    was = line.verdict
    reasons = ["人工撤销，待重新处理"]
    _move(line, Verdict.UNMATCHED, actor, at, rule="", reasons=reasons, allocated_fen=0)
    if was == Verdict.MATCHED:
        live = Allocation.objects.filter(line=line, undone_at=None)
        txns = list(live.order_by("pk").values_list("channel_txn", flat=True))
        live.update(undone_at=at)
        cashier.take_back(channel_txns=txns, method=matching.METHOD, actor=actor, at=at)
    _leave_trace(line, "UNDONE", actor, at, was=was)
    return line


@transaction.atomic
def ignore(*, line: StatementLine, reason: str, actor: str, at: datetime) -> StatementLine:
    """Not a buyer's money.  What was posted stays in suspense: nothing becomes income here."""
    _move(line, Verdict.IGNORED, actor, at, rule="手工", reasons=[reason], candidates=[])
    _leave_trace(line, "IGNORED", actor, at, reason=reason)
    return line


# --- back to the payer --------------------------------------------------------------------------


@transaction.atomic
def give_back(*, line: StatementLine, actor: str, at: datetime) -> StatementLine:
    """Return a line to the very account it came from; the bank is asked after the commit."""
    if not line.payer_account or "*" in line.payer_account:
        raise PayerUnknown
    if not line.receiving_account.provider:
        raise ReturnNotPossible
    _move(line, Verdict.RETURNING, actor, at, reasons=["人工退回，等待银行处理"], candidates=[])
    LineReturn.objects.create(
        number=numbers.fresh("T"),
        line=line,
        amount_fen=line.amount_fen,
        status=ReturnStatus.SENDING,
        asked_by=actor,
        asked_at=at,
        sent_at=at,
    )
    _leave_trace(line, "RETURNING", actor, at)
    later("payments.transfers.tasks.send_return", line_id=line.pk)
    return line


def send_return(*, line: StatementLine, at: datetime) -> None:
    """Ask the bank to pay a line back.  Not atomic on purpose: the network lies in between.

    The return's number is the bank's idempotency key: asking again is safe, and an answer that
    never came leaves the line RETURNING for the sweep.
    """
    assert_no_transaction()
    account = line.receiving_account
    asked = line.returns.get(status=ReturnStatus.SENDING)
    try:
        sent = transfer.bank(account.provider).pay_out(
            out_no=asked.number,
            account_no=account.account_no,
            to_account=line.payer_account,
            to_name=line.payer_name,
            amount_fen=line.amount_fen,
            remark=f"退回 {line.number}",
        )
    except transfer.BankUnknown:
        return
    except transfer.BankRefused as refused:
        _not_returned(line, str(refused), at)
        return
    if sent.status == "DONE":
        _returned(line, sent.serial, at)


def _under_way(line: StatementLine) -> QuerySet[LineReturn]:
    return line.returns.filter(status=ReturnStatus.SENDING)


@transaction.atomic
def _returned(line: StatementLine, serial: str, at: datetime) -> None:
    account_no = line.receiving_account.account_no
    done = {"serial": serial, "done_at": at}
    move(_under_way(line), ReturnStatus.DONE, RETURN_TRANSITIONS, **done)
    returned = {"returned_fen": line.amount_fen, "reasons": ["已原路退回"]}
    _move(line, Verdict.RETURNED, line.decided_by, at, **returned)
    ledger.post(
        [
            Draft(
                kind="RETURN",
                reference=line.number,
                debits={_suspense(line): line.amount_fen},
                credits={f"bank:{account_no}": line.amount_fen},
            )
        ],
        at=at,
    )
    _leave_trace(line, "RETURNED", "", at, serial=serial)


@transaction.atomic
def _not_returned(line: StatementLine, why: str, at: datetime) -> None:
    move(_under_way(line), ReturnStatus.FAILED, RETURN_TRANSITIONS, failure=why[:200])
    _move(line, Verdict.UNMATCHED, "", at, reasons=[f"银行拒绝退回：{why[:200]}"])
    _leave_trace(line, "RETURN_FAILED", "", at, why=why[:200])


# --- the common part ----------------------------------------------------------------------------


def _suspense(line: StatementLine) -> str:
    return f"suspense:{line.receiving_account.account_no}"


def _move(line: StatementLine, to: Verdict, actor: str, at: datetime, **changes: Any) -> None:
    """Compare-and-set along LINE_TRANSITIONS; StaleState when another person was first."""
    if to != Verdict.IGNORED and not line.is_posted:
        raise NotPosted
    row = StatementLine.objects.filter(pk=line.pk, verdict__in=sources(to, LINE_TRANSITIONS))
    # The row as the caller saw it: a line that was judged anew meanwhile is another question.
    changed = row.filter(verdict=line.verdict).update(
        verdict=to, decided_at=at, decided_by=actor, **changes
    )
    if changed != 1:
        raise StaleState
    line.refresh_from_db()


def _leave_trace(line: StatementLine, kind: str, actor: str, at: datetime, **facts: Any) -> None:
    matching.record([line.pk], kind, at=at, actor=actor, facts=facts)
    matching.recount([line.pk])
