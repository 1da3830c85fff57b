"""The payee's bank sends back (退汇) what ours had paid: it is owed, or in suspense, again.

Where it kept something of it, the shop bears that (`fee:`): who is owed is owed the whole.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from config.kit.errors import NotFound, Refusal
from config.kit.money import yuan
from config.kit.states import move
from payments.cashier import refunds
from payments.cashier.models import Refund
from payments.cashier.rules import RefundStatus
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.transfers import matching, queries, returns, screening
from payments.transfers.decisions import lock, settle, suspense
from payments.transfers.models import Allocation, LineReturn, StatementLine
from payments.transfers.rules import RETURN_TRANSITIONS, ReturnStatus, Verdict
from payments.wallet import withdrawals
from payments.wallet.models import Withdrawal
from payments.wallet.rules import WithdrawalStatus


class NotABounce(Refusal):
    message = "这一行不是等待处理的退汇"


class NotThisPayout(Refusal):
    """The message says why."""

    message = "退汇的不是这笔退款"


@transaction.atomic
def link(
    *,
    line: StatementLine,
    payout: str,
    returned: QuerySet[LineReturn],
    refunded: QuerySet[Refund],
    withdrawn: QuerySet[Withdrawal],
    reason: str,
    actor: str,
    at: datetime,
    fee_fen: int = 0,
) -> StatementLine:
    """A person says which return (T…), refund (R…) or withdrawal (W…) a credit is that came back.

    `fee_fen`: by how much it is less than what was paid, which a bank has kept; to be said to the
    fen.  `returned` and so on are those the person may see; others raise NotFound.  Raises
    NotABounce, NotThisPayout, DecidedMeanwhile, and StaleState where it was said already.
    """
    if not queries.is_waiting_bounce(line):
        raise NotABounce
    facts: dict[str, object] = {"payout": payout, "reason": reason}
    if fee_fen:
        facts["fee_fen"] = fee_fen
    if back := returned.select_related("line").filter(number=payout).first():
        _of_a_return(line, back, facts, actor, at, fee_fen=fee_fen)
    elif refund := refunded.select_related("payment").filter(number=payout).first():
        _of_a_refund(line, refund, facts, actor, at, fee_fen=fee_fen)
    elif out := withdrawn.filter(number=payout).first():
        _of_a_withdrawal(line, out, facts, actor, at, fee_fen=fee_fen)
    else:
        raise NotFound("没有这笔退款、退回或提现")
    line.refresh_from_db()
    return line


def _of_a_return(
    line: StatementLine,
    back: LineReturn,
    facts: dict[str, object],
    actor: str,
    at: datetime,
    *,
    fee_fen: int,
) -> None:
    """Both lines are of one suspense account: what leaves the one is in the other."""
    rows = {one.pk: one for one in (line, back.line)}
    held = {pk: lock(rows[pk], seen=list(Verdict), at=at) for pk in sorted(rows)}
    row, origin = held[line.pk], held[back.line_id]
    is_here = origin.receiving_account_id == row.receiving_account_id
    is_done = back.status == ReturnStatus.DONE
    payees = {origin.payer_account}
    _refuse(row, back, fee_fen, payees, is_done=is_done, is_here=is_here)
    kept = f"，银行扣费 {yuan(fee_fen)} 元" if fee_fen else ""
    why = f"收款银行退汇，款项已退回本店账户{kept}"
    done = LineReturn.objects.filter(pk=back.pk, status=ReturnStatus.DONE)
    move(done, ReturnStatus.FAILED, RETURN_TRANSITIONS, failure=why)
    _use_up(row, f"退回 {back.number} 被退汇{kept}", facts, actor, at)
    _bear(row, fee_fen, at)
    settle(
        origin,
        actor=actor,
        at=at,
        returned_fen=origin.returned_fen - back.amount_fen,
        reasons=[f"退回 {yuan(back.amount_fen)} 元被收款银行退汇{kept}，待重新处理"],
    )
    returns.let_go(
        origin,
        "RETURN_BOUNCED",
        actor,
        at,
        **{"return": back.number, "amount_fen": back.amount_fen, "line": row.number},
        # The whole of it is decided anew: what was set aside waits beside what came back.
        **({"reopened_fen": origin.set_aside_fen} if origin.set_aside_fen else {}),
    )
    matching.recount([row.pk])


def _bear(row: StatementLine, fee_fen: int, at: datetime) -> None:
    """What the bank kept is in suspense again, with the rest of the return, at the shop's cost."""
    if not fee_fen:
        return
    debits, credits = {_fee(row): fee_fen}, {suspense(row): fee_fen}
    draft = Draft(kind="BOUNCE_FEE", reference=row.number, debits=debits, credits=credits)
    ledger.post([draft], at=at)


