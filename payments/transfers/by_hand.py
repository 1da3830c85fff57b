"""Money that a person has sent back in net banking, as a booking of the statement proves.

Two people, whatever the amount: one names the booking, another confirms it.  Nothing is taken on
anybody's word: the booking is in the statement, of the same account and amount, to the payer, and
proves one payout only.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from config.kit import numbers
from config.kit.errors import NotFound, Refusal, StaleState
from config.kit.money import yuan
from config.kit.states import move
from payments.cashier import by_hand as cashier
from payments.cashier.models import Refund, RefundPart
from payments.cashier.refunds import SecondPersonNeeded
from payments.transfers import matching, queries, returns, reversals, screening
from payments.transfers.decisions import NotPosted, leave_trace, lock
from payments.transfers.desk import MoreThanLeft
from payments.transfers.models import Allocation, LineReturn, StatementLine
from payments.transfers.models_by_hand import ByHand
from payments.transfers.remarks import is_whole_account, normal_name
from payments.transfers.rules import (
    HAND_TRANSITIONS,
    OPEN,
    RETURN_TRANSITIONS,
    UNDER_WAY,
    HandStatus,
    ReturnStatus,
    Verdict,
)


class NotThisBooking(Refusal):
    """The message says why."""

    message = "这笔付出不是这笔退款"


class BookingUsed(Refusal):
    message = "这笔付出已对应另一笔退款，一笔付出只能登记一次"


class NotInTheStatement(NotFound):
    message = "流水里没有这笔付出：请先上传付出当天的流水，再按银行流水号或来账编号登记"


class CheckedMeanwhile(StaleState):
    message = "这笔网银退款刚被另一人复核过，请刷新"


# --- one person says it -------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """What a person says: `payout` was paid as `booked`, in his words; and which lines he sees.

    `payout` is a return (T…) or a refund (R…) that had failed, or a line that waits; `booked` the
    bank's serial of the money out, or its line's number.
    """

    payout: str
    booked: str
    lines: QuerySet[StatementLine]
    reason: str
    actor: str
    at: datetime


@transaction.atomic
def enter(*, said: Said, returned: QuerySet[LineReturn], refunded: QuerySet[Refund]) -> ByHand:
    """Until another person checks it the money is on its way, and nobody else's.

    The querysets are what the person may see; others raise NotFound.  Raises NotInTheStatement,
    NotThisBooking, BookingUsed, NotFailed, and what a return raises.
    """
    if back := returned.filter(number=said.payout).first():
        if back.status != ReturnStatus.FAILED:
            raise cashier.NotFailed("只有“退回失败”的退回单能登记为已在网银退款")
        made = _of_a_line(said, back.line_id, back.amount_fen)
    elif refund := refunded.select_related("payment").filter(number=said.payout).first():
        made = _of_a_refund(said, refund)
    elif line := said.lines.filter(number=said.payout, amount_fen__gt=0).first():
        made = _of_a_line(said, line.pk, None)
    else:
        raise NotFound("没有这笔退款、退回或来账")
    facts = {"payout": made.payout, "reason": said.reason}
    matching.record_first([made.booking_id], "BY_HAND", at=said.at, actor=said.actor, facts=facts)
    return made


def _of_a_line(said: Said, line_id: int, fen: int | None) -> ByHand:
    """A return of its own, so that the money is nobody else's; `fen` None: all of the booking."""
    line = StatementLine.objects.select_related("receiving_account").get(pk=line_id)
    if not line.is_posted:
        raise NotPosted
    if line.returns.filter(status__in=UNDER_WAY).exists():
        raise returns.ReturnUnderWay
    booking = _found(said, {line.receiving_account_id})
    held = {one.pk: one for one in (booking, line)}
    locked = {pk: lock(held[pk], seen=list(Verdict), at=said.at) for pk in sorted(held)}
    row = locked[line.pk]
    if row.verdict not in OPEN:
        raise NotThisBooking("这笔来账没有等待处理的钱，不能登记退回")
    reversals.refuse_taken_back(row)
    fen = -booking.amount_fen if fen is None else fen
    _refuse(locked[booking.pk], said.payout, fen, [row])
    if fen > (left := queries.left_fen(row)):
        raise MoreThanLeft(left_fen=left, asked_fen=fen)
    asked = LineReturn.objects.create(
        number=numbers.fresh("T"),
        line=row,
        amount_fen=fen,
        status=ReturnStatus.ASKED,
        reason=said.reason[:200],
        asked_by=said.actor,
        asked_at=said.at,
    )
    returns.wait(row, said.actor, said.at, f"已在网银退回 {yuan(fen)} 元，等待另一人复核")
    facts = returns.facts_of(asked) | {"booking": booking.number}
    leave_trace(line, "RETURN_ASKED", said.actor, said.at, **facts)
    return _kept(said, booking, line_return=asked)


def _of_a_refund(said: Said, refund: Refund) -> ByHand:
    given = Allocation.objects.filter(payment=refund.payment_id).select_related("line")
    origins = [one.line for one in given]
    booking = _found(said, {one.receiving_account_id for one in origins})
    row = lock(booking, seen=list(Verdict), at=said.at)
    _refuse(row, refund.number, refund.amount_fen, origins)
    cashier.enter(refund=refund, txn=_proof(row), actor=said.actor, at=said.at)
    return _kept(said, row, refund=refund)


def _kept(said: Said, booking: StatementLine, **of: LineReturn | Refund) -> ByHand:
    return ByHand.objects.create(
        booking=booking, reason=said.reason[:200], asked_by=said.actor, asked_at=said.at, **of
    )


