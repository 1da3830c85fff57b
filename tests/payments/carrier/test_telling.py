"""What is in the ledger is told to the carrier once, in order, whatever is between us and it."""

import itertools
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.db.utils import InternalError
from django.test.utils import CaptureQueriesContext
from django.utils.timezone import now

from payments.carrier import queries, services, tasks
from payments.carrier.models import CarrierAccount, CarrierBatch, CarrierMark, CarrierMove
from payments.carrier.protocol import carrier as the_carrier
from payments.carrier.rules import DRAWN, LATE, Move
from payments.channels import signed
from payments.channels.answers import ChannelRefused
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from payments.ledger.rules import Draft
from tests.concurrency.together import together
from tests.livestream.processes import await_true
from tests.payments.carrier.scene import (
    busy,
    compared,
    found,
    here,
    moved,
    night,
    statuses,
    tell_all,
    there,
)

BATCHES = "/carrier/batches"
pytestmark = pytest.mark.django_db


def test_what_the_carrier_has_is_what_the_ledger_has(carrier):
    busy()

    tell_all()

    assert there(night(carrier)) == here()
    assert {code.split(":")[0] for code in here()} == {"held", "merchant", "deposit", "wallet"}
    assert CarrierMove.objects.count() == Posting.objects.count()
    assert queries.untold(before=now()) == 0


def test_each_posting_is_told_once_in_the_order_of_the_ledger(carrier):
    busy()
    tell_all()
    moved(1)
    tell_all()
    tell_all()

    told = [entry["body"] for entry in carrier.journal(BATCHES)]
    assert [batch["number"] for batch in told] == list(
        CarrierBatch.objects.order_by("pk").values_list("number", flat=True)
    )
    numbers = [move["number"] for batch in told for move in batch["moves"]]
    assert numbers == [
        str(move) for move in CarrierMove.objects.exclude(batch=None).order_by("posting")
    ]
    kinds = Posting.objects.filter(pk__in=CarrierMove.objects.exclude(batch=None).values("pk"))
    assert [move["kind"] for batch in told for move in batch["moves"]] == list(
        kinds.order_by("pk").values_list("kind", flat=True)
    )


def test_what_touches_nothing_that_is_held_is_not_told(carrier):
    moved(500, to="elsewhere:1")

    tell_all()

    assert carrier.journal(BATCHES) == []
    assert (CarrierMove.objects.get().batch, CarrierAccount.objects.count()) == (None, 0)


def test_without_a_carrier_nothing_is_told_and_nothing_is_missing(carrier, settings):
    settings.CARRIER = ""
    moved()

    tasks.tell_carrier()
    tasks.compare_days()

    assert not CarrierMove.objects.exists()
    assert carrier.journal() == []


def test_a_carrier_that_comes_later_is_told_from_the_first_posting(carrier, settings):
    settings.CARRIER = ""
    busy()
    settings.CARRIER = "payments.carrier.signed.carrier"

    tasks.tell_carrier()

    assert there(night(carrier)) == here()


@pytest.mark.parametrize(
    "kind", ["error_before", "error_after", "reset", "bad_signature", "stale", "garbage"]
)
def test_an_answer_that_proves_nothing_is_asked_for_again_under_the_same_number(carrier, kind):
    moved(700)
    carrier.faults(BATCHES, kind)

    assert services.tell(at=now()) is False
    assert statuses() == [("SENDING", 1)]
    moved(50)  # it waits for its turn
    tell_all()

    assert statuses() == [("BOOKED", 1), ("BOOKED", 1)]
    bodies = [entry["body"] for entry in carrier.journal(BATCHES)]
    assert bodies[0] == bodies[1]
    assert there(night(carrier)) == here() == {"wallet:U1": 750}


def test_a_time_out_decides_nothing(carrier, monkeypatch):
    monkeypatch.setattr(signed, "TIMEOUT", (0.3, 0.3))
    carrier.faults(BATCHES, "slow", seconds=1)
    moved(700)

    assert services.tell(at=now()) is False
    assert CarrierBatch.objects.get().problem
    tell_all()

    batch = CarrierBatch.objects.get()
    assert (batch.status, batch.problem) == ("BOOKED", "")
    assert there(night(carrier)) == {"wallet:U1": 700}


