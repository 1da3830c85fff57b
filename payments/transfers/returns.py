"""Money of a line on its way back to the very account it came from, and to no other."""

from datetime import datetime

from django.db import transaction
from django.db.models.functions import Coalesce

from config.kit import numbers
from config.kit.errors import Refusal
from config.kit.jobs import later
from config.kit.money import yuan
from config.kit.outside import assert_no_transaction
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.channels import transfer
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import matching, queries, reversals
from payments.transfers.decisions import (
    NotPosted,
    decided_meanwhile,
    leave_trace,
    lock,
    settle,
    suspense,
)
from payments.transfers.desk import MoreThanLeft
from payments.transfers.models import LineReturn, StatementLine
from payments.transfers.models_by_hand import ByHand
from payments.transfers.remarks import is_whole_account
from payments.transfers.rules import OPEN, RETURN_TRANSITIONS, UNDER_WAY, ReturnStatus, Verdict


class PayerUnknown(Refusal):
    message = "银行没有给出完整的付款账号，无法原路退回"


class ReturnNotPossible(Refusal):
    message = "该收款账户没有银行接口，无法线上退回"


class CheckedElsewhere(Refusal):
    message = "这笔退回登记为已在网银退款，请在“网银退款”里复核"


class ReturnUnderWay(Refusal):
    message = "这笔来账已有一笔退回在处理中，完成后才能再退"


@transaction.atomic
def give_back(
    *,
    line: StatementLine,
    actor: str,
    at: datetime,
    amount_fen: int | None = None,
    reason: str = "",
) -> LineReturn:
    """Return a line, or so many fen (> 0) of it; None: all that is left.

    What a line returns in all, if above Policy.check_above_fen, waits for a second person
    (`check`); else the bank is asked after the commit.  Raises PayerUnknown, ReturnNotPossible,
    ReturnUnderWay, TakenBack, MoreThanLeft, DecidedMeanwhile.
    """
    _require_a_way_back(line)
    if line.verdict == Verdict.RETURNING and line.returns.filter(status__in=UNDER_WAY).exists():
        raise ReturnUnderWay
    row = lock(line, seen=OPEN, at=at)
    reversals.refuse_taken_back(row)
    left = queries.left_fen(row)
    fen = left if amount_fen is None else amount_fen
    if not 0 < fen <= left:
        raise MoreThanLeft(left_fen=left, asked_fen=fen)
    is_checked = row.returned_fen + fen > queries.check_above_fen(row.receiving_account.merchant)
    asked = LineReturn.objects.create(
        number=numbers.fresh("T"),
        line=row,
        amount_fen=fen,
        status=ReturnStatus.ASKED if is_checked else ReturnStatus.SENDING,
        reason=reason[:200],
        asked_by=actor,
        asked_at=at,
        sent_at=None if is_checked else at,
    )
    if is_checked:
        wait(row, actor, at, f"退回 {yuan(fen)} 元，等待另一人复核")
        leave_trace(line, "RETURN_ASKED", actor, at, **facts_of(asked))
    else:
        wait(row, actor, at, f"退回 {yuan(fen)} 元，等待银行处理")
        leave_trace(line, "RETURNING", actor, at, **facts_of(asked))
        later("payments.transfers.tasks.send_return", return_id=asked.pk)
    return asked


def _require_a_way_back(line: StatementLine) -> None:
    if not line.is_posted:
        raise NotPosted
    if not is_whole_account(line.payer_account):
        raise PayerUnknown
    if not line.receiving_account.provider:
        raise ReturnNotPossible


def wait(row: StatementLine, actor: str, at: datetime, why: str) -> None:
    settle(row, actor=actor, at=at, reasons=[why], candidates=[])


def facts_of(asked: LineReturn) -> dict[str, object]:
    reason = {"reason": asked.reason} if asked.reason else {}
    return {"return": asked.number, "amount_fen": asked.amount_fen, **reason}


@transaction.atomic
def check(
    *, asked: LineReturn, approve: bool, actor: str, at: datetime, reason: str = ""
) -> LineReturn:
    """A second person approves a return, or declines it: then the line waits again.

    Raises SecondPersonNeeded for the one who asked; DecidedMeanwhile when it was checked already;
    TakenBack where there is nothing left to approve.
    """
    if actor == asked.asked_by:
        raise SecondPersonNeeded
    if ByHand.objects.filter(line_return=asked).exists():
        raise CheckedElsewhere
    row = _locked(asked)
    found = LineReturn.objects.filter(pk=asked.pk)
    if not found.filter(status=ReturnStatus.ASKED).exists():
        raise decided_meanwhile(row, at)
    fen = yuan(asked.amount_fen)
    if approve:
        reversals.refuse_taken_back(row)
        said = {"checked_by": actor, "sent_at": at}
        move(found, ReturnStatus.SENDING, RETURN_TRANSITIONS, **said)
        wait(row, actor, at, f"退回 {fen} 元已复核，等待银行处理")
        leave_trace(row, "RETURNING", actor, at, **facts_of(asked))
        later("payments.transfers.tasks.send_return", return_id=asked.pk)
    else:
        decline(row, asked, reason=reason, actor=actor, at=at)
    asked.refresh_from_db()
    return asked


