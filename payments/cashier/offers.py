"""Which ways there are to pay for a thing, and that no other is taken."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, time, timedelta

from django.conf import settings
from django.db import connection
from django.db.models import F, Q, Sum
from django.utils.timezone import localtime, make_aware

from config.kit.errors import Refusal
from payments.cashier.models import Payment
from payments.cashier.payables import method as method_named
from payments.cashier.payables import payable
from payments.cashier.rules import WALLET, Due, Status
from payments.offering import queries as offering
from payments.offering.rules import (
    Asked,
    Asker,
    Offer,
    Rule,
    Spent,
    barred,
    counts_days,
    listed,
    weigh,
)


class MethodNotOffered(Refusal):
    message = "暂不支持该支付方式"


def offered(
    *, payer_id: int, purpose: str, reference: str, asker: Asker, at: datetime
) -> list[Offer]:
    """Every way that there is, those that are offered first; a constant number of queries.

    A payment that is open goes on, whatever is said of its method since.  Raises what `due` does.
    """
    due = payable(purpose).due(reference=reference, payer_id=payer_id, method="", at=at)
    open_ones = Payment.objects.filter(
        purpose=purpose, reference=reference, status=Status.WAITING, payer_id=payer_id
    )
    going_on = set(open_ones.values_list("method", flat=True))
    return _listed(due, payer_id, asker, at, going_on)


def ways_for(*, due: Due, payer_id: int, asker: Asker, at: datetime) -> list[Offer]:
    """The same of what is not there yet, and will be due as said."""
    return _listed(due, payer_id, asker, at, set())


def require_known(method: str) -> None:
    if method not in settings.PAYMENT_METHODS:
        raise _refusal(Offer(method, False, MethodNotOffered.message, 0))


def require_not_barred(method: str, asker: Asker) -> None:
    """A way that cannot be taken from there at all: not even what is open goes on there."""
    if why := barred(method, asker):
        raise _refusal(Offer(method, False, why, 0))


def require(*, due: Due, payer_id: int, method: str, asker: Asker, at: datetime) -> None:
    """Refuse what is not offered, with the reason that `offered` gives; one query.

    Where there is a limit a day, payments of this payer by this method are opened one after the
    other until the transaction ends; two queries more.
    """
    rules = offering.rules_about(merchant=due.merchant, method=method)
    asked = _asked(due, asker)
    spent = Spent()
    if counts_days(method, rules, asked):
        _queue_up(payer_id, method)
        spent = _spent(payer_id, [method], due.merchant, at).get(method, spent)
    if weigh(method, rules, asked, spent).is_offered:
        return
    for offer in _listed(due, payer_id, asker, at, set()):
        if offer.method == method:
            raise _refusal(offer)


def require_part(*, due: Due, fen: int, payer_id: int, asker: Asker, at: datetime) -> None:
    """The same of so much from the payer's wallet, whatever way collects the rest."""
    part = replace(due, amount_fen=fen)
    require(due=part, payer_id=payer_id, method=WALLET, asker=asker, at=at)


def _refusal(offer: Offer) -> MethodNotOffered:
    return MethodNotOffered(
        offer.reason, method=offer.method, reason=offer.reason, max_fen=offer.max_fen
    )


def _listed(due: Due, payer_id: int, asker: Asker, at: datetime, going_on: set[str]) -> list[Offer]:
    rules = offering.rules_about(merchant=due.merchant)
    asked = _asked(due, asker)
    methods = sorted(settings.PAYMENT_METHODS)
    spent = _spent_where_it_counts(payer_id, methods, rules, asked, at)
    offers = []
    for method in methods:
        if method in going_on and not barred(method, asker):
            offers.append(Offer(method, True))
            continue
        offer = weigh(method, rules, asked, spent.get(method, Spent()))
        if offer.is_offered:
            why = method_named(method).hindered(payer_id=payer_id, merchant=due.merchant)
            offer = Offer(method, False, why, 0) if why else offer
        offers.append(offer)
    return listed(offers)


def _asked(due: Due, asker: Asker) -> Asked:
    return Asked(asker, due.merchant, due.amount_fen, due.categories)


# --- what a buyer spends in a day ---------------------------------------------------------------


def _queue_up(payer_id: int, method: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"payments of a day:{payer_id}:{method}"],
        )


def _spent_where_it_counts(
    payer_id: int, methods: Iterable[str], rules: list[Rule], asked: Asked, at: datetime
) -> dict[str, Spent]:
    counted = [method for method in methods if counts_days(method, rules, asked)]
    return _spent(payer_id, counted, asked.merchant, at) if counted else {}


def _spent(payer_id: int, methods: Iterable[str], merchant: str, at: datetime) -> dict[str, Spent]:
    """By method, what was opened on this day in Shanghai and is paid or still to be paid.

    Of a mixed payment the wallet's part is the wallet's, the rest its method's; one query.
    """
    wanted = set(methods)
    begin = make_aware(datetime.combine(localtime(at).date(), time.min))
    rows = Payment.objects.filter(
        payer_id=payer_id, opened_at__gte=begin, opened_at__lt=begin + timedelta(days=1)
    ).exclude(status=Status.CLOSED)
    of_these = Q(method__in=wanted) | (Q(wallet_fen__gt=0) if WALLET in wanted else Q())
    sums = (
        rows.filter(of_these)
        .values("method", is_here=Q(merchant=merchant))
        .annotate(own=Sum(F("amount_fen") - F("wallet_fen")), parts=Sum("wallet_fen"))
    )
    found = dict.fromkeys(wanted, Spent())
    for row in sums:
        for method, fen in ((row["method"], int(row["own"])), (WALLET, int(row["parts"]))):
            if method in found:
                spent = found[method]
                here = fen if row["is_here"] else 0
                found[method] = Spent(spent.everywhere_fen + fen, spent.here_fen + here)
    return found
