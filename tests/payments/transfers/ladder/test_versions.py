"""Lines of one batch beside each other, and versions of the ladder beside each other."""

from payments.transfers.ladder.facts import Terms
from payments.transfers.ladder.versions import CURRENT, LADDERS, decide, needs_more
from payments.transfers.rules import Verdict
from tests.payments.transfers.ladder.cast import (
    KNOWS_WANG,
    LI,
    MASKED,
    PRICE,
    WANG,
    WANGS,
    book,
    fact,
    intent,
    judge,
    paid,
)

OLD = "2026.11"


def rules(decisions):
    return [decision.rule for decision in decisions]


# --- one batch ----------------------------------------------------------------------------------


def test_of_twins_by_virtual_account_the_earlier_one_pays():
    one = intent()
    twins = [fact(virtual_account=one.virtual_account) for _ in range(2)]

    assert rules(decide(twins, book(one))) == ["T1a", "T1d"]


def test_of_twins_by_code_the_earlier_one_pays_and_the_other_waits():
    one = intent()
    twins = [fact(remark=one.code) for _ in range(2)]

    decisions = decide(twins, book(one))

    assert paid(decisions) == [((one.payment_id, PRICE),), ()]
    assert decisions[1].verdict == Verdict.SUGGESTED


def test_a_line_that_names_its_payment_goes_before_one_that_guesses_it():
    one = intent()
    guess, name = fact(**WANGS), fact(remark=one.code)

    for order in ([guess, name], [name, guess]):
        decisions = dict(zip(order, decide(order, book(one, payers=KNOWS_WANG)), strict=True))
        assert decisions[name].rule == "T2a"
        assert decisions[guess].verdict == Verdict.SUGGESTED
        assert "同一批" in decisions[guess].reasons[0]


def test_of_two_that_guess_one_payment_neither_pays():
    one = intent()

    decisions = decide([fact(**WANGS), fact(**WANGS)], book(one, payers=KNOWS_WANG))

    assert paid(decisions) == [(), ()]
    assert {decision.verdict for decision in decisions} == {Verdict.SUGGESTED}
    assert {decision.reasons[0] for decision in decisions} == {"同一批另有来账也可能付这张支付单"}


def test_the_account_and_the_name_of_a_payer_are_rivals_too():
    one = intent()
    known = book(one, payers=KNOWS_WANG, terms=Terms(auto=frozenset({"T5"})))

    assert paid(decide([fact(**WANGS), fact(**MASKED)], known)) == [(), ()]


def test_what_a_line_names_but_does_not_pay_is_not_for_one_that_guesses():
    one = intent()
    named = fact(PRICE - 1, one.code)

    decisions = decide([fact(**WANGS), named], book(one, payers=KNOWS_WANG))

    assert paid(decisions) == [(), ()]


def test_parts_add_up_within_a_batch():
    one = intent()
    parts = [fact(fen, virtual_account=one.virtual_account) for fen in (4000, 5000, 900, 1)]

    assert rules(decide(parts, book(one))) == ["T1b", "T1b", "T1a", "T1d"]


def test_what_is_left_of_a_part_may_be_paid_by_a_known_payer():
    one = intent()
    part = fact(4000, virtual_account=one.virtual_account)

    decisions = decide([fact(5900, **WANGS), part], book(one, payers=KNOWS_WANG))

    assert rules(decisions) == ["T4", "T1b"]


def test_a_payment_less_a_fee_is_full_for_the_next_line():
    one = intent()
    lines = [fact(fen, virtual_account=one.virtual_account) for fen in (PRICE - 5, 5)]

    assert rules(decide(lines, book(one, terms=Terms(fee_up_to_fen=5)))) == ["T8", "T1d"]


def test_of_several_equal_payments_the_last_one_left_is_still_not_unique():
    """A book has only some of many equal ones: that the others are paid now proves nothing."""
    one, two = intent(payer_id=LI), intent()
    known = book(one, two, payers=KNOWS_WANG, terms=Terms(auto=frozenset({"T5"})))

    decisions = decide([fact(virtual_account=one.virtual_account), fact(**MASKED), fact()], known)

    assert rules(decisions) == ["T1a", "T5", ""]
    assert paid(decisions)[1:] == [(), ()]


def test_a_payment_that_now_asks_for_as_much_makes_another_ambiguous():
    one, two = intent(payer_id=LI), intent(5900)
    part = fact(4000, virtual_account=one.virtual_account)

    assert rules(decide([part, fact(5900)], book(one, two))) == ["T1b", ""]


def test_deciding_changes_nothing_in_the_book():
    one = intent()
    lines = [fact(virtual_account=one.virtual_account)]
    known = book(one)

    assert decide(lines, known) == decide(lines, known)


def test_each_merchant_has_its_own_terms():
    one, other = intent(merchant="M1"), intent(merchant="M2")
    known = book(one, other)
    known.terms = {"M1": Terms(off=frozenset({"T1a"})), "": Terms(up_to_fen=PRICE)}
    lines = [fact(virtual_account=each.virtual_account) for each in (one, other)]

    assert paid(decide(lines, known)) == [(), ((other.payment_id, PRICE),)]


def test_several_payments_are_paid_at_once_only_where_every_merchant_allows_it():
    one, other = intent(merchant="M1"), intent(merchant="M2")
    known = book(one, other)
    known.terms = {"M2": Terms(off=frozenset({"T3a"}))}

    decision = judge(fact(2 * PRICE, f"{one.code}，{other.code}"), known)

    assert (decision.verdict, decision.rule) == (Verdict.SUGGESTED, "T3a")


# --- versions -----------------------------------------------------------------------------------


def test_the_current_version_is_one_of_the_ladders():
    assert CURRENT in LADDERS


def test_the_version_before_goes_no_further_than_a_code():
    one, two = intent(), intent(5000)
    known = book(one, two, payers=KNOWS_WANG, terms=Terms(fee_up_to_fen=100))
    lines = [
        fact(virtual_account=one.virtual_account),
        fact(5000, two.code),
        fact(14_900, f"{one.code}，{two.code}"),
        fact(**WANGS),
        fact(4999, two.code),
    ]

    assert rules(decide(lines[:2], known, OLD)) == rules(decide(lines[:2], known)) == ["T1a", "T2a"]
    assert [rules(decide([line], known, OLD)) for line in lines[2:]] == [["T3"], [""], ["T2b"]]
    assert [rules(decide([line], known)) for line in lines[2:]] == [["T3a"], ["T4b"], ["T8"]]


# --- when more has to be known ------------------------------------------------------------------


def test_a_line_that_names_its_payment_needs_nothing_more():
    one = intent()
    own = intent(virtual_account="VWANG", is_shared=True)
    known = book(one, own)

    assert not needs_more(fact(1, virtual_account=one.virtual_account), known)
    assert not needs_more(fact(1, virtual_account="VWANG"), known)
    assert not needs_more(fact(remark=one.code), known)
    assert not needs_more(fact(1, f"{one.code}，{own.code}"), known)


def test_a_line_that_names_nothing_or_another_amount_needs_more():
    one = intent()

    assert needs_more(fact(), book(one))
    assert needs_more(fact(1, one.code), book(one))
    assert needs_more(fact(virtual_account="V0"), book(one))


def test_what_is_added_later_does_not_replace_what_is_known():
    one = intent()
    known = book(one)

    known.add([one._replace(left_fen=1), intent(payer_id=WANG)])

    assert known.intents[one.payment_id].left_fen == PRICE
    assert len(known.intents) == 2
