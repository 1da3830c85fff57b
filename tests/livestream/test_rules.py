from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from livestream.rules import is_ticket_of, is_time_to_tell, lot_of, masked, ticket

NOON = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)
LOT = "K23456789ABCDE"
REQUEST = "0b0e7c1e-3c1d-4d2a-9a53-8f5a2b8f0c11"


def test_a_ticket_is_the_same_for_the_same_request_and_another_for_any_other():
    mine = ticket(LOT, 7, REQUEST)

    assert mine == ticket(LOT, 7, REQUEST)
    assert len({mine, ticket(LOT, 8, REQUEST), ticket(LOT + "F", 7, REQUEST)}) == 3
    assert mine != ticket(LOT, 7, REQUEST.replace("0", "1"))
    assert lot_of(mine) == LOT
    assert len(mine) <= 40


def test_a_ticket_says_whose_it_is():
    mine = ticket(LOT, 7, REQUEST)

    assert is_ticket_of(mine, 7)
    assert not is_ticket_of(mine, 8)
    assert not is_ticket_of(mine + "2", 7)
    assert not is_ticket_of(mine.replace("-K", "-L"), 7)


@given(st.text(max_size=60))
def test_what_nobody_gave_out_is_nobodys(text):
    assert not is_ticket_of(text, 7)


@pytest.mark.parametrize(
    ("nickname", "shown"), [("王小美", "王**"), ("阿强", "阿**"), ("x", "x**"), ("", "***")]
)
def test_a_name_is_masked_before_strangers(nickname, shown):
    assert masked(nickname) == shown


@pytest.mark.parametrize(
    ("left", "told", "ms_ago", "expected"),
    [
        (5, 5, 9000, False),
        (5, 6, 100, False),
        (5, 6, 250, True),
        (0, 6, 0, True),
        (0, 0, 9000, False),
        (6, 5, 300, True),
    ],
)
def test_the_room_hears_four_figures_a_second_and_the_end_at_once(left, told, ms_ago, expected):
    told_at = NOON - timedelta(milliseconds=ms_ago)

    assert is_time_to_tell(left, told, told_at, NOON) is expected
