"""A day of the carrier's against the ledger as of the same cut, per sub-account."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.bills import services as bills
from payments.bills.models import ChannelDay, ChannelDifference
from payments.carrier import comparing, tasks
from payments.carrier.models import CarrierBatch
from payments.carrier.protocol import carrier as the_carrier
from payments.carrier.rules import Move
from payments.channels.answers import ChannelSilent
from payments.ledger import services as ledger
from tests.payments.carrier.scene import (
    busy,
    compared,
    found,
    here,
    moved,
    night,
    tell_all,
    there,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def a_person():
    """Looks into whatever is open, and closes it."""

    def closes():
        for row in ChannelDifference.objects.filter(closed_at=None):
            bills.close(difference=row, reason="已与存管机构核实", actor="U1", at=now())

    return closes


def test_a_day_of_everything_is_even(carrier):
    busy()
    moved(700)
    moved(200, to="elsewhere:wechat", source="wallet:U1")
    tell_all()

    day = compared(night(carrier))

    assert (day.status, day.account, found()) == ("EVEN", "carrier", [])
    assert (day.refunds, day.refunds_fen) == (1, 200)
    assert day.trades_fen - day.refunds_fen == sum(here().values())


def test_compared_twice_is_once(carrier):
    busy()
    tell_all()
    day = night(carrier)
    compared(day)
    before = list(ChannelDay.objects.values())

    compared(day)

    assert list(ChannelDay.objects.values()) == before


def test_a_move_that_the_carrier_lost_is_missing_there_with_each_of_its_legs(carrier, a_person):
    moved(700)
    tell_all()
    carrier.control("carrier", lose=1)
    moved(300, to="held:M1", source="wallet:U1")
    moved(50)
    tell_all()

    day = compared(night(carrier))

    assert day.status == "DIFFERS"
    assert found() == [
        ("ACCOUNT", "BALANCE", "held:M1", 300, 0),
        ("ACCOUNT", "BALANCE", "wallet:U1", 450, 750),
        ("MOVE", "MISSING_THERE", "held:M1", 300, 0),
        ("MOVE", "MISSING_THERE", "wallet:U1", -300, 0),
    ]
    lost = ChannelDifference.objects.filter(subject="MOVE").values_list("our_number", flat=True)
    assert set(lost) == {f"{CarrierBatch.objects.latest('pk').number}-1"}
    assert "资金存管" in " ".join(ledger.audit())

    a_person()

    day.refresh_from_db()
    assert day.status == "SETTLED"


def test_a_balance_that_is_off_by_a_fen_is_seen(carrier, a_person):
    busy()
    tell_all()
    code, fen = min(here().items())
    carrier.control("carrier", account=code, off_fen=-1)

    day = compared(night(carrier))

    assert found() == [("ACCOUNT", "BALANCE", code, fen, fen - 1)]
    carrier.control("carrier", account=code, off_fen=0)
    bills.compare_again(day=day)
    assert compared(day.day).status == "EVEN"  # the two have met


def test_a_sub_account_of_nobody_is_seen(carrier, a_person):
    moved(5)
    tell_all()
    carrier.control("carrier", account="wallet:NOBODY", off_fen=1)

    compared(night(carrier))

    assert found() == [("ACCOUNT", "BALANCE", "wallet:NOBODY", 0, 1)]
    a_person()


def test_a_move_that_nobody_here_made_is_missing_here(carrier, a_person):
    moved(700)
    tell_all()
    the_carrier().book("SOMEBODY", [Move("SOMEBODY-1", "?", {"wallet:U1": -700})])

    compared(night(carrier))

    assert found() == [
        ("ACCOUNT", "BALANCE", "wallet:U1", 700, 0),
        ("MOVE", "MISSING_HERE", "wallet:U1", 0, -700),
    ]
    a_person()


def test_a_move_with_another_amount_is_seen(carrier, a_person):
    carrier.control("carrier", bend_fen=1)
    moved(700)
    tell_all()

    compared(night(carrier))

    assert found() == [
        ("ACCOUNT", "BALANCE", "wallet:U1", 700, 701),
        ("MOVE", "AMOUNT", "wallet:U1", 700, 701),
    ]
    a_person()


def test_what_was_booked_after_midnight_is_of_the_next_day(carrier):
    moved(700)
    tell_all()
    first = night(carrier)
    moved(300, to="held:M1", source="wallet:U1")
    moved(5)
    tell_all()
    assert there(first) == {"wallet:U1": 700}

    assert compared(first).trades_fen == 700
    second = first + timedelta(days=1)
    carrier.move_clock(86_400)

    day = comparing.take_in(name="CARRIER", day=second, at=now() + timedelta(days=2))

    assert (day.status, day.trades_fen, found()) == ("EVEN", 5, [])
    assert set(ChannelDay.objects.values_list("status", flat=True)) == {"EVEN"}


def test_a_batch_without_an_answer_makes_its_day_wait(carrier):
    moved(700)
    carrier.faults("/carrier/batches", "error_after")
    tell_all()
    day = night(carrier)

    with pytest.raises(ChannelSilent, match="还没有确认"):
        compared(day)

    tell_all()
    assert compared(day).status == "EVEN"


def test_a_posting_that_is_not_told_makes_its_day_wait(carrier):
    moved(700)
    day = night(carrier)

    with pytest.raises(ChannelSilent, match="还没有报送"):
        compared(day)

    tell_all()  # booked on the next day, and so of it
    assert compared(day).trades == 0


@pytest.mark.parametrize("kind", ["error_before", "error_after", "bad_signature", "halved"])
@pytest.mark.parametrize("path", ["/carrier/balances", "/carrier/movements"])
def test_what_is_not_proven_is_not_compared(carrier, path, kind):
    moved(700)
    tell_all()
    day = night(carrier)
    carrier.faults(path, kind)

    with pytest.raises(ChannelSilent):
        compared(day)

    assert not ChannelDay.objects.exists()
    assert compared(day).status == "EVEN"


def test_long_answers_come_in_pages(carrier):
    for n in range(7):
        moved(5, to=f"wallet:U{n}")
    tell_all()
    carrier.control("carrier", page=2)

    day = compared(night(carrier))

    assert (day.status, day.trades) == ("EVEN", 7)
    assert len(carrier.journal("/carrier/movements")) == 4


def test_the_job_fetches_yesterday_and_says_why_where_it_cannot(carrier):
    carrier.faults("/carrier/movements", "error_before")

    tasks.compare_days()
    day = ChannelDay.objects.get()
    assert (day.channel, day.status, bool(day.problem)) == ("CARRIER", "WAITING", True)
    tasks.compare_days()

    assert ChannelDay.objects.get().status == "EVEN"
