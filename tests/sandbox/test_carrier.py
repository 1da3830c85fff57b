"""The carrier by itself: its books are what it was told, also after a restart."""

from datetime import date, timedelta

import pytest

from payments.carrier.rules import Move
from payments.carrier.signed import SignedCarrier
from payments.channels.answers import ChannelRefused, ChannelSilent
from payments.channels.signed import Signed
from tests.sandbox import keys
from tests.sandbox_fixtures import Sandbox, running


def of(sandbox: Sandbox, *, private: str = "") -> SignedCarrier:
    told = sandbox.carrier() | ({"private_key": private} if private else {})
    return SignedCarrier(Signed(**_named(told)))


def wallet(fen: int, number: str = "B1-1") -> list[Move]:
    return [Move(number, "GIFT", {"wallet:U1": fen})]


def test_a_day_can_be_had_when_it_is_over(sandbox):
    today = of(sandbox).book("B1", wallet(5)).date()

    with pytest.raises(ChannelRefused, match="DAY_NOT_OVER"):
        list(of(sandbox).balances(today))
    sandbox.move_clock(86_400)

    assert list(of(sandbox).balances(today)) == [("wallet:U1", 5)]
    assert list(of(sandbox).movements(today)) == [("B1-1", "wallet:U1", 5)]
    assert list(of(sandbox).balances(today - timedelta(days=1))) == []


def test_an_order_of_somebody_else_is_not_heard(sandbox):
    held = keys.ensure(sandbox.home)

    with pytest.raises(ChannelSilent):  # it does not know this key
        of(sandbox, private=held.carrier_private.read_text()).book("B1", wallet(5))

    assert of(sandbox).book("B1", wallet(6))


def test_an_answer_signed_by_the_bank_is_not_the_carriers(sandbox):
    told = sandbox.carrier() | {"public_key": sandbox.keys.bank_public.read_text()}

    with pytest.raises(ChannelSilent):
        SignedCarrier(Signed(**_named(told))).book("B1", wallet(5))


def _named(told):
    return {
        "base_url": told["base_url"],
        "public_pem": told["public_key"],
        "private_pem": told["private_key"],
    }


@pytest.mark.parametrize(
    "moves",
    [
        [],
        wallet(0),
        [Move("B1-1", "GIFT", {})],
        [*wallet(5), *wallet(5)],
        wallet(-5),
        [Move("", "GIFT", {"wallet:U1": 5})],
    ],
)
def test_what_makes_no_sense_is_refused_whole(sandbox, moves):
    with pytest.raises(ChannelRefused):
        of(sandbox).book("B1", moves)

    assert of(sandbox).book("B1", wallet(1))


def test_it_remembers_over_a_restart(tmp_path):
    with running(tmp_path) as first:
        booked = of(first).book("B1", wallet(5))
    with running(tmp_path) as again:
        assert of(again).book("B1", wallet(5)) == booked
        with pytest.raises(ChannelRefused, match="NUMBER_REUSED"):
            of(again).book("B1", wallet(6))
        again.move_clock(86_400)
        assert list(of(again).balances(_day(booked))) == [("wallet:U1", 5)]


def _day(at) -> date:
    return at.date()
