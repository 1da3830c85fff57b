from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payments.carrier.rules import DRAWN, KEPT, Step, covered, step
from payments.ledger.rules import CHART, Side
from tests.factories import NOON


@pytest.mark.parametrize(
    ("postings", "told", "most"),
    [
        ([], {}, 0),
        ([{"a": 5}, {"a": -5}], {}, 2),
        ([{"a": -5}, {"a": 5}], {}, 2),  # what it spends stands behind it
        ([{"a": -5}, {"a": 5}], {"a": 5}, 2),
        ([{"b": 1}, {"a": -5}, {"b": 1}], {}, 1),
        ([{"a": -5}], {}, 0),
        ([{}, {"a": -5}], {}, 1),  # one that touches nothing there
        ([{"a": 5, "b": -5}, {"b": 5}, {"c": -1}], {}, 2),
    ],
)
def test_a_batch_ends_where_all_is_covered(postings, told, most):
    assert covered(range(len(postings)), dict(enumerate(postings)), told) == most


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(-9, 9)), max_size=12),
    st.dictionaries(st.sampled_from("abc"), st.integers(0, 9)),
)
def test_no_longer_beginning_is_covered(postings, told):
    most = covered(range(len(postings)), dict(enumerate(postings)), told)

    def lowest(count):
        return min(
            (told.get(code, 0) + sum(legs.get(code, 0) for legs in postings[:count]))
            for code in "abc"
        )

    assert lowest(most) >= 0
    assert all(lowest(count) < 0 for count in range(most + 1, len(postings) + 1))


def test_only_what_we_owe_to_somebody_or_have_earned_lies_with_a_carrier():
    assert {CHART[kind].side for kind in KEPT} == {Side.CREDIT}
    assert {kind for kind in CHART if CHART[kind].is_guarded} <= set(KEPT)
    assert set(CHART) - set(KEPT) == {
        "bank", "suspense", "elsewhere", "set_aside", "opening", "clearing", "wechat", "alipay",
        "channel_fee", "fee", "receivable",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("marked_before", "is_noted", "are_over", "is_told", "next_step"),
    [
        (None, False, False, True, Step.MARK),
        (timedelta(0), False, False, True, Step.WAIT),  # an id may be drawn and not written
        (DRAWN, False, False, True, Step.NOTE),
        (DRAWN, True, False, True, Step.WAIT),
        (DRAWN, True, True, False, Step.WAIT),
        (DRAWN, True, True, True, Step.GO_ON),
    ],
)
def test_the_mark_goes_on_when_nothing_can_come_below_it(
    marked_before, is_noted, are_over, is_told, next_step
):
    marked_at = None if marked_before is None else NOON - marked_before

    assert next_step == step(
        marked_at=marked_at, is_noted=is_noted, are_over=are_over, is_told=is_told, at=NOON
    )
