"""A merchant's day, replayed: nothing goes to the wrong payment, and little is left for people.

The figures in docs/reconciliation.md are those of DAY_ORDERS=3000.
"""

import os
from collections import Counter

import pytest

from payments.cashier.models import Payment, Refund
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers.models import StatementLine
from tests.payments.transfers import replay
from tests.payments.transfers.bank import ACCOUNT

pytestmark = pytest.mark.django_db
SEED = 11
ORDERS = int(os.environ.get("DAY_ORDERS", "1000"))
# Of what the engine may settle by itself, how much it does, by kind: everything was measured.
LEAST = {
    **dict.fromkeys(("exact", "for_another", "parts", "short", "over", "twin", "code"), 0.99),
    **dict.fromkeys(("several", "known", "taken_back", "reversal", "foreign"), 0.95),
}
# Of what a rung may settle by itself, it does.
EVERYTHING = dict.fromkeys(("R", "T0", "T1a", "T1b", "T1c", "T1d", "T2a", "T3a", "T4"), 1)


def test_a_day_goes_to_the_right_payments_by_itself_and_the_rest_waits_for_people(db):
    day = replay.the_day(seed=SEED, count=ORDERS, transfers=ORDERS * 2_950 // 3_000)
    before_fen = books.balance(f"bank:{ACCOUNT}")

    done = replay.replayed(day)

    found = replay.figures(day)
    print("\n" + replay.table(done, found))  # noqa: T201  with -s
    assert (found.precision, found.wrong) == (1, Counter())
    assert {rung: n / of for rung, (n, of) in found.recall.items()} == EVERYTHING
    recall = {name: kind.settled / kind.sure for name, kind in found.kinds.items() if kind.sure}
    assert {name: share for name, share in recall.items() if share < LEAST[name]} == {}
    what_only_people_may_decide_waits_for_them(day)
    everything_came_once(day, done, before_fen)
    payments_have_what_their_payers_meant(day)
    assert ledger.audit() == []


def what_only_people_may_decide_waits_for_them(day):
    unsure = [serial for serial, truth in day.truth.items() if not truth.is_sure]
    lines = StatementLine.objects.filter(serial__in=unsure)
    assert set(lines.values_list("verdict", flat=True)) <= {"SUGGESTED", "UNMATCHED", "CONFLICT"}
    assert lines.count() == len(unsure)


def everything_came_once(day, done, before_fen):
    assert StatementLine.objects.filter(serial__in=day.truth).count() == len(day.bookings)
    heard = done.pushes + sum(file.lines for file in done.statements)
    known = done.known + sum(file.duplicates for file in done.statements)
    assert heard - known == len(day.bookings)
    assert [file.status for file in done.statements] == ["DONE", "DONE"]
    moved_fen = sum(booking.signed_fen for booking in day.bookings)
    assert books.balance(f"bank:{ACCOUNT}") == before_fen + moved_fen


def payments_have_what_their_payers_meant(day):
    """To the fen where every transfer is sure; what is too much is owed back and nothing else."""
    meant, owed_fen = Counter(), 0
    for truth in day.truth.values():
        if truth.is_sure:
            meant.update(truth.pays)
            owed_fen += truth.owed_fen
    payments = Payment.objects.filter(reference__in=[order.reference for order in day.orders])
    received = dict(payments.values_list("reference", "received_fen"))
    assert {name: fen for name, fen in received.items() if fen} == dict(meant)
    full = {
        order.reference for order in day.orders if meant[order.reference] == order.outstanding_fen
    }
    confirmed = payments.filter(status="CONFIRMED").values_list("reference", flat=True)
    assert set(confirmed) == full
    assert (
        sum(Refund.objects.exclude(status="VOID").values_list("amount_fen", flat=True)) == owed_fen
    )
