"""A release races whatever else ends a line, and is killed in the middle."""

import subprocess
import sys
import time
from datetime import timedelta
from threading import Event

import pytest
from django.db import connection, transaction

from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.ledger.queries import balance
from payments.transfers.models import StatementLine
from shop.orders import holding
from shop.orders.models import HeldLine, Order
from tests.concurrency.stalled import until_waiting
from tests.concurrency.together import at_once, together
from tests.factories import NOON, make_merchant, make_sku, make_user, pay, place, ship
from tests.livestream.processes import ROOT, environment
from tests.payments.transfers.bank import booking, push

pytestmark = pytest.mark.django_db(transaction=True)
DAY = timedelta(days=1)
DUE = NOON + 30 * DAY


@pytest.fixture(autouse=True)
def books_are_even():
    yield
    assert ledger.audit() == []


def received(n=1):
    """Orders of one merchant whose lines are due at DUE, each paid by a transfer of its own."""
    merchant = make_merchant(after_sale_days=7)
    sku = make_sku(merchant, on_hand=n)
    for _ in range(n):
        order = place(make_user(), sku)
        pay(order)
        ship(order)
        holding.receive_one(order=order, actor="", at=NOON + DAY)
    return merchant


def take_back():
    """The bank takes back the money of the (only) order."""
    credit = StatementLine.objects.get(amount_fen__gt=0)
    push(booking(-100_00, is_reversal=True, reverses=credit.serial, booked_at=DUE), at=DUE)


def test_four_sweeps_at_once_release_each_line_once():
    merchant = received(12)

    endings = together(4, lambda i: holding.release_due(at=DUE, limit=5))

    assert endings == {"ok": 4}
    while holding.release_due(at=DUE, limit=5):
        pass
    assert balance(f"merchant:{merchant.number}:available") == 1200_00
    assert balance(f"held:{merchant.number}") == 0
    assert set(Order.objects.values_list("status", flat=True)) == {"DONE"}


@pytest.mark.parametrize("first", ["release", "reversal"])
def test_a_line_that_is_released_while_the_bank_takes_its_money_back_ends_one_way(first):
    merchant = received()
    jobs = [lambda: holding.release_due(at=DUE, limit=9), take_back]
    if first == "reversal":
        jobs.reverse()
    is_under_way = Event()

    def act(i):
        if i:
            assert is_under_way.wait(10)
            return str(jobs[1]())
        with transaction.atomic():
            jobs[0]()
            is_under_way.set()
            time.sleep(0.5)  # the other has come to the order by now
        return "first"

    at_once(2, act)
    holding.release_due(at=DUE, limit=9)

    order = Order.objects.get()
    released = HeldLine.objects.filter(released_at__isnull=False).count()
    assert order.freeze_reason == "REVERSED"
    assert released == (1 if first == "release" else 0)
    assert balance(f"held:{merchant.number}") == 0
    assert balance(f"merchant:{merchant.number}:available") == released * 100_00
    assert balance(f"receivable:{merchant.number}") == released * 100_00


def test_control_who_looks_before_the_order_is_held_pays_out_what_the_bank_took():
    """If this ever fails, the test above proves nothing."""
    received()
    seen, gone = Event(), Event()

    def act(i):
        if i:
            assert seen.wait(10)
            take_back()
            gone.set()
            return "back"
        due = HeldLine.objects.filter(release_at__lte=DUE, released_at=None, stopped_at=None)
        found = [line.pk for line in due]
        seen.set()
        assert gone.wait(10)
        with transaction.atomic():
            paid_out = HeldLine.objects.filter(pk__in=found, stopped_at__isnull=False).count()
            transaction.set_rollback(True)
        return f"would pay out {paid_out} stopped"

    assert together(2, act) == {"back": 1, "would pay out 1 stopped": 1}


SWEEP = """
import django; django.setup()
from datetime import datetime
from shop.orders import holding
at = datetime.fromisoformat("{at}")
while holding.release_due(at=at, limit=2):
    pass
"""


def test_a_sweep_that_is_killed_in_the_middle_is_finished_by_the_next():
    merchant = received(8)
    with transaction.atomic():
        # What somebody holds is left for the next sweep: this one ends with half of them.
        held = list(HeldLine.objects.order_by("release_at", "pk").values_list("order", flat=True))
        list(Order.objects.filter(pk__in=held[4:]).select_for_update())
        subprocess.run(
            [sys.executable, "-c", SWEEP.format(at=DUE.isoformat())],
            cwd=ROOT, env=environment(), check=True, timeout=60,
        )  # fmt: skip
    assert HeldLine.objects.filter(released_at__isnull=False).count() == 4

    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM payments_account WHERE code = %s FOR UPDATE",
            [f"merchant:{merchant.number}:available"],
        )
        process = subprocess.Popen(
            [sys.executable, "-c", SWEEP.format(at=DUE.isoformat())], cwd=ROOT, env=environment()
        )
        until_waiting(1)
        process.kill()  # kill -9: its lines are marked, its money is not posted
        process.wait(10)

    assert ledger.audit() == []
    while holding.release_due(at=DUE, limit=2):
        pass
    assert balance(f"merchant:{merchant.number}:available") == 800_00
    assert Posting.objects.filter(kind="RELEASE").count() == 4
