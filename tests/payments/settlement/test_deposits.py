"""A deposit is its merchant's, apart from what is available, until two people deduct it."""

from contextlib import suppress

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.kit.errors import Refusal, StaleState
from payments.cashier.refunds import SecondPersonNeeded
from payments.deposits import queries, services
from payments.deposits.models import DepositMove
from payments.deposits.rules import required
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.ledger.services import NotCovered
from payments.payouts import queries as payouts
from payments.payouts import sending
from payments.payouts.models import Payout
from payments.payouts.services import check as checked
from payments.settlement import debts
from tests.payments.settlement.scene import (
    CLERK,
    LATER,
    MERCHANT,
    NOON,
    OTHER,
    PRICE,
    earned,
    payee,
    request,
    there,
)
from tests.payments.transfers.bank import ACCOUNT

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _earned(db):
    earned()
    yield
    assert ledger.audit() == []


def deposit():
    return queries.deposit_fen(MERCHANT), queries.frozen_fen(MERCHANT)


def top_up(fen=PRICE):
    return services.top_up(merchant=MERCHANT, amount_fen=fen, actor=CLERK, at=NOON)


def punish(fen=30_000):
    words = {"reason": "售假", "evidence": "订单 D1 的鉴定书"}
    return services.punish(merchant=MERCHANT, amount_fen=fen, actor=CLERK, at=NOON, **words)


def ask_back(fen):
    return services.ask_back(
        merchant=MERCHANT, amount_fen=fen, reason="不再经营", actor=CLERK, at=NOON
    )


def check(asked, *, approve=True, actor=OTHER):
    return services.check(asked=asked, approve=approve, actor=actor, at=NOON)


def test_it_is_paid_out_of_what_is_available_and_cannot_be_paid_out():
    top_up(60_000)

    assert (deposit(), there()) == ((60_000, 0), (40_000, 0))
    payee()
    with pytest.raises(NotCovered):
        request(50_000)
    with pytest.raises(NotCovered):
        top_up(50_000)
    assert (deposit(), there()) == ((60_000, 0), (40_000, 0))


def test_a_violation_freezes_and_another_person_deducts():
    top_up()
    asked = punish()
    assert deposit() == (70_000, 30_000)
    with pytest.raises(SecondPersonNeeded):
        check(asked, actor=CLERK)

    check(asked)

    assert deposit() == (70_000, 0)
    assert books.balance("penalties:platform") == 30_000
    with pytest.raises(StaleState):
        check(asked, approve=False)
    assert deposit() == (70_000, 0)


def test_who_says_no_thaws_it():
    top_up()

    check(punish(), approve=False)

    assert deposit() == (PRICE, 0)
    assert books.balance("penalties:platform") == 0


def test_more_than_is_there_is_neither_deducted_nor_given_back():
    top_up(20_000)
    punish(15_000)

    with pytest.raises(NotCovered):
        punish(5_001)
    with pytest.raises(NotCovered):
        ask_back(5_001)

    assert deposit() == (5_000, 15_000)
    assert DepositMove.objects.count() == 2


def test_who_leaves_has_it_back_as_available_money():
    top_up()

    check(ask_back(PRICE))

    assert (deposit(), there()) == ((0, 0), (PRICE, 0))


def test_a_category_asks_for_what_it_or_one_above_it_asks():
    services.set_rule(category="games", required_fen=2_000_000)

    assert required(["tea"], {}) == 0
    assert required(["virtual"], {}) == 1_000_000
    with pytest.raises(queries.DepositTooSmall) as refusal:
        queries.require(merchant=MERCHANT, categories=["games", "virtual"])
    assert refusal.value.details == {"required_fen": 2_000_000, "short_fen": 2_000_000}
    services.set_rule(category="virtual", required_fen=PRICE)
    services.set_rule(category="games", required_fen=0)
    top_up()
    queries.require(merchant=MERCHANT, categories=["games", "virtual"])
    punish(1)
    with pytest.raises(queries.DepositTooSmall):
        queries.require(merchant=MERCHANT, categories=["games", "virtual"])


def test_the_audit_sees_a_deposit_that_something_else_has_touched():
    top_up()
    legs = {f"deposit:{MERCHANT}": 1}, {f"merchant:{MERCHANT}:available": 1}
    with transaction.atomic():
        ledger.post([Draft("TEST", "mixed", *legs)], at=NOON)

        assert len([one for one in ledger.audit() if "保证金" in one]) == 2

        transaction.set_rollback(True)


# --- whatever happens, nothing of a merchant's is made or lost


ACTS = st.sampled_from(
    ["request", "approve", "decline", "begin", "left", "refused", "top_up", "punish", "back",
     "agree", "disagree", "owe", "square"]
)  # fmt: skip
STEPS = st.lists(st.tuples(ACTS, st.integers(1, PRICE)), max_size=15)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_the_sum_of_a_merchants_accounts_changes_only_by_what_leaves_it(steps):
    with transaction.atomic():
        payee()
        for n, (act, fen) in enumerate(steps):
            with suppress(Refusal):
                _do(act, fen, n)
            assert _all_of_it() == PRICE
            assert [*payouts.findings(), *queries.findings(), *books.findings()] == []
        transaction.set_rollback(True)


def _all_of_it():
    """His own, less his debt, and what has left him: paid, deducted, taken back by the bank."""
    own = sum(there()) + sum(deposit()) - books.balance(f"receivable:{MERCHANT}")
    paid = PRICE - books.balance(f"bank:{ACCOUNT}")
    return own + paid + books.balance("penalties:platform") - books.balance("clearing:TEST")


def _do(act, fen, n):
    moves = {
        "top_up": lambda: top_up(fen),
        "punish": lambda: punish(fen),
        "back": lambda: ask_back(fen),
        "square": lambda: debts.square(merchant=MERCHANT, at=NOON),
        "request": lambda: request(fen),
        "owe": lambda: _owe(fen, n),
    }
    if act in moves:
        moves[act]()
    elif act in {"agree", "disagree"}:
        if asked := DepositMove.objects.filter(status="ASKED").first():
            check(asked, approve=act == "agree")
    elif payout := Payout.objects.select_related("account").order_by("-pk").first():
        {
            "approve": lambda: checked(payout=payout, approve=True, actor=OTHER, at=LATER),
            "decline": lambda: checked(payout=payout, approve=False, actor=OTHER, at=LATER),
            "begin": lambda: sending._begin(payout, LATER),
            "left": lambda: sending._left(payout, f"OUT{n}", LATER),
            "refused": lambda: sending._refused(payout, "银行拒绝付款", LATER),
        }[act]()


def _owe(fen, n):
    """The bank took so much back after it had gone."""
    legs = {f"receivable:{MERCHANT}": fen}, {"clearing:TEST": fen}
    ledger.post([Draft("TEST", f"owe {n}", *legs)], at=NOON)
