from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.kit import money, numbers
from config.kit.errors import Refusal
from config.kit.outside import assert_no_transaction


@given(st.integers(0, 10**12), st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_the_parts_add_up_to_the_whole(fen, weights):
    parts = money.split(fen, weights)

    assert sum(parts) == fen
    assert min(parts) >= 0


@pytest.mark.parametrize(
    ("fen", "rate", "expected"), [(100, "5", 5), (10, "5", 1), (9, "5", 0), (1, "50", 1)]
)
def test_half_a_fen_is_rounded_up(fen, rate, expected):
    assert money.percent(fen, Decimal(rate)) == expected


@pytest.mark.parametrize(
    ("fen", "shown"), [(0, "0.00"), (5, "0.05"), (123456, "1,234.56"), (-123456, "-1,234.56")]
)
def test_yuan_for_people(fen, shown):
    assert money.yuan(fen) == shown


@given(st.integers(0, 30), st.integers(0, 10))
def test_one_wrong_sign_in_a_number_is_noticed(wrong, place):
    number = numbers.fresh("D")
    sign = numbers.ALPHABET[wrong]
    mistyped = number[: 1 + place] + sign + number[2 + place :]

    assert numbers.is_sound(number)
    assert numbers.is_sound(mistyped) == (mistyped == number)


@given(st.integers(0, 10))
def test_swapped_neighbours_are_noticed(place):
    number = numbers.fresh("D")
    swapped = number[: 1 + place] + number[2 + place] + number[1 + place] + number[3 + place :]

    assert numbers.is_sound(swapped) == (swapped == number)


@pytest.mark.parametrize("nonsense", ["", "D", "D0", "Dillegal", "D" + "1" * 13])
def test_nonsense_is_not_a_number(nonsense):
    assert not numbers.is_sound(nonsense)


@given(st.integers(0, 999_999), st.integers(0, 7), st.integers(0, 9))
def test_one_wrong_digit_of_a_code_is_noticed(payload, place, digit):
    code = numbers.mod97_digits(payload, 6)
    mistyped = code[:place] + str(digit) + code[place + 1 :]

    assert numbers.is_mod97(code)
    assert numbers.is_mod97(mistyped) == (mistyped == code)


def test_a_refusals_code_is_its_name():
    class NotForSaleToday(Refusal):
        pass

    assert NotForSaleToday().code == "NOT_FOR_SALE_TODAY"


@pytest.mark.django_db(transaction=True)
def test_no_network_inside_a_transaction():
    from django.db import transaction

    assert_no_transaction()
    with transaction.atomic(), pytest.raises(AssertionError, match="inside a database"):
        assert_no_transaction()
