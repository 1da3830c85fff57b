import pytest

from payments.transfers.ladder.shadow import Judged, Opinion, Score, compare

P1, P2 = frozenset({"P1"}), frozenset({"P2"})
NOBODY = frozenset[str]()
PAYS_1 = Opinion("MATCHED", "T1a", P1)
GUESSES_1, GUESSES_2 = Opinion("MATCHED", "T4", P1), Opinion("MATCHED", "T4", P2)
ASKS = Opinion("SUGGESTED", "T2b")


def test_precision_and_recall_are_counted_apart_by_rung_and_in_all():
    found = compare(
        [
            Judged("L1", PAYS_1, PAYS_1, P1),
            Judged("L2", ASKS, GUESSES_1, P1),
            Judged("L3", ASKS, GUESSES_1, P2),  # a person knew better
            Judged("L4", ASKS, ASKS, P2),
        ]
    )

    assert found.live.all == Score(automatic=1, right=1, wrong=0, payable=4)
    assert (found.live.all.precision, found.live.all.recall) == (1, 0.25)
    assert found.shadow.all == Score(automatic=3, right=2, wrong=1, payable=4)
    assert found.shadow.all.precision == pytest.approx(2 / 3)
    assert found.shadow.by_rule["T4"] == Score(automatic=2, right=1, wrong=1, payable=2)
    assert found.live.by_rule["T2b"].recall == 0


def test_where_the_money_went_is_not_known_yet_nothing_is_right_or_wrong():
    found = compare([Judged("L1", ASKS, GUESSES_1, None)])

    assert found.shadow.all == Score(automatic=1, right=0, wrong=0, payable=0)
    assert (found.shadow.all.precision, found.shadow.all.recall) == (None, None)


def test_money_that_was_for_no_payment_makes_whoever_paid_one_wrong():
    assert compare([Judged("L1", ASKS, GUESSES_1, NOBODY)]).shadow.all.wrong == 1


def test_only_another_act_is_a_difference():
    same = Judged("L1", PAYS_1, GUESSES_1, P1)  # another rung, the same payment
    bolder = Judged("L2", ASKS, GUESSES_1, None)
    other = Judged("L3", PAYS_1, GUESSES_2, None)

    assert compare([same, bolder, other]).differ == [bolder, other]


def test_several_payments_of_one_line_are_right_only_together():
    both = Opinion("MATCHED", "T3a", P1 | P2)

    found = compare([Judged("L1", PAYS_1, both, P1 | P2)])

    assert (found.live.all.wrong, found.shadow.all.right) == (1, 1)
