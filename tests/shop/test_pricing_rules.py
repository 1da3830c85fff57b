import pytest
from hypothesis import given
from hypothesis import strategies as st

from members.memberships.rules import Standing
from shop.pricing.rules import Kind, Listing, Rule, price_tag, quote

MEMBER, GOLD = Standing(level_id=None), Standing(level_id=7)
RULES = [
    Rule("10", Kind.BREAK, 90, min_quantity=10),
    Rule("11", Kind.BREAK, 70, min_quantity=100),
    Rule("20", Kind.MEMBER, 80),
    Rule("30", Kind.LEVEL, 75, level_id=7),
    Rule("31", Kind.LEVEL, 60, level_id=8),
]
LISTING = Listing(100, 3, RULES)


@pytest.mark.parametrize(
    ("case", "quantity", "standing", "expected"),
    [
        ("a guest pays the list price", 3, None, (100, Kind.LIST, 3)),
        ("many pieces are cheaper", 10, None, (90, Kind.BREAK, 3)),
        ("a member pays the member price from one piece", 1, MEMBER, (80, Kind.MEMBER, 1)),
        ("of one's own level only", 1, GOLD, (75, Kind.LEVEL, 1)),
        ("a break below the member price wins for members too", 100, GOLD, (70, Kind.BREAK, 1)),
    ],
)
def test_the_lowest_price_that_applies(case, quantity, standing, expected):
    asked = quote(LISTING, quantity, standing)

    assert (asked.unit_fen, asked.reason, asked.min_quantity) == expected


def test_of_equal_prices_the_more_specific_is_named():
    listing = Listing(100, 1, [Rule("1", Kind.BREAK, 80), Rule("2", Kind.MEMBER, 80)])

    assert quote(listing, 1, MEMBER).reason == Kind.MEMBER


def test_an_offer_is_what_it_says():
    asked = quote(LISTING, 1, GOLD, Rule("O1", Kind.OFFER, 85))

    assert (asked.unit_fen, asked.reason, asked.min_quantity) == (85, Kind.OFFER, 1)


def test_a_guest_does_not_see_what_members_pay():
    told = {line["kind"] for line in quote(LISTING, 10, None).receipt}

    assert told == {"LIST", "BREAK"}


def test_the_receipt_names_every_rule_of_the_buyers_audience_and_why():
    receipt = quote(LISTING, 10, MEMBER).receipt

    assert [(line["rule"], line["applied"], line["why"]) for line in receipt] == [
        ("LIST", False, "非最低价"),
        ("10", False, "非最低价"),
        ("11", False, "满 100 件"),
        ("20", True, "采用"),
    ]


rules = st.lists(
    st.builds(
        Rule,
        id=st.uuids().map(str),
        kind=st.sampled_from([Kind.BREAK, Kind.MEMBER, Kind.LEVEL]),
        price_fen=st.integers(1, 10**9),
        min_quantity=st.integers(1, 5),
        level_id=st.integers(1, 3),
    ),
    max_size=6,
)
standings = st.none() | st.builds(Standing, level_id=st.none() | st.integers(1, 3))


@given(st.integers(1, 10**9), st.integers(1, 5), rules, standings)
def test_the_shelf_and_the_till_agree(list_fen, least, found, standing):
    listing = Listing(list_fen, least, found)
    price, reason, shown_least = price_tag(listing, standing)
    asked = quote(listing, shown_least, standing)

    assert (price, reason, shown_least) == (asked.unit_fen, asked.reason, asked.min_quantity)
    assert price <= list_fen
    assert [line["applied"] for line in asked.receipt].count(True) == 1
