"""The made day is what its first page says, and the truth about it adds up."""

import re
from collections import Counter
from datetime import timedelta

import pytest

from tests.sandbox import day as made
from tests.sandbox.day import MIX, make_day, orders
from tests.sandbox.test_statements import READERS

SEED = 11


@pytest.fixture(scope="module")
def day():
    return make_day(orders(seed=SEED), seed=SEED)


def credits_of(day, kind):
    of_kind = [one for one in day.bookings if day.truth[one.serial].kind == kind]
    return [one for one in of_kind if one.direction == "C"]


def test_the_same_seed_makes_the_same_day_and_another_another(day):
    assert make_day(orders(seed=SEED), seed=SEED) == day
    assert make_day(orders(seed=SEED), seed=SEED + 1).bookings != day.bookings


def test_the_mix_is_the_one_that_is_written_down(day):
    said = re.findall(r"^ +([\d.]+) %  (\w+)", made.__doc__, re.MULTILINE)
    assert {name: round(float(share) * 10) for share, name in said} == MIX
    assert sum(MIX.values()) == 1_000

    incoming = sum(one.direction == "C" for one in day.bookings)

    assert abs(incoming - 2_950) <= 5
    for kind, share in MIX.items():
        assert abs(len(credits_of(day, kind)) - 2_950 * share / 1_000) <= 2, kind


def test_a_booking_is_worth_what_its_orders_get_and_what_is_owed_back(day):
    for one in day.bookings:
        truth = day.truth[one.serial]
        if truth.kind not in {"foreign", "taken_back", "reversal"}:
            assert sum(truth.pays.values()) + truth.owed_fen == one.amount_fen, truth


def test_no_order_gets_more_than_it_asks_for(day):
    asked = {order.reference: order.outstanding_fen for order in day.orders}

    assert all(fen <= asked[reference] for reference, fen in day.paid.items())
    full = sum(fen == asked[reference] for reference, fen in day.paid.items())
    assert full > 2_700


def test_what_is_sure_names_its_order_by_number_code_or_known_payer(day):
    row = {order.reference: order for order in day.orders}
    known = {(one.payer_name, one.payer_account) for one in day.known}
    for one in day.bookings:
        truth = day.truth[one.serial]
        if truth.is_sure and truth.pays and one.virtual_account:
            assert [row[name].virtual_account for name in truth.pays] == [one.virtual_account]
        elif truth.kind == "known":
            assert (one.payer_name, one.payer_account) in known
        elif truth.kind == "several":
            buyers = {row[name].buyer for name in truth.pays}
            assert (len(buyers), len(truth.pays) > 1) == (1, True)


def test_who_is_unknown_has_one_order_and_pays_nothing_else(day):
    """Or an earlier transfer of the day would make him known, and a guess sound."""
    row = {order.reference: order for order in day.orders}
    orders_of = Counter(order.buyer for order in day.orders)
    payers = Counter(one.payer_account for one in day.bookings if one.payer_account)
    for kind in ("code_short", "code_over", "typo", "silent"):
        for one in credits_of(day, kind):
            (reference,) = day.truth[one.serial].pays
            assert orders_of[row[reference].buyer] == 1
            assert payers[one.payer_account] <= 1 or "*" in one.payer_account


def test_no_code_is_written_by_mistake(day):
    """A phone, a date or a deposit's number is nobody's code; a mistyped one is not either."""
    codes = {order.code for order in day.orders}
    for kind in ("typo", "silent", "known", "foreign"):
        for one in credits_of(day, kind):
            assert not codes & set(re.findall(r"\d{8}", one.remark)), one


def test_serials_rise_with_time_and_a_reversal_names_what_came_before(day):
    moments = {one.serial: one.booked_at for one in day.bookings}
    reversals = [one for one in day.bookings if one.reverses]

    assert list(moments) == sorted(moments)
    assert list(moments.values()) == sorted(moments.values())
    assert len(reversals) == len(credits_of(day, "taken_back")) > 15
    assert all(moments[one.reverses] < one.booked_at for one in reversals)


def test_pushes_come_early_late_twice_or_never(day):
    serials = [event["serial"] for event in day.pushes]
    first = {serial: serials.index(serial) for serial in set(serials)}
    early = [
        one for one in day.bookings if one.reverses and first[one.serial] < first[one.reverses]
    ]

    assert len(set(serials)) < len(day.bookings)
    assert len(serials) > len(set(serials))
    assert serials != sorted(serials)
    assert 0 < len(early) < len(credits_of(day, "taken_back"))
    assert set(day.pushes[0]) >= {"event_id", "account_no", "virtual_account", "reverses"}


def test_the_two_files_overlap_and_hold_every_booking(day):
    morning, rest = day.files

    assert [morning.format, rest.format] == ["ccb_csv", "cmb_xlsx"]
    assert set(morning.bookings) | set(rest.bookings) == set(day.bookings)
    assert len(set(morning.bookings) & set(rest.bookings)) > 300
    for file in day.files:
        opening, amounts, closing = READERS[file.format](file.content)
        assert amounts == [one.signed_fen for one in file.bookings]
        assert closing == opening + sum(amounts)
    assert READERS["ccb_csv"](morning.content)[0] == day.opening_fen


def test_twins_are_the_same_but_for_serial_and_second(day):
    twins = credits_of(day, "twin")
    by_payer: dict[object, list[object]] = {}
    for one in twins:
        by_payer.setdefault((one.virtual_account, one.amount_fen), []).append(one)

    assert all(len(pair) == 2 for pair in by_payer.values())
    for first, second in by_payer.values():
        assert second.booked_at - first.booked_at < timedelta(minutes=1)


def test_a_shop_with_few_orders_or_no_virtual_accounts_has_a_day_too():
    rows = [order for order in orders(seed=1, count=400) if not order.virtual_account]

    small = make_day(rows, seed=1, transfers=80)

    assert {truth.kind for truth in small.truth.values()} >= {"code", "silent", "typo"}
    assert not any(one.virtual_account for one in small.bookings)
