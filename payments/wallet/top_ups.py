"""Money comes into wallets: asked for, paid, and taken out again when the bank takes it back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Sum

from config.kit import numbers
from config.kit.db import joined
from config.kit.errors import Refusal, StaleState
from payments.cashier import offers
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.cashier.offers import MethodNotOffered
from payments.cashier.rules import Due
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.offering.rules import Asker, Offer
from payments.prepaid import services as prepaid
from payments.prepaid.services import PAY_WITHIN
from payments.wallet import queries
from payments.wallet.models import TopUp
from payments.wallet.rules import (
    METHOD,
    PLATFORM,
    PURPOSE,
    TopUpLimits,
    TopUpStatus,
    wallet_of,
)

HELD = f"held:{PLATFORM}"


class TopUpOutOfBounds(Refusal):
    message = "充值金额超出每次的限额"


class WalletTooFull(Refusal):
    message = "充值后余额将超过上限"


class TopUpSpent(Refusal):
    message = "这笔充值已被使用，不能撤回"


@joined
def open_top_up(
    *,
    user_id: int,
    user_number: str,
    amount_fen: int,
    method: str,
    at: datetime,
    asker: Asker = cashier.ON_MINI_PROGRAM,
) -> Payment:
    """The payment that fills a wallet.

    Raises TopUpOutOfBounds, WalletTooFull, and MethodNotOffered as for any payment.
    """
    limits = _limits_of(amount_fen)
    if method == METHOD:
        raise MethodNotOffered(method=method)
    alone(user_number)
    waiting = TopUp.objects.filter(user_id=user_id, status=TopUpStatus.OPEN, pay_before__gt=at)
    coming = waiting.aggregate(fen=Sum("amount_fen", default=0))["fen"]
    room = limits.balance_fen - sum(queries.balance(user_number)) - coming
    if amount_fen > room:
        raise WalletTooFull(balance_fen=limits.balance_fen, room_fen=max(room, 0))
    top_up = TopUp.objects.create(
        number=numbers.fresh("Z"),
        user_id=user_id,
        amount_fen=amount_fen,
        opened_at=at,
        pay_before=at + PAY_WITHIN,
        look_at=at + PAY_WITHIN,
    )
    return cashier.open_payment(
        payer_id=user_id,
        purpose=PURPOSE,
        reference=top_up.number,
        method=method,
        asker=asker,
        at=at,
    )


def ways(*, user_id: int, amount_fen: int, asker: Asker, at: datetime) -> list[Offer]:
    """How so much can be topped up, those that are offered first.  Raises TopUpOutOfBounds."""
    _limits_of(amount_fen)
    due = Due(amount_fen, PLATFORM, at + PAY_WITHIN)
    return [
        offer
        for offer in offers.ways_for(due=due, payer_id=user_id, asker=asker, at=at)
        if offer.method != METHOD
    ]


def _limits_of(amount_fen: int) -> TopUpLimits:
    limits = TopUpLimits(**settings.WALLET_TOP_UPS)
    if not limits.least_fen <= amount_fen <= limits.most_fen:
        raise TopUpOutOfBounds(least_fen=limits.least_fen, most_fen=limits.most_fen)
    return limits


def alone(user_number: str) -> None:
    """What a person may do only so often is counted by one request at a time."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('wallet ' || %s, 0))", [user_number]
        )


# --- what the cashier asks ------------------------------------------------------------------------


def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
    """Its amount; see `prepaid.due`."""
    rows = TopUp.objects.filter(user_id=payer_id, number=reference)
    return prepaid.due(rows, pot=PLATFORM, method=method, at=at, fen="amount_fen")


@joined
def receive(*, numbers: Iterable[str], at: datetime) -> set[str]:
    """Paid in full: it is in the wallet.  Answers those that waited for no money."""
    rows = TopUp.objects.filter(number__in=numbers, status=TopUpStatus.OPEN)
    return set(numbers) - _credit(list(rows.select_for_update().order_by("pk")), at)


@joined
def reopen(*, closed_since: Mapping[str, datetime], at: datetime) -> set[str]:
    """All the money is here, but late: it is in the wallet all the same."""
    rows = TopUp.objects.filter(number__in=closed_since, status=TopUpStatus.CLOSED)
    locked = list(rows.select_for_update().order_by("pk"))
    return _credit([one for one in locked if _closed(one) >= closed_since[one.number]], at)


def _closed(top_up: TopUp) -> datetime:
    assert top_up.closed_at
    return top_up.closed_at


def _credit(top_ups: Sequence[TopUp], at: datetime) -> set[str]:
    TopUp.objects.filter(pk__in=[one.pk for one in top_ups]).update(
        status=TopUpStatus.PAID, paid_at=at, closed_at=None, times_paid=F("times_paid") + 1
    )
    owners = queries.owners_of([one.user_id for one in top_ups])
    ledger.post(
        [
            Draft(
                kind="TOPUP",
                reference=_named(one.number, one.times_paid + 1),
                debits={HELD: one.amount_fen},
                credits={wallet_of(owners[one.user_id]): one.amount_fen},
            )
            for one in top_ups
        ],
        at=at,
    )
    return {one.number for one in top_ups}


def _named(number: str, times: int) -> str:
    return number if times == 1 else f"{number}-{times}"


@joined
def unpay(*, numbers: Mapping[str, bool], at: datetime) -> None:
    """A wrong match is undone: out of the wallet again.  TopUpSpent where it is not there."""
    rows = TopUp.objects.filter(number__in=[one for one, was_paid in numbers.items() if was_paid])
    for top_up in rows.select_for_update().order_by("pk"):
        try:
            _debit(top_up, at)
        except ledger.NotCovered as spent:
            raise TopUpSpent from spent


@joined
def take_back(*, numbers: Mapping[str, bool], at: datetime) -> dict[str, int]:
    """The bank took its money back: so do we.  Answers those whose owner has spent it, with fen.

    Never refuses: of one that is not in the wallet (any more) there is nothing to take.
    """
    spent = {}
    unpaid = [number for number, is_unpaid in numbers.items() if is_unpaid]
    rows = TopUp.objects.filter(number__in=unpaid, status=TopUpStatus.PAID)
    for top_up in rows.select_for_update().order_by("pk"):  # reversals come singly
        try:
            with transaction.atomic():
                _debit(top_up, at)
        except ledger.NotCovered:
            spent[top_up.number] = top_up.amount_fen
    return spent


def _debit(top_up: TopUp, at: datetime) -> None:
    if top_up.status != TopUpStatus.PAID:
        raise StaleState
    wait = top_up.pay_before - top_up.opened_at
    until = max(top_up.pay_before, at + wait)
    TopUp.objects.filter(pk=top_up.pk).update(
        status=TopUpStatus.OPEN, paid_at=None, pay_before=until, look_at=until
    )
    fen = top_up.amount_fen
    undone = Draft(
        kind="TOPUP_UNDONE",
        reference=_named(top_up.number, top_up.times_paid),
        debits={wallet_of(queries.owner_of(top_up.user_id)): fen},
        credits={HELD: fen},
    )
    ledger.post([undone], at=at)


# --- time is over ---------------------------------------------------------------------------------


def expire(*, numbers: Sequence[str], at: datetime) -> int:
    """Close top-ups whose time is over, unless their money may be here unheard; how many."""
    return prepaid.expire(TopUp.objects.all(), purpose=PURPOSE, numbers=numbers, at=at)
