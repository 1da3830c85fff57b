"""Deposits come through the cashier, and leave again when the bank takes their money back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.contrib.auth import get_user_model
from django.db.models import F

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from payments.cashier import offers
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.offers import MethodNotOffered
from payments.cashier.rules import Due
from payments.deposits.models import DepositMove, DepositPayment
from payments.deposits.rules import (
    NOT_BY,
    POT,
    PURPOSE,
    Kind,
    PaymentStatus,
    Status,
    debt,
)
from payments.deposits.services import deposit_of, enter
from payments.ledger import services as ledger
from payments.ledger.models import Account
from payments.ledger.rules import Draft
from payments.offering.rules import Asker, Offer
from payments.prepaid import services as prepaid
from payments.prepaid.services import PAY_WITHIN

HELD = f"held:{POT}"


class DepositUsed(Refusal):
    message = "这笔保证金已被冻结、扣除或退还，不能撤回"


@joined
def open_payment(
    *,
    merchant: str,
    payer_id: int,
    amount_fen: int,
    method: str,
    at: datetime,
    asker: Asker = cashier.ON_MINI_PROGRAM,
) -> Payment:
    """The payment that makes a deposit.  Raises MethodNotOffered: also of a wallet."""
    if method == NOT_BY:
        raise MethodNotOffered(method=method)
    row = DepositPayment.objects.create(
        number=numbers.fresh("Y"),
        merchant=merchant,
        payer_id=payer_id,
        amount_fen=amount_fen,
        opened_at=at,
        pay_before=at + PAY_WITHIN,
        look_at=at + PAY_WITHIN,
    )
    return cashier.open_payment(
        payer_id=payer_id,
        purpose=PURPOSE,
        reference=row.number,
        method=method,
        asker=asker,
        at=at,
    )


def ways(*, payer_id: int, amount_fen: int, asker: Asker, at: datetime) -> list[Offer]:
    """How so much can be paid, those that are offered first."""
    due = Due(amount_fen, POT, at + PAY_WITHIN)
    found = offers.ways_for(due=due, payer_id=payer_id, asker=asker, at=at)
    return [offer for offer in found if offer.method != NOT_BY]


# --- what the cashier asks ------------------------------------------------------------------------


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    """Its amount; see `prepaid.due`."""
    rows = DepositPayment.objects.filter(payer=payer_id, number=reference)
    return prepaid.due(rows, pot=POT, method=method, at=at, fen="amount_fen")


@joined
def receive(*, numbers: Iterable[str], at: datetime) -> set[str]:
    """Paid in full: it is the deposit's.  Answers those that waited for no money."""
    rows = DepositPayment.objects.filter(number__in=numbers, status=PaymentStatus.OPEN)
    return set(numbers) - _credit(list(rows.select_for_update().order_by("pk")), at)


@joined
def reopen(*, closed_since: Mapping[str, datetime], at: datetime) -> set[str]:
    """All the money is here, but late: it is the deposit's all the same."""
    rows = DepositPayment.objects.filter(number__in=closed_since, status=PaymentStatus.CLOSED)
    locked = list(rows.select_for_update().order_by("pk"))
    return _credit(
        [one for one in locked if one.closed_at and one.closed_at >= closed_since[one.number]], at
    )


def _credit(rows: Sequence[DepositPayment], at: datetime) -> set[str]:
    DepositPayment.objects.filter(pk__in=[one.pk for one in rows]).update(
        status=PaymentStatus.PAID, paid_at=at, closed_at=None, times_paid=F("times_paid") + 1
    )
    people = get_user_model().objects.filter(pk__in=[one.payer_id for one in rows])
    payers = dict(people.values_list("pk", "number"))
    drafts = []
    for one in rows:
        made = _move(one, Kind.TOP_UP, one.amount_fen, at, str(payers[one.payer_id]))
        into = {deposit_of(one.merchant): one.amount_fen}
        drafts.append(Draft("DEPOSIT_PAID", made.number, {HELD: one.amount_fen}, into))
    ledger.post(drafts, at=at)
    return {one.number for one in rows}


def _move(row: DepositPayment, kind: Kind, fen: int, at: datetime, actor: str = "") -> DepositMove:
    words = {"source": row.number}
    return enter(kind, Status.DONE, row.merchant, fen, actor=actor, at=at, **words)


@joined
def unpay(*, numbers: Mapping[str, bool], at: datetime) -> None:
    """A wrong match is undone: out of the deposit.  DepositUsed where it is not there."""
    was_paid = [number for number, was_paid in numbers.items() if was_paid]
    for row in DepositPayment.objects.filter(number__in=was_paid).select_for_update():
        if row.status != PaymentStatus.PAID:
            raise StaleState
        if _free_fen(row.merchant) < row.amount_fen:
            raise DepositUsed
        _debit(row, row.amount_fen, at)


@joined
def take_back(*, numbers: Mapping[str, bool], at: datetime) -> None:
    """The bank took its money back: out of the deposit, and what is not free there is a debt.

    All of it, whatever part the bank took: the payment waits for its money, and what is still
    here of it goes back when its time is over.  Never refuses.
    """
    unpaid = [number for number, is_unpaid in numbers.items() if is_unpaid]
    rows = DepositPayment.objects.filter(number__in=unpaid, status=PaymentStatus.PAID)
    for row in rows.select_for_update().order_by("pk"):  # reversals come singly
        _debit(row, min(_free_fen(row.merchant), row.amount_fen), at)


def _free_fen(merchant: str) -> int:
    """Not frozen; it stays so until the transaction ends."""
    account = Account.objects.select_for_update().filter(code=deposit_of(merchant)).first()
    return account.balance_fen if account else 0


def _debit(row: DepositPayment, free_fen: int, at: datetime) -> None:
    owed = debt(amount_fen=row.amount_fen, left_fen=free_fen)
    until = max(row.pay_before, at + (row.pay_before - row.opened_at))
    DepositPayment.objects.filter(pk=row.pk).update(
        status=PaymentStatus.OPEN,
        paid_at=None,
        pay_before=until,
        look_at=until,
        owed_fen=F("owed_fen") + owed,
    )
    if free_fen:
        _move(row, Kind.REVERSED, free_fen, at)
    out_of = {deposit_of(row.merchant): free_fen, f"receivable:{row.merchant}": owed}
    reversed_ = Draft(
        kind="DEPOSIT_REVERSED",
        reference=f"{row.number}-{row.times_paid}",
        debits={code: fen for code, fen in out_of.items() if fen},
        credits={HELD: row.amount_fen},
    )
    ledger.post([reversed_], at=at)


# --- time is over ---------------------------------------------------------------------------------


def expire(*, numbers: Sequence[str], at: datetime) -> int:
    """Close what nobody paid, unless its money may be here unheard; how many."""
    return prepaid.expire(DepositPayment.objects.all(), purpose=PURPOSE, numbers=numbers, at=at)
