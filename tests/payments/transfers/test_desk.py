"""What a person does with a line; refusals leave everything as it was."""

from dataclasses import replace
from datetime import timedelta

import pytest

from config.kit.errors import NotFound, StaleState
from payments.cashier import refunds
from payments.cashier.models import Payment, Refund
from payments.cashier.services import TooLateToUndo
from payments.ledger import queries as ledger
from payments.ledger.services import audit
from payments.receiving import pool
from payments.receiving.models import VirtualAccount
from payments.transfers import desk, queries, returns
from payments.transfers.models import Allocation, LineEvent, StatementLine
from payments.transfers.rules import Verdict
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    code_of,
    expected,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900
CLERK = "U000CLERK"


def assign(line, shares, payments=None):
    everyone = Payment.objects.all() if payments is None else payments
    numbers = {payment.number: fen for payment, fen in shares.items()}
    return desk.assign(line=line, shares=numbers, payments=everyone, actor=CLERK, at=NOON)


def undo(line):
    return desk.undo(line=line, actor=CLERK, at=NOON)


def unmatched(fen=PRICE, **changes):
    (line,) = arrive(booking(fen, **changes))
    return StatementLine.objects.select_related("receiving_account").get(pk=line.pk)


def test_a_clerk_gives_a_line_to_two_payments(account):
    one, two = expected(5000), expected(4900)
    line = unmatched()

    assign(line, {one: 5000, two: 4900})

    assert line.verdict == Verdict.MATCHED
    assert line.decided_by == CLERK
    assert sorted(payable.told.paid) == sorted([one.reference, two.reference])
    assert ledger.balance(f"suspense:{ACCOUNT}") == 0
    event = LineEvent.objects.get(line=line, kind="MATCHED")
    assert event.actor == CLERK
    assert event.facts["payments"] == {one.number: 5000, two.number: 4900}


def test_what_a_payment_does_not_need_is_owed_back(account):
    one = expected(5000)
    line = unmatched()

    assign(line, {one: PRICE})

    assert Refund.objects.get().amount_fen == 4900


def test_a_payment_that_the_clerk_may_not_see_does_not_exist(account):
    one = expected()
    line = unmatched()

    with pytest.raises(NotFound):
        assign(line, {one: PRICE}, Payment.objects.none())

    line.refresh_from_db()
    assert line.verdict == Verdict.SUGGESTED
    assert not Allocation.objects.exists()


def test_money_on_a_merchants_account_pays_that_merchants_payments_only(account):
    one = expected()
    line = unmatched()
    type(account).objects.filter(pk=account.pk).update(merchant="M_ANOTHER")
    line = StatementLine.objects.get(pk=line.pk)

    with pytest.raises(desk.PaymentOfAnotherMerchant):
        assign(line, {one: PRICE})


def test_a_wrong_match_is_undone_and_made_right(account):
    wrong, right = expected(), expected()
    line = unmatched(remark=code_of(wrong))

    undo(line)

    wrong.refresh_from_db()
    assert (wrong.status, wrong.received_fen) == ("WAITING", 0)
    assert payable.told.unpaid == [wrong.reference]
    assert ledger.balance(f"suspense:{ACCOUNT}") == PRICE
    assign(line, {right: PRICE})
    right.refresh_from_db()
    assert right.status == "CONFIRMED"
    undone, made_right = LineEvent.objects.filter(line=line).order_by("pk")
    assert (undone.kind, made_right.kind) == ("UNDONE", "MATCHED")
    assert undone.facts["judged"]["rule"] == "T2a"  # what the line itself says no longer
    assert Allocation.objects.filter(line=line).count() == 2


def test_the_same_payment_may_be_given_again_after_an_undo(account):
    payment = expected()
    line = unmatched(remark=code_of(payment))

    undo(line)
    assign(line, {payment: PRICE})
    undo(line)
    assign(line, {payment: PRICE})

    payment.refresh_from_db()
    assert payment.received_fen == PRICE


def test_what_was_refunded_cannot_be_undone(account):
    payment = expected()
    line = unmatched(remark=code_of(payment))
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)

    with pytest.raises(TooLateToUndo):
        undo(line)

    line = StatementLine.objects.get(pk=line.pk)
    assert line.verdict == Verdict.MATCHED
    assert Allocation.objects.get().undone_at is None