def _fee(row: StatementLine) -> str:
    return f"fee:{row.receiving_account.account_no}"


def _sources(row: StatementLine, fee_fen: int) -> dict[str, int]:
    """The accounts that have what came back, with what a bank kept of it as an expense."""
    return {suspense(row): row.amount_fen} | ({_fee(row): fee_fen} if fee_fen else {})


def _of_a_refund(
    line: StatementLine,
    refund: Refund,
    facts: dict[str, object],
    actor: str,
    at: datetime,
    *,
    fee_fen: int,
) -> None:
    row = lock(line, seen=list(Verdict), at=at)
    given = Allocation.objects.filter(payment=refund.payment_id).select_related("line")
    lines = [one.line for one in given]
    is_here = any(one.receiving_account_id == row.receiving_account_id for one in lines)
    # What went to a wallet never left the house.
    is_done = refund.status == RefundStatus.DONE and refund.channel_txn != refund.number
    payees = {one.payer_account for one in lines}
    _refuse(row, refund, fee_fen, payees, is_done=is_done, is_here=is_here)
    kept = f"，银行扣费 {yuan(fee_fen)} 元" if fee_fen else ""
    _use_up(row, f"退款 {refund.number} 被退汇{kept}", facts, actor, at)
    sources = _sources(row, fee_fen)
    refunds.bounced(refund=refund, sources=sources, reference=row.number, actor=actor, at=at)
    matching.recount([row.pk])


def _of_a_withdrawal(
    line: StatementLine,
    out: Withdrawal,
    facts: dict[str, object],
    actor: str,
    at: datetime,
    *,
    fee_fen: int,
) -> None:
    """It is in its owner's wallet again."""
    row = lock(line, seen=list(Verdict), at=at)
    is_here = out.paid_from == row.receiving_account.account_no
    is_done = out.status == WithdrawalStatus.DONE
    payees = {out.account_no}
    _refuse(row, out, fee_fen, payees, is_done=is_done, is_here=is_here)
    kept = f"，银行扣费 {yuan(fee_fen)} 元" if fee_fen else ""
    _use_up(row, f"提现 {out.number} 被退汇{kept}", facts, actor, at)
    withdrawals.bounced(withdrawal=out, sources=_sources(row, fee_fen), at=at)
    matching.recount([row.pk])


def _refuse(
    row: StatementLine,
    paid: LineReturn | Refund | Withdrawal,
    fee_fen: int,
    payees: set[str],
    *,
    is_done: bool,
    is_here: bool,
) -> None:
    """NotThisPayout unless it came back whole, or less just the fee, and number or payee say so."""
    fen = paid.amount_fen
    is_named = paid.number in screening.named_payouts([row.remark, *row.texts])
    short = fen - row.amount_fen
    compared = f"付出 {yuan(fen)} 元，退回 {yuan(row.amount_fen)} 元"
    reasons = {
        "它还没有退出，或已记为退汇": not is_done,
        "不是同一个收款账户": not is_here,
        f"{compared}，多出 {yuan(-short)} 元": short < 0,
        "文字里没有它的单号，对方账号也不是它的收款账号": not (
            is_named or (row.payer_account and row.payer_account in payees)
        ),
        f"{compared}，少的 {yuan(short)} 元超过退回的金额，不会是银行扣费": short > row.amount_fen,
        f"{compared}，没有扣费": not short and fee_fen > 0,
        f"{compared}，少 {yuan(short)} 元；确认是银行扣的，请把银行扣费填为 {yuan(short)}": (
            short != fee_fen
        ),
    }
    if why := next((why for why, is_so in reasons.items() if is_so), ""):
        said = why if why.startswith(compared) else f"退汇的不是这笔退款：{why}"
        raise NotThisPayout(said, short_fen=max(short, 0))


def _use_up(
    row: StatementLine, why: str, facts: dict[str, object], actor: str, at: datetime
) -> None:
    """The line itself waits for nothing any more."""
    matching.record_first([row.pk], "BOUNCED", at=at, actor=actor, facts=facts)
    settle(
        row,
        actor=actor,
        at=at,
        to=Verdict.REVERSED,
        returned_fen=row.amount_fen,
        reasons=[why],
        candidates=[],
    )
