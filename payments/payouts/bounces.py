"""The payee's bank sends back (退汇) what ours had paid to a merchant: it is his again."""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from config.kit.money import yuan
from config.kit.states import move
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.payouts import services
from payments.payouts.models import Payout
from payments.payouts.rules import TRANSITIONS, Status
from payments.transfers import matching, queries, screening
from payments.transfers.bounces import NotABounce, NotThisPayout
from payments.transfers.decisions import lock, settle, suspense
from payments.transfers.models import StatementLine
from payments.transfers.rules import Verdict


def candidates(payout: Payout) -> QuerySet[StatementLine]:
    """What came back (退汇) to the account that paid it, and may be it; the latest first."""
    back = StatementLine.objects.filter(
        receiving_account=payout.account_id,
        rule="R",
        verdict=Verdict.CONFLICT,
        is_posted=True,
        allocated_fen=0,
        returned_fen=0,
        amount_fen__lte=payout.amount_fen,
    )
    return back.order_by("-booked_at", "-pk")


@transaction.atomic
def link(
    *, payout: Payout, line: StatementLine, fee_fen: int, reason: str, actor: str, at: datetime
) -> Payout:
    """A person says that this credit is that payout, come back; less the fee that a bank kept.

    The shop bears the fee; the merchant has the whole available again.  Raises NotABounce,
    NotThisPayout, DecidedMeanwhile, and StaleState where it was said already.
    """
    if not queries.is_waiting_bounce(line):
        raise NotABounce
    row = lock(line, seen=list(Verdict), at=at)
    _refuse(payout, row, fee_fen)
    why = f"收款银行退汇，款项已回到可用余额：{reason}"[:200]
    found = Payout.objects.filter(pk=payout.pk)
    move(found, Status.BOUNCED, TRANSITIONS, failure=why)
    facts: dict[str, object] = {"payout": payout.number, "reason": reason, "fee_fen": fee_fen}
    matching.record_first([row.pk], "BOUNCED", at=at, actor=actor, facts=facts)
    settle(
        row,
        actor=actor,
        at=at,
        to=Verdict.REVERSED,
        returned_fen=row.amount_fen,
        reasons=[f"商家付款 {payout.number} 被退汇"],
        candidates=[],
    )
    services.record(payout, "BOUNCED", actor, at, line=row.number, fee_fen=fee_fen)
    kept = {f"fee:{row.receiving_account.account_no}": fee_fen} if fee_fen else {}
    debits = {suspense(row): row.amount_fen} | kept
    credits = {services.available(payout.merchant): payout.amount_fen}
    ledger.post([Draft("PAYOUT_BOUNCED", row.number, debits, credits)], at=at)
    matching.recount([row.pk])
    payout.refresh_from_db()
    return payout


def _refuse(payout: Payout, row: StatementLine, fee_fen: int) -> None:
    """NotThisPayout unless it came back whole, less just the fee, and number or payee say so."""
    short = payout.amount_fen - row.amount_fen
    is_named = payout.number in screening.named_payouts([row.remark, *row.texts])
    is_payee = row.payer_account == payout.payee.account_no
    compared = f"付出 {yuan(payout.amount_fen)} 元，退回 {yuan(row.amount_fen)} 元"
    reasons = {
        "它还没有付出，或已记为退汇": payout.status != Status.DONE,
        "不是同一个付款账户": payout.account_id != row.receiving_account_id,
        "文字里没有它的单号，对方账号也不是它的收款账号": not (is_named or is_payee),
        f"{compared}，多出的不会是它": short < 0,
        f"{compared}，少的超过退回的金额，不会是银行扣费": short > row.amount_fen,
        f"{compared}；银行扣费须填为 {yuan(max(short, 0))}": short != fee_fen,
    }
    if why := next((why for why, is_so in reasons.items() if is_so), ""):
        raise NotThisPayout(f"退汇的不是这笔付款：{why}", short_fen=max(short, 0))