def test_what_somebody_else_has_decided_is_not_decided_again(account):
    one, two = expected(), expected()
    line = unmatched()
    stale = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    assign(line, {one: PRICE})

    with pytest.raises(StaleState):
        assign(stale, {two: PRICE})
    with pytest.raises(StaleState):
        desk.ignore(line=stale, reason="不是货款", actor=CLERK, at=NOON)

    two.refresh_from_db()
    assert two.received_fen == 0


def test_a_row_that_was_never_posted_pays_nothing_and_is_not_returned(account):
    payment = expected()
    line = unmatched(-500, is_reversal=True)
    out = unmatched(-500)

    for refused in (
        lambda: assign(line, {payment: -500}),
        lambda: returns.give_back(line=line, actor=CLERK, at=NOON),
        lambda: undo(out),
    ):
        with pytest.raises(desk.NotPosted):
            refused()


# --- candidates


def test_candidates_are_ranked_with_what_speaks_for_them(account):
    buyer = make_user()
    arrive(booking(100, virtual_account=virtual_of(expected(100, payer=buyer))))
    same_buyer = expected(PRICE, payer=buyer)
    near = expected(PRICE)
    expected(PRICE + 1)
    code = code_of(near)
    line = unmatched(remark=f"货款{code[:-1]}")  # the last digit was cut off

    found = queries.candidates(line, make_user(is_superuser=True))

    assert [candidate.payment for candidate in found] == [near.number, same_buyer.number]
    assert "金额等于应付" in found[0].why
    assert code in found[0].why
    assert "付款人曾为该买家付款" in found[1].why


# --- through the bank


@pytest.fixture
def bank(sandbox, account):
    sandbox.open_account(ACCOUNT, 10_000_000)
    return sandbox


def test_refunds_go_back_to_the_accounts_the_money_came_from(bank):
    payment = expected(PRICE)
    va = virtual_of(payment)
    arrive(
        booking(4000, virtual_account=va, payer_account="6217000000000001"),
        booking(5900, virtual_account=va, payer_account="6217000000000002"),
    )
    (refund,) = refunds.refund_all(
        purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON
    )

    refunds.send(refund=refund, at=NOON)

    refund.refresh_from_db()
    assert refund.status == "DONE"
    assert ledger.balance(f"bank:{ACCOUNT}") == 0
    paid = str(bank.journal("/bank/payouts"))
    assert "6217000000000001" in paid
    assert "6217000000000002" in paid
    assert payable.told.refunded == [payment.reference]


def test_excess_goes_back_to_the_line_that_was_too_much(bank):
    payment = expected(PRICE)
    va = virtual_of(payment)
    arrive(booking(PRICE, virtual_account=va, payer_account="6217000000000001"))
    arrive(booking(700, virtual_account=va, payer_account="6217000000000002"))
    refund = Refund.objects.select_related("payment", "receipt").get()
    refunds.approve(refund=refund, actor=CLERK, at=NOON)
    refund.refresh_from_db()

    refunds.send(refund=refund, at=NOON)

    refund.refresh_from_db()
    (paid,) = bank.journal("/bank/payouts")
    assert refund.status == "DONE"
    assert "6217000000000002" in str(paid)
    assert "6217000000000001" not in str(paid)


def test_a_refused_refund_fails_with_the_banks_words(bank):
    payment = expected(PRICE)
    arrive(booking(PRICE, virtual_account=virtual_of(payment), payer_account="9999000000000001"))
    (refund,) = refunds.refund_all(
        purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON
    )

    refunds.send(refund=refund, at=NOON)

    refund.refresh_from_db()
    assert refund.status == "FAILED"
    assert "银行拒绝退款" in refund.failure


def test_the_store_of_virtual_accounts_is_filled_from_the_bank(bank, account):
    VirtualAccount.objects.all().delete()

    assert pool.fill(account=account, wanted=12) == 12
    assert pool.fill(account=account, wanted=12) == 0

    assert VirtualAccount.objects.filter(state="FREE").count() == 12
    assert bank.transfer(VirtualAccount.objects.all()[0].number, 100)["serial"]


def test_a_silent_bank_leaves_the_store_as_it_is(bank, account):
    VirtualAccount.objects.all().delete()
    bank.faults("/bank/units", "error_before")

    assert pool.fill(account=account, wanted=12) == 0

    assert not VirtualAccount.objects.exists()