def test_a_refusal_stops_the_line_until_it_is_taken_back(carrier):
    moved(700)
    carrier.control("carrier", lose=1)
    tell_all()
    moved(400, to="held:M1", source="wallet:U1")
    moved(1)

    assert services.tell(at=now()) is False
    assert services.tell(at=now()) is False

    assert statuses() == [("BOOKED", 1), ("SENDING", 2)]
    assert "NOT_COVERED" in queries.stuck(now()).get().problem
    first, *again = carrier.journal(BATCHES)[1:]
    assert [entry["body"] for entry in again] == [first["body"]]
    # After an hour it is a finding; here a person has the carrier book what it had lost.
    CarrierBatch.objects.filter(status="SENDING").update(made_at=now() - LATE * 2)
    assert "NOT_COVERED" in " ".join(ledger.audit())
    the_carrier().book("REPAIR", [Move("REPAIR-1", "GIFT", {"wallet:U1": 700})])
    tell_all()
    assert statuses() == [("BOOKED", 1), ("BOOKED", 2)]


def test_a_number_is_one_batch_and_a_move_is_booked_once(carrier):
    says = the_carrier()
    moves = [Move("B1-1", "GIFT", {"wallet:U1": 5})]
    at = says.book("B1", moves)
    carrier.move_clock(3600)

    assert says.book("B1", moves) == at
    for number, other in (
        ("B1", [Move("B1-1", "GIFT", {"wallet:U1": 6})]),
        ("B2", moves),
        ("B3", [Move("B3-1", "GIFT", {"wallet:U2": 1}), Move("B3-2", "GIFT", {"wallet:U1": -6})]),
    ):
        with pytest.raises(ChannelRefused):
            says.book(number, other)

    assert there(night(carrier)) == {"wallet:U1": 5}


def test_what_is_spent_before_it_was_earned_is_told_together(carrier, monkeypatch):
    """Postings are numbered before the accounts are locked: a spender may have the lower number."""
    monkeypatch.setattr(services, "AT_ONCE", 1)
    spent = Draft("GIFT", "spent", {"wallet:U1": 70}, {"held:M1": 70})
    earned = Draft("GIFT", "earned", {"bank:1": 70}, {"wallet:U1": 70})
    ledger.post([spent, earned], at=now())

    tell_all()

    assert statuses() == [("BOOKED", 2)]
    assert there(night(carrier)) == {"held:M1": 70}


def test_a_batch_is_a_constant_number_of_statements(carrier):
    def told(count):
        drafts = [
            Draft("GIFT", f"{count}.{n}", {"bank:1": 5}, {f"wallet:U{n % 50}": 5})
            for n in range(count)
        ]
        ledger.post(drafts, at=now())
        with CaptureQueriesContext(
            connection,
        ) as seen:
            assert services.tell(at=now())
        return len(seen)

    told(1)

    assert told(3) == told(600)


def test_more_than_a_batch_is_told_in_batches(carrier, monkeypatch):
    monkeypatch.setattr(services, "AT_ONCE", 3)
    for _ in range(7):
        moved(1)

    tasks.tell_carrier()

    assert statuses() == [("BOOKED", 3), ("BOOKED", 3), ("BOOKED", 1)]
    assert there(night(carrier)) == {"wallet:U1": 7}


# --- what the database refuses, and the audit sees ------------------------------------------------


