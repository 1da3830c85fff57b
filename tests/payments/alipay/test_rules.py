from datetime import UTC, datetime, timedelta

import pytest

from payments.alipay.rules import (
    Standing,
    hash_of,
    is_long,
    may_begin,
    offer_until,
    page_of,
    token_of,
)

NOON = datetime(2026, 11, 25, 4, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)


def test_an_offer_is_good_for_a_quarter_of_an_hour_and_never_after_the_payment_s_time():
    assert offer_until(NOON, NOON + DAY) == NOON + 15 * MINUTE
    assert offer_until(NOON, NOON + 5 * MINUTE) == NOON + 5 * MINUTE
    odd = NOON + timedelta(microseconds=7)
    assert offer_until(odd, NOON + DAY) == NOON + 15 * MINUTE


@pytest.mark.parametrize(
    ("until", "pay_before", "expected"),
    [
        (None, NOON + DAY, False),
        (NOON + 3 * MINUTE, NOON + DAY, True),
        (NOON + MINUTE, NOON + DAY, False),
        (NOON + MINUTE, NOON + MINUTE, True),  # a new one would be no longer
        (NOON, NOON, False),
        (NOON - MINUTE, NOON + DAY, False),
    ],
)
def test_an_offer_that_is_out_is_handed_out_again_while_it_is_worth_it(until, pay_before, expected):
    assert is_long(until, pay_before, NOON) is expected


def test_by_anybody_s_clock_an_offer_may_begin_a_little_longer():
    assert not may_begin(None, NOON)
    assert may_begin(NOON, NOON - MINUTE)
    assert may_begin(NOON, NOON + timedelta(seconds=9))
    assert not may_begin(NOON, NOON + timedelta(seconds=10))


def test_a_token_is_the_payment_s_the_secret_s_and_nobody_s_else():
    token = token_of("P1", "secret")

    assert token == token_of("P1", "secret")
    assert len({token, token_of("P2", "secret"), token_of("P1", "other")}) == 3
    assert len(token) == 43
    assert token not in hash_of(token)


@pytest.mark.parametrize(
    ("standing", "expected"),
    [
        (("WAITING", 100, 0, False, NOON + MINUTE), "OPEN"),
        (("WAITING", 100, 0, False, NOON), "EXPIRED"),
        (("CLOSED", 100, 0, False, NOON + MINUTE), "CLOSED"),
        (("CONFIRMED", 100, 0, True, NOON), "PAID"),
        (("CONFIRMED", 100, 99, True, NOON), "PAID"),
        (("CONFIRMED", 100, 100, True, NOON), "RETURNED"),
        (("CLOSED", 100, 0, True, NOON), "RETURNED"),
    ],
)
def test_what_the_page_says(standing, expected):
    assert page_of(Standing(*standing), NOON).name == expected