def decline(
    row: StatementLine, asked: LineReturn, *, reason: str, actor: str, at: datetime
) -> None:
    """A second person says no: the locked line waits again."""
    found = LineReturn.objects.filter(pk=asked.pk)
    said = {"checked_by": actor, "failure": reason[:200], "done_at": at}
    move(found, ReturnStatus.DECLINED, RETURN_TRANSITIONS, **said)
    why = f"：{reason}" if reason else ""
    wait(row, actor, at, f"退回 {yuan(asked.amount_fen)} 元复核未通过{why}")
    let_go(row, "RETURN_DECLINED", actor, at, **facts_of(asked) | {"why": reason[:200]})


def let_go(row: StatementLine, kind: str, actor: str, at: datetime, **facts: object) -> None:
    """The line is free again: a reversal that waited for it finds it now."""
    matching.record([row.pk], kind, at=at, actor=actor, facts=facts | matching.first_verdict(row))
    reversals.settle(account=row.receiving_account, at=at)
    matching.recount([row.pk])
    row.refresh_from_db()


def _locked(asked: LineReturn) -> StatementLine:
    """The line first, then its return: the order in which everybody takes them."""
    lines = StatementLine.objects.select_for_update(of=("self",))
    return lines.select_related("receiving_account").get(pk=asked.line_id)


@transaction.atomic
def take_turns(*, before: datetime, at: datetime, limit: int = 50) -> list[int]:
    """Returns sent before a time and without an answer, whose turn it is to be asked about.

    Who has waited longest for it comes first, and goes to the end: however many never get an
    answer, all others get their turn.  Two sweeps at once take different ones.
    """
    sending = LineReturn.objects.filter(status=ReturnStatus.SENDING, sent_at__lt=before)
    waiting = sending.order_by(Coalesce("chased_at", "sent_at"), "pk")
    free = waiting.select_for_update(skip_locked=True, no_key=True)
    ids = list(free.values_list("pk", flat=True)[:limit])
    LineReturn.objects.filter(pk__in=ids).update(chased_at=at)
    return ids


# --- the bank -----------------------------------------------------------------------------------


def send(*, asked: LineReturn, at: datetime) -> None:
    """Ask the bank to pay a return.  Not atomic on purpose: the network lies in between.

    The return's number is the bank's idempotency key, one per attempt: asking again is safe, and
    an answer that never came leaves it SENDING for the sweep.  Money that the bank has taken back
    meanwhile is not sent: then the bank is only asked whether it has paid already.
    """
    assert_no_transaction()
    line = asked.line
    account = line.receiving_account
    bank = transfer.bank(account.provider)
    gone = _taken_back(asked)
    try:
        sent = (
            bank.payout(asked.number)
            if gone
            else bank.pay_out(
                out_no=asked.number,
                account_no=account.account_no,
                to_account=line.payer_account,
                to_name=line.payer_name,
                amount_fen=asked.amount_fen,
                remark=f"退回 {asked.number}",
            )
        )
    except transfer.BankUnknown:
        return
    except transfer.BankRefused as refused:
        if gone:
            return  # refuses to tell: that proves nothing
        _not_returned(asked, f"银行拒绝退回：{refused}"[:200], at)
        return
    if sent is None:
        _not_returned(asked, gone, at)
    elif sent.status == "DONE":
        returned(asked, sent.serial, at)


@transaction.atomic
def _taken_back(asked: LineReturn) -> str:
    """Why the money cannot be sent any more; looked at under the line's lock."""
    try:
        reversals.refuse_taken_back(_locked(asked))
    except reversals.TakenBack as taken:
        return str(taken)
    return ""


@transaction.atomic
def returned(asked: LineReturn, serial: str, at: datetime, *, left_from: str = "") -> None:
    """It has left as the bank's booking `serial`; `left_from`: which account of the ledger."""
    fen = asked.amount_fen
    left_from = left_from or queries.left_from(asked.line.receiving_account, serial, fen)
    row = _locked(asked)
    found = LineReturn.objects.filter(pk=asked.pk)
    move(found, ReturnStatus.DONE, RETURN_TRANSITIONS, serial=serial, done_at=at)
    left = queries.left_fen(row, 0) - fen
    settle(
        row,
        actor=row.decided_by,
        at=at,
        returned_fen=row.returned_fen + fen,
        reasons=[f"已原路退回 {yuan(fen)} 元", *([f"还剩 {yuan(left)} 元待处理"] if left else [])],
    )
    ledger.post(
        [
            Draft(
                kind="RETURN",
                reference=asked.number,
                debits={suspense(row): fen},
                credits={left_from: fen},
            )
        ],
        at=at,
    )
    leave_trace(row, "RETURNED", "", at, **facts_of(asked) | {"serial": serial})


@transaction.atomic
def _not_returned(asked: LineReturn, why: str, at: datetime) -> None:
    row = _locked(asked)
    found = LineReturn.objects.filter(pk=asked.pk, status=ReturnStatus.SENDING)  # not what is done
    move(found, ReturnStatus.FAILED, RETURN_TRANSITIONS, failure=why, done_at=at)
    wait(row, "", at, why)
    let_go(row, "RETURN_FAILED", "", at, **facts_of(asked) | {"why": why})