def test_what_was_told_is_never_changed(carrier):
    moved()
    tell_all()

    for table, change in (
        ("payments_carriermove", "SET n = 2"),
        ("payments_carrieraccount", "SET told_fen = -1"),
        ("payments_carrierbatch", "SET status = 'SENDING'"),
    ):
        with (
            pytest.raises((IntegrityError, InternalError, ProtectedError)),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(f"UPDATE {table} {change}")


def test_the_audit_sees_a_sum_that_is_not_its_postings(carrier):
    moved(700)
    tell_all()
    CarrierAccount.objects.update(told_fen=699)

    assert "存管子账户 wallet:U1" in " ".join(ledger.audit())
    CarrierAccount.objects.update(told_fen=700)


def test_the_audit_sees_a_posting_that_was_passed_over(carrier):
    moved(700)
    CarrierMark.objects.create(pk=1, passed=Posting.objects.get().pk)

    assert "没有报送存管机构" in " ".join(ledger.audit())
    CarrierMark.objects.update(passed=0)


def test_the_audit_sees_what_is_not_told_for_an_hour(carrier):
    draft = Draft("GIFT", "old", {"bank:1": 5}, {"wallet:U1": 5})
    ledger.post([draft], at=now() - LATE * 2)

    assert "超过一小时" in " ".join(ledger.audit())
    tell_all()


# --- several at once ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_workers_tell_one_story(carrier):
    for _ in range(20):
        moved(1)

    assert together(4, lambda _: tell_all()) == {"ok": 4}

    assert sum(moves for _, moves in statuses()) == 20
    assert {status for status, _ in statuses()} == {"BOOKED"}
    assert there(night(carrier)) == {"wallet:U1": 20}


@contextmanager
def uncommitted(fen):
    """Somebody posts to held:M1, and takes his time to commit."""
    written, may_commit = Event(), Event()

    def slow():
        with transaction.atomic():
            moved(fen, to="held:M1")
            written.set()
            assert may_commit.wait(20)
        connection.close()

    thread = Thread(target=slow)
    thread.start()
    assert written.wait(10)
    yield
    may_commit.set()
    thread.join()


@pytest.mark.django_db(transaction=True)
def test_what_is_committed_late_is_told_late_and_never_passed_over(carrier):
    moved(1)  # the accounts are there
    at = now()
    with uncommitted(40):
        moved(2)
        early = Posting.objects.latest("pk").pk
        for minute in range(6):  # it is told, and the mark wants to go on
            services.tell(at=at + DRAWN * minute)
        mark = CarrierMark.objects.get()
        assert (mark.marked, mark.passed, mark.noted is None) == (early, 0, False)
        assert statuses() == [("BOOKED", 2)]
    assert Posting.objects.order_by("pk")[1].pk < early

    assert services.tell(at=at + DRAWN * 7)

    assert statuses() == [("BOOKED", 2), ("BOOKED", 1)]
    minutes = itertools.count(8)

    def is_passed():
        services.tell(at=at + DRAWN * next(minutes))
        return CarrierMark.objects.get().passed >= early

    await_true(is_passed, 60)  # whatever else runs on this server has to end first
    assert there(night(carrier)) == {"wallet:U1": 3, "held:M1": 40}


@pytest.mark.django_db(transaction=True)
def test_the_mark_does_not_go_on_while_so_much_is_new_that_nobody_looked_for_what_is_late(
    carrier, monkeypatch
):
    moved(1)
    at = now()
    with uncommitted(40):
        moved(2)
        early = Posting.objects.latest("pk").pk
        for minute in range(3):
            services.tell(at=at + DRAWN * minute)
        mark = CarrierMark.objects.get()
        assert (mark.marked, mark.noted is None) == (early, False)

    def nothing_runs():
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint >= noted"
                " FROM payments_carriermark"
            )
            return cursor.fetchone()[0]

    await_true(nothing_runs, 60)
    monkeypatch.setattr(services, "AT_ONCE", 1)
    moved(3)
    moved(4)
    services.tell(at=at + DRAWN * 4)  # one of the new ones

    assert CarrierMark.objects.get().passed == 0
    tell_all()
    assert there(night(carrier)) == {"wallet:U1": 10, "held:M1": 40}


def test_the_day_is_even_whatever_was_between(carrier):
    for kind in ("error_after", "bad_signature", "reset"):
        moved(10)
        carrier.faults(BATCHES, kind)
        services.tell(at=now() + timedelta(seconds=1))
    tell_all()

    day = compared(night(carrier))

    assert (day.status, day.trades, day.trades_fen, found()) == ("EVEN", 3, 30, [])
