"""Payouts on their way through the bank's interface."""

import logging
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Coalesce

from config.kit.db import joined
from config.kit.errors import StaleState
from config.kit.outside import assert_no_transaction
from config.kit.states import move
from payments.channels import transfer
from payments.payouts import services
from payments.payouts.models import Payout
from payments.payouts.rules import TRANSITIONS, PayeeStatus, Road, Status
from payments.transfers import queries as transfers

logger = logging.getLogger(__name__)
# It says that our number has paid something: that is no proof that nothing has left.
NO_PROOF = {"OUT_NO_REUSED"}
REPLACED = "收款账户已更换，未付款，款项已退回可用余额"


def send(*, payout: Payout, at: datetime) -> None:
    """Ask the bank to pay it, or again.  Not atomic on purpose: the network lies in between.

    The number is the bank's key: asking again is safe, and an answer that never came leaves it
    SENDING for the sweep, however long.  StaleState: it is not to be sent.
    """
    assert_no_transaction()
    if not _begin(payout, at):
        return
    account, payee = payout.account, payout.payee
    try:
        sent = transfer.bank(account.provider).pay_out(
            out_no=payout.number,
            account_no=account.account_no,
            to_account=payee.account_no,
            to_name=payee.account_name,
            amount_fen=payout.amount_fen,
            remark=f"商家结算 {payout.number}",
        )
    except transfer.BankUnknown:
        return
    except transfer.BankRefused as refused:
        if refused.code in NO_PROOF:
            logger.error("payout %s: the bank knows another of this number", payout.number)
            return
        _refused(payout, f"银行拒绝付款：{refused}"[:200], at)
        return
    if sent.status == "DONE":
        _left(payout, sent.serial, at)


@transaction.atomic
def _begin(payout: Payout, at: datetime) -> bool:
    """Written down before the bank is asked.  False: its payee was replaced, and nothing leaves."""
    found = Payout.objects.filter(pk=payout.pk, road=Road.BANK)
    row = found.select_for_update(of=("self",)).select_related("payee").first()
    if row is None or row.status not in {Status.APPROVED, Status.SENDING}:
        raise StaleState
    if row.status == Status.SENDING:
        return True
    if row.payee.status != PayeeStatus.ACTIVE:
        decline_replaced(row, at)
        return False
    move(found, Status.SENDING, TRANSITIONS, sent_at=at)
    services.record(row, "SENDING", "", at)
    return True


@joined
def decline_replaced(payout: Payout, at: datetime) -> None:
    """Approved for a bank account that is the merchant's no longer."""
    found = Payout.objects.filter(pk=payout.pk)
    move(found, Status.DECLINED, TRANSITIONS, failure=REPLACED, done_at=at)
    services.give_back(payout, "DECLINED", REPLACED, "", at)


@transaction.atomic
def _left(payout: Payout, serial: str, at: datetime) -> None:
    left_from = transfers.left_from(payout.account, serial, payout.amount_fen)
    found = Payout.objects.filter(pk=payout.pk)
    if found.filter(status__in=[Status.DONE, Status.BOUNCED], serial=serial).exists():
        return  # another worker heard it, too
    move(found, Status.DONE, TRANSITIONS, serial=serial, done_at=at)
    services.leave(payout, left_from, "", at)


@transaction.atomic
def _refused(payout: Payout, why: str, at: datetime) -> None:
    found = Payout.objects.filter(pk=payout.pk)
    move(found, Status.FAILED, TRANSITIONS, failure=why, done_at=at)
    services.give_back(payout, "FAILED", why, "", at)


@transaction.atomic
def take_turns(*, before: datetime, at: datetime, limit: int = 50) -> list[int]:
    """Payouts to send: approved, or sent before a time and without an answer.

    Who has waited longest for it comes first, and goes to the end.  Two sweeps at once take
    different ones.
    """
    due = Q(status=Status.APPROVED) | Q(status=Status.SENDING, sent_at__lt=before)
    waiting = Payout.objects.filter(due, road=Road.BANK)
    waiting = waiting.order_by(Coalesce("chased_at", "asked_at"), "pk")
    free = waiting.select_for_update(skip_locked=True, no_key=True)
    ids = list(free.values_list("pk", flat=True)[:limit])
    Payout.objects.filter(pk__in=ids).update(chased_at=at)
    return ids