def test_a_match_that_was_too_much_is_undone_with_what_is_owed_back(account):
    payment = expected()
    (line,) = arrive(booking(PRICE + 700, virtual_account=virtual_of(payment)))

    undo(line)

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
    assert Refund.objects.get().status == "VOID"
    assert ledger.balance("refund_payable:BANK_TRANSFER") == 0
    assert ledger.balance(f"suspense:{ACCOUNT}") == PRICE + 700


def test_what_was_twice_is_undone_and_the_payment_stays_paid(account):
    payment = expected()
    first, twice = (booking(PRICE, virtual_account=virtual_of(payment)) for _ in range(2))
    _, line = arrive(first, twice)

    undo(line)

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("CONFIRMED", PRICE)
    assert payable.told.unpaid == []
    assert Refund.objects.get().status == "VOID"


def test_an_excess_that_goes_back_already_is_not_undone(account):
    payment = expected()
    (line,) = arrive(booking(PRICE + 700, virtual_account=virtual_of(payment)))
    refunds.approve(refund=Refund.objects.get(), actor=CLERK, at=NOON)

    with pytest.raises(TooLateToUndo):
        undo(line)

    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"


# --- what T0 had left out


def take_in(line):
    return desk.take_in(line=line, actor=CLERK, at=NOON)


def in_books():
    """Of the account, as the ledger and the lines have it: bank, suspense, elsewhere."""
    assert audit() == []
    return tuple(ledger.balance(f"{kind}:{ACCOUNT}") for kind in ("bank", "suspense", "elsewhere"))


def test_a_line_that_was_ignored_is_a_buyers_after_all(account):
    payment = expected()
    line = unmatched(remark="手续费", payer_account="", payer_name="")
    assert (line.verdict, in_books()) == (Verdict.IGNORED, (PRICE, 0, PRICE))
    assert queries.actions(line)["take_in"]

    take_in(line)

    assert (line.verdict, line.is_posted, line.is_elsewhere) == (Verdict.UNMATCHED, True, False)
    assert in_books() == (PRICE, PRICE, 0)
    assert LineEvent.objects.get(line=line).actor == CLERK
    assign(line, {payment: PRICE})
    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"
    assert in_books() == (PRICE, 0, 0)


def test_what_was_taken_in_by_mistake_is_left_out_again_and_may_be_taken_in_again(account):
    line = unmatched(remark="手续费", payer_account="", payer_name="")
    said = line.reasons

    for _ in range(2):
        take_in(line)
        undo(line)

        assert (line.verdict, line.rule) == (Verdict.IGNORED, "T0")
        assert line.reasons[1:] == said
        assert in_books() == (PRICE, 0, PRICE)
        said = line.reasons
    take_in(line)
    assert in_books() == (PRICE, PRICE, 0)


def test_a_line_that_was_not_booked_is_taken_in_whether_or_not_it_was_ignored(account):
    first = booking(PRICE)
    arrive(first)
    arrive(replace(first, amount_fen=PRICE + 100))  # the same serial: nobody knows which is true
    line = StatementLine.objects.get(key__contains="!")
    desk.ignore(line=line, reason="先不管", actor=CLERK, at=NOON)
    assert in_books() == (PRICE, PRICE, 0)

    take_in(line)

    assert in_books() == (2 * PRICE + 100, 2 * PRICE + 100, 0)
    undo(line)
    assert (line.verdict, in_books()) == (Verdict.IGNORED, (PRICE, PRICE, 0))


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="a buyer's money is in already"),
        pytest.param({"fen": -PRICE}, id="money out"),
        pytest.param({"currency": "USD"}, id="another currency"),
        pytest.param({"booked_at": NOON - timedelta(days=20_000)}, id="a date that cannot be"),
    ],
)
def test_what_is_no_money_of_a_buyer_is_not_taken_in(account, changes):
    line = unmatched(**{"fen": PRICE, **changes})
    before = in_books()

    with pytest.raises((desk.NotToBeTakenIn, StaleState)):
        take_in(line)

    assert not queries.actions(line)["take_in"]
    assert in_books() == before


def test_two_clerks_take_a_line_in_once(account):
    line = unmatched(remark="手续费", payer_account="", payer_name="")
    stale = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    take_in(line)

    with pytest.raises(StaleState):
        take_in(stale)

    assert in_books() == (PRICE, PRICE, 0)