def _found(said: Said, account_ids: Collection[int]) -> StatementLine:
    of_accounts = said.lines.filter(receiving_account__in=account_ids)
    named = of_accounts.filter(Q(key=said.booked) | Q(number=said.booked.upper()))
    found = named.select_related("receiving_account", "statement")[:2]
    if not found:
        raise NotInTheStatement
    if len(found) > 1:
        raise NotThisBooking("不止一行流水有这个流水号，请填来账编号")
    return found[0]


def _refuse(row: StatementLine, payout: str, fen: int, origins: Collection[StatementLine]) -> None:
    """NotThisBooking, BookingUsed unless the locked booking may be this payout, to one who paid.

    A closed account's owner gets it elsewhere: then the name is his, to the letter.
    """
    accounts = {one.payer_account for one in origins if is_whole_account(one.payer_account)}
    names = {normal_name(one.payer_name) for one in origins} - {""}
    is_his = row.payer_account in accounts or normal_name(row.payer_name) in names
    reasons = {
        "它不是付出": row.amount_fen >= 0,
        "它不是人民币": row.currency != "CNY",
        "它是冲正": row.is_reversal,
        f"付出的金额是 {yuan(-row.amount_fen)} 元，须为 {yuan(fen)} 元": row.amount_fen != -fen,
        "它没有记账": not _stands(row, payout),
        "收款户名和账号都不是付款人的": not is_his,
    }
    if why := next((why for why, is_so in reasons.items() if is_so), ""):
        raise NotThisBooking(f"这笔付出不是这笔退款：{why}")
    if ByHand.objects.filter(booking=row).exclude(status=HandStatus.DECLINED).exists():
        raise BookingUsed
    _refuse_ours(row)


def _stands(row: StatementLine, payout: str) -> bool:
    """Whether it left the bank's account in our books with its line, or will with the payout.

    Where our number stood in its text it was taken for a payout that the bank had answered for.
    """
    if row.verdict != Verdict.IGNORED:
        return False
    if row.is_elsewhere:
        return True
    pays = row.statement is None or row.statement.pays
    is_ours = screening.OUR_PAYOUT in row.reasons
    return pays and is_ours and payout in screening.named_payouts([row.remark, *row.texts])


def _refuse_ours(row: StatementLine) -> None:
    """BookingUsed where it is a payout that the bank had made for us."""
    account = row.receiving_account
    parts = RefundPart.objects.filter(
        receipt__source=f"suspense:{account.account_no}", channel_txn=row.key
    )
    back = LineReturn.objects.filter(line__receiving_account=account, serial=row.key)
    if parts.exists() or back.exists():
        raise BookingUsed


# --- another confirms it ------------------------------------------------------------------------


@transaction.atomic
def check(*, asked: ByHand, approve: bool, actor: str, at: datetime, reason: str = "") -> None:
    """A second person says whether it is so; if not, the money is where it was before.

    Raises SecondPersonNeeded, CheckedMeanwhile; TakenBack, BookingUsed where it is to be declined.
    """
    if actor == asked.asked_by:
        raise SecondPersonNeeded("登记的人不能自己复核，须由另一人确认")
    booking = StatementLine.objects.select_related("receiving_account").get(pk=asked.booking_id)
    # Before any row's lock: whoever is just booking a payout of the bank's is waited for.
    left = queries.left_from(booking.receiving_account, booking.key, -booking.amount_fen)
    rows = _locked(asked)
    checked = {"checked_by": actor, "checked_at": at}
    try:
        to = HandStatus.DONE if approve else HandStatus.DECLINED
        move(ByHand.objects.filter(pk=asked.pk), to, HAND_TRANSITIONS, **checked)
    except StaleState:
        raise CheckedMeanwhile from None
    if approve:
        _refuse_ours(booking)
    if asked.refund:
        why = f"登记的网银退款复核未通过：{reason}"[:200]
        gone, proof = left if approve else None, _proof(booking)
        cashier.settle(refund=asked.refund, txn=proof, left=gone, why=why, actor=actor, at=at)
    elif (back := asked.line_return) and approve:
        _return_left(rows[back.line_id], back, _proof(booking), left, actor, at=at)
    elif back:
        returns.decline(rows[back.line_id], back, reason=reason, actor=actor, at=at)
    _trace(asked, actor, at, approve=approve, why=reason)
    asked.refresh_from_db()


def _return_left(
    row: StatementLine, back: LineReturn, proof: str, left: str, actor: str, *, at: datetime
) -> None:
    reversals.refuse_taken_back(row)
    found = LineReturn.objects.filter(pk=back.pk)
    move(found, ReturnStatus.SENDING, RETURN_TRANSITIONS, checked_by=actor, sent_at=at)
    returns.returned(back, proof, at, left_from=left)


def _trace(asked: ByHand, actor: str, at: datetime, *, approve: bool, why: str) -> None:
    """On the booking, which stays what it is: money out."""
    kind, facts = "PAID_BY_HAND" if approve else "NOT_BY_HAND", {"payout": asked.payout}
    ids = [asked.booking_id]
    matching.record_first(ids, kind, at=at, actor=actor, facts=facts | {"why": why})
    if approve:
        told = [f"已在网银退款：{asked.payout}"]
        StatementLine.objects.filter(pk__in=ids).update(reasons=told)


def _proof(booking: StatementLine) -> str:
    """The bank's number of it; where it gives none, ours."""
    return booking.serial or booking.number


def _locked(asked: ByHand) -> dict[int, StatementLine]:
    """The booking and the line whose money went back, by id: the order in which all take them."""
    ids = [asked.booking_id, *([asked.line_return.line_id] if asked.line_return else [])]
    rows = StatementLine.objects.select_for_update(of=("self",)).filter(pk__in=ids)
    return {row.pk: row for row in rows.select_related("receiving_account").order_by("pk")}
