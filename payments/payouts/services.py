from datetime import datetime

from django.conf import settings
from django.db import transaction

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal
from config.kit.jobs import later
from config.kit.states import move
from payments.cashier.refunds import SecondPersonNeeded
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.payouts import queries
from payments.payouts.models import Payee, Payout, PayoutEvent
from payments.payouts.rules import PREFIX, TRANSITIONS, PayeeStatus, Road, Status
from payments.settlement import debts


class PayeeMissing(Refusal):
    message = "商家还没有复核过的收款账户"


class PayeePausing(Refusal):
    message = "收款账户刚刚更换，等待期内不付款"


class NoPayingAccount(Refusal):
    message = "平台没有可以付款的账户，请联系平台"


@transaction.atomic
def request(*, merchant: str, amount_fen: int, actor: str, at: datetime) -> Payout:
    """Money of a merchant is to go to his bank account; it is held from now on.

    What he owes is paid first.  Above the limit another person checks it (`check`).  An empty
    actor is the schedule, whose payouts one person checks.  Raises PayeeMissing, PayeePausing,
    NoPayingAccount, NotCovered.
    """
    payee = Payee.objects.filter(merchant=merchant, status=PayeeStatus.ACTIVE).first()
    if payee is None or payee.pays_from is None:
        raise PayeeMissing
    if at < payee.pays_from:
        raise PayeePausing(pays_from=payee.pays_from.isoformat())
    account = queries.paying_account()
    if account is None:
        raise NoPayingAccount
    debts.square(merchant=merchant, at=at)
    is_checked = amount_fen > settings.PAYOUT_CHECK_ABOVE_FEN
    payout = Payout.objects.create(
        number=numbers.fresh(PREFIX),
        merchant=merchant,
        payee=payee,
        account=account,
        road=Road.BANK if account.provider else Road.FILE,
        amount_fen=amount_fen,
        status=Status.ASKED if is_checked else Status.APPROVED,
        asked_by=actor,
        asked_at=at,
    )
    record(payout, "ASKED" if is_checked else "APPROVED", actor, at)
    ledger.post([_draft("PAYOUT_HELD", payout, available(merchant), held(merchant))], at=at)
    if not is_checked:
        send_soon(payout)
    return payout


@transaction.atomic
def check(*, payout: Payout, approve: bool, actor: str, at: datetime, reason: str = "") -> Payout:
    """A second person approves or declines; raises SecondPersonNeeded, StaleState."""
    if actor == payout.asked_by:
        raise SecondPersonNeeded
    found = Payout.objects.filter(pk=payout.pk, status=Status.ASKED)
    said = {"checked_by": actor, "checked_at": at}
    if approve:
        move(found, Status.APPROVED, TRANSITIONS, **said)
        record(payout, "APPROVED", actor, at)
        send_soon(payout)
    else:
        why = reason[:200] or "复核未通过"
        move(found, Status.DECLINED, TRANSITIONS, failure=why, done_at=at, **said)
        give_back(payout, "DECLINED", why, actor, at)
    payout.refresh_from_db()
    return payout


def send_soon(payout: Payout) -> None:
    if payout.road == Road.BANK:
        later("payments.payouts.tasks.send_payout", payout_id=payout.pk)


@joined
def give_back(payout: Payout, kind: str, why: str, actor: str, at: datetime) -> None:
    """It will not leave: the money is available again.  Its row has said so already."""
    merchant = payout.merchant
    record(payout, kind, actor, at, why=why)
    ledger.post([_draft("PAYOUT_VOIDED", payout, held(merchant), available(merchant))], at=at)


@joined
def leave(payout: Payout, left_from: str, actor: str, at: datetime) -> None:
    """It has left this account of the ledger.  Its row has said so already."""
    record(payout, "DONE", actor, at)
    ledger.post([_draft("PAYOUT_PAID", payout, held(payout.merchant), left_from)], at=at)


def available(merchant: str) -> str:
    return f"merchant:{merchant}:available"


def held(merchant: str) -> str:
    return f"paying_out:{merchant}"


def _draft(kind: str, payout: Payout, debit: str, credit: str) -> Draft:
    return Draft(kind, payout.number, {debit: payout.amount_fen}, {credit: payout.amount_fen})


def record(payout: Payout, kind: str, actor: str, at: datetime, **facts: object) -> None:
    PayoutEvent.objects.create(payout=payout, kind=kind, actor=actor, at=at, facts=facts)
