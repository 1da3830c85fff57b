from datetime import timedelta
from decimal import Decimal
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from members.guides.rules import Bond, Due, code_in, fresh_code, rebond, scene
from tests.members.people import NOON

MONTH = timedelta(days=30)
FIRST = Bond(guide_id=1, since=NOON)
GUIDES = st.integers(1, 4)
# (minutes after the one before, guide, whether the code is the customer's own)
VISITS = st.lists(st.tuples(st.integers(0, 40 * 24 * 60), GUIDES, st.booleans()), max_size=30)


def rebond_to_2(after):
    return rebond(FIRST, 2, is_own=False, at=NOON + after, protection=MONTH)


def test_the_first_guide_keeps_the_customer_until_the_last_moment():
    assert rebond_to_2(MONTH - timedelta(microseconds=1)) == FIRST


def test_then_the_next_link_wins():
    assert rebond_to_2(MONTH) == Bond(guide_id=2, since=NOON + MONTH)


def test_nobody_is_their_own_guide():
    assert rebond(None, 9, is_own=True, at=NOON, protection=MONTH) is None
    assert rebond(FIRST, 9, is_own=True, at=NOON + 2 * MONTH, protection=MONTH) == FIRST


def history(visits):
    """The bond after each visit."""
    bond, at, bonds = None, NOON, []
    for minutes, guide, is_own in visits:
        at += timedelta(minutes=minutes)
        bond = rebond(bond, guide, is_own=is_own, at=at, protection=MONTH)
        bonds.append((at, guide, is_own, bond))
    return bonds


@given(VISITS)
def test_a_list_of_visits_always_gives_the_same_bonds(visits):
    assert history(visits) == history(visits)


@given(VISITS)
def test_a_bond_never_changes_inside_its_protection(visits):
    seen = [bond for *_, bond in history(visits) if bond]
    for before, after in pairwise(seen):
        assert after == before or after.since >= before.since + MONTH


@given(VISITS)
def test_whoever_holds_a_customer_was_visited_at_that_moment_by_somebody_else(visits):
    visited = set()
    for at, guide, is_own, bond in history(visits):
        if not is_own:
            visited.add(Bond(guide, at))
        assert bond is None or bond in visited


@given(VISITS)
def test_visits_inside_the_protection_change_nothing_and_can_be_left_out(visits):
    """What a retry or a second tap on the same link does."""
    for at, guide, is_own, bond in history(visits):
        assert rebond(bond, guide, is_own=is_own, at=at, protection=MONTH) == bond


def commission(base, rate):
    return Due(1, "D1", 1, base, rate).amount_fen


@given(st.integers(0, 10**9), st.decimals(0, 100, places=2))
def test_a_commission_is_between_nothing_and_its_base(base, rate):
    assert 0 <= commission(base, rate) <= base


def test_half_a_fen_is_rounded_up():
    assert commission(10, Decimal(5)) == 1
    assert commission(9, Decimal(5)) == 0


def test_a_scene_fits_wechat_and_leads_back_to_its_code():
    code = fresh_code()

    assert len(scene(code)) <= 32
    assert code_in(scene(code)) == code_in(code) == code_in(f" {code} ") == code


def test_what_cannot_be_a_code_is_none():
    code = fresh_code()
    wrong = "2" if code[0] != "2" else "3"
    for told in (
        "",
        "g=",
        code.lower() if code.lower() != code else "x",
        wrong + code[1:],
        "码" * 9,
    ):
        assert code_in(told) is None
