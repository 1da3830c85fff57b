"""Refunds on their way to the bank, and what becomes of them when the bank takes money back."""

import pytest

from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, PaymentEvent, Refund, RefundPart
from payments.channels import transfer
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.transfers import desk, queries
from payments.transfers.models import Policy, StatementLine
from tests.payments import payable
from tests.payments.transfers.bank import (
    ACCOUNT,
    NOON,
    arrive,
    booking,
    expected,
    push,
    transfer_in,
)
from tests.payments.transfers.bank import account as make_account

pytestmark = pytest.mark.django_db
PRICE = 9900
OTHER = "755900000220"
CLOSED = "9999000000000002"  # a payer whose account is closed, says the sandbox


@pytest.fixture
def bank(sandbox, account):
    sandbox.open_account(ACCOUNT, 10_000_000)
    sandbox.open_account(OTHER, 10_000_000)
    return sandbox


def cancelled(payment):
    """The thing is cancelled: all that was kept goes back, as soon as somebody sends it."""
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)
    return Refund.objects.select_related("payment").get(payment=payment, status="APPROVED")


def send(refund, bank=None, fault=""):
    if fault:
        bank.faults("/bank/payouts", fault)
    cashier_tasks.send_refund(refund_id=refund.pk)
    refund.refresh_from_db()
    return refund.status


def reverse(line):
    return push(booking(-line.amount_fen, is_reversal=True, reverses=line.serial))


def balances():
    """Owed to buyers, owed by the merchant, held, and what is left in the bank's account."""
    return (
        books.balance("refund_payable:BANK_TRANSFER"),
        books.balance(f"receivable:{payable.MERCHANT}"),
        books.balance(f"held:{payable.MERCHANT}"),
        books.balance(f"bank:{ACCOUNT}"),
    )


def stands():
    return sorted(Refund.objects.values_list("status", "amount_fen"))


def paid_out(bank):
    return [one["body"] for one in bank.journal("/bank/payouts") if "body" in one]


# --- the answer was lost, and the bank took the money back


def test_a_refund_that_had_left_is_done_although_its_money_was_reversed(bank):
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    assert send(refund, bank, "error_after") == "SENDING"

    reverse(line)

    assert send(refund) == "DONE"
    assert transfer.bank("sandbox").payout(refund.number).serial == refund.channel_txn
    # It came, left, and was taken back: the buyer has it twice, the bank's account lacks it.
    assert balances() == (0, PRICE, 0, -PRICE)
    assert payable.told.refunded == [payment.reference]


def test_a_refund_that_had_not_left_is_void_and_nobody_owes_anything(bank):
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    assert send(refund, bank, "error_before") == "SENDING"

    reverse(line)
    assert balances() == (PRICE, PRICE, 0, 0)  # nobody knows yet

    assert send(refund) == "VOID"
    assert balances() == (0, 0, 0, 0)
    payment.refresh_from_db()
    assert (payment.status, payment.received_fen, payment.covered_fen) == ("CLOSED", 0, 0)
    written = PaymentEvent.objects.get(kind="REFUND_WRITTEN_OFF")
    assert written.facts == {"fen": PRICE, "refund": refund.number}
    assert transfer.bank("sandbox").payout(refund.number) is None


def test_an_excess_that_had_not_left_and_was_reversed_is_void_too(bank):
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE)
    twice = transfer_in(payment, fen=5000)
    refunds.approve(refund=Refund.objects.get(), actor="U1", at=NOON)
    refund = Refund.objects.select_related("payment").get()
    assert send(refund, bank, "error_before") == "SENDING"

    reverse(twice)

    assert send(refund) == "VOID"
    assert balances() == (0, 0, PRICE, PRICE)
    payment.refresh_from_db()
    assert (payment.status, payment.refunded_fen) == ("CONFIRMED", 0)


def test_the_bank_that_does_not_say_leaves_it_open(bank):
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    send(refund, bank, "error_before")
    reverse(line)

    bank.faults(f"/bank/payouts/{refund.number}", "error_before")
    assert send(refund) == "SENDING"

    assert balances() == (PRICE, PRICE, 0, 0)
    assert send(refund) == "VOID"


def test_what_a_reversal_may_have_taken_back_waits_for_a_person(bank):
    """Of another amount: it has not found its original, and the money is not sent either."""
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    push(booking(-1, is_reversal=True, reverses=line.serial))

    assert send(refund) == "FAILED"

    refund.refresh_from_db()
    assert "冲正" in refund.failure
    assert paid_out(bank) == []


# --- in parts


def half_sent(bank):
    """4000 have left; the bank refuses the payer of 5900."""
    payment = expected(PRICE)
    one = transfer_in(payment, fen=4000)
    two = transfer_in(payment, fen=5900, payer_account=CLOSED)
    refund = cancelled(payment)
    send(refund)
    return payment, one, two


def test_what_has_left_is_done_and_the_rest_is_a_refund_of_its_own(bank):
    payment, _, _ = half_sent(bank)

    assert stands() == [("DONE", 4000), ("FAILED", 5900)]
    assert balances() == (5900, 0, 0, 5900)
    assert payable.told.refunded == []
    rest = Refund.objects.get(status="FAILED")
    assert "银行拒绝退款" in rest.failure
    payment.refresh_from_db()
    assert payment.refunded_fen == PRICE


def test_trying_the_rest_again_repeats_no_part(bank):
    payment, _, two = half_sent(bank)
    rest = Refund.objects.select_related("payment").get(status="FAILED")
    StatementLine.objects.filter(pk=two.pk).update(payer_account="6217000000000009")

    refunds.approve(refund=rest, actor="U1", at=NOON)

    assert send(rest) == "DONE"
    assert sum(one["amount_fen"] for one in paid_out(bank)) == PRICE + 5900  # one was refused
    assert balances() == (0, 0, 0, 0)
    assert payable.told.refunded == [payment.reference]


def test_a_reversal_of_the_part_that_has_left_is_the_merchants_loss(bank):
    _, one, _ = half_sent(bank)

    reverse(one)

    assert stands() == [("DONE", 4000), ("FAILED", 5900)]
    assert balances() == (5900, 4000, 0, 1900)


def test_a_reversal_of_the_part_that_has_not_left_voids_it(bank):
    _, _, two = half_sent(bank)

    reverse(two)

    assert stands() == [("DONE", 4000), ("VOID", 5900)]
    assert balances() == (0, 0, 0, 0)


@pytest.mark.parametrize("reversed_part", [0, 1])
def test_a_reversal_while_one_part_has_left_and_another_is_not_answered(bank, reversed_part):
    payment = expected(PRICE)
    lines = [
        transfer_in(payment, fen=4000),
        transfer_in(payment, fen=5900, payer_account="62170000000002"),
    ]
    refund = cancelled(payment)
    left = refunds._begin(refund, NOON)[0]
    refunds._send(left, NOON)

    reverse(lines[reversed_part])
    send(refund)

    whole, part = ("DONE", PRICE), ("DONE", 4000)
    assert stands() == [part if reversed_part else whole]
    assert balances() == ((0, 0, 0, 0) if reversed_part else (0, 4000, 0, -4000))


def test_a_refused_number_is_not_used_again(bank):
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE, payer_account=CLOSED)
    refund = cancelled(payment)
    assert send(refund) == "FAILED"

    refunds.approve(refund=refund, actor="U1", at=NOON)
    assert send(refund) == "FAILED"

    assert [one["out_no"] for one in paid_out(bank)] == [refund.number, f"{refund.number}-2"]
    assert set(refund.parts.values_list("status", flat=True)) == {"VOID"}
    assert balances() == (PRICE, 0, 0, PRICE)


# --- from the account that it came to


def test_what_came_to_another_account_leaves_from_that(bank):
    payment = expected(PRICE)  # asked for on ACCOUNT
    other = make_account(OTHER)
    (line,) = arrive(booking(PRICE + 700), account_no=OTHER)
    everyone = Payment.objects.all()
    desk.assign(
        line=line, shares={payment.number: PRICE + 700}, payments=everyone, actor="U1", at=NOON
    )
    refund = Refund.objects.select_related("payment").get()
    refunds.approve(refund=refund, actor="U1", at=NOON)

    assert send(refund) == "DONE"

    (sent,) = paid_out(bank)
    assert (sent["account_no"], sent["amount_fen"]) == (OTHER, 700)
    assert (books.balance(f"bank:{OTHER}"), books.balance(f"bank:{ACCOUNT}")) == (PRICE, 0)
    marks = {refund.number, refund.channel_txn}
    assert queries.known_payouts(other, marks) == marks
    assert queries.known_payouts(make_account(), marks) == frozenset()


# --- banks kept a fee on the way (T8)


@pytest.fixture
def with_fee(bank):
    Policy.objects.create(merchant="", fee_up_to_fen=2500)
    payment = expected(PRICE)
    line = transfer_in(payment, fen=PRICE - 2000)
    assert (line.rule, books.balance(f"fee:{ACCOUNT}")) == ("T8", 2000)
    payment.refresh_from_db()
    assert payment.status == "CONFIRMED"
    return payment, line


def test_the_buyer_gets_back_what_came_and_the_fee_is_no_expense_any_more(bank, with_fee):
    payment, _ = with_fee

    assert send(cancelled(payment)) == "DONE"

    assert [one["amount_fen"] for one in paid_out(bank)] == [PRICE - 2000]
    assert balances() == (0, 0, 0, 0)
    assert books.balance(f"fee:{ACCOUNT}") == 0
    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("CLOSED", PRICE - 2000)


def test_a_reversal_after_that_is_no_different(bank, with_fee):
    payment, line = with_fee
    refund = cancelled(payment)

    reverse(line)

    assert send(refund) == "VOID"
    assert balances() == (0, 0, 0, 0)
    assert books.balance(f"fee:{ACCOUNT}") == 0


def test_what_was_paid_twice_gives_back_no_fee_either(bank):
    Policy.objects.create(merchant="", fee_up_to_fen=2500)
    payment = expected(PRICE)
    payable.told.paid.append(payment.reference)  # by something else, a moment ago

    transfer_in(payment, fen=PRICE - 2000)

    assert stands() == [("OWED", PRICE - 2000)]
    assert books.balance(f"fee:{ACCOUNT}") == 0


def test_a_part_whose_fee_stayed_goes_back_when_its_payment_is_closed(bank, with_fee):
    """Paid in two, the later with a fee; the earlier is reversed, and nobody pays again."""
    payment = expected(PRICE)
    first = transfer_in(payment, fen=4000)
    transfer_in(payment, fen=PRICE - 4000 - 2000)
    reverse(first)
    payment.refresh_from_db()
    assert payment.status == "WAITING"

    cashier.close(purpose="ORDER", references=[payment.reference], at=NOON)

    assert stands() == [("OWED", PRICE - 6000)]
    assert books.balance(f"fee:{ACCOUNT}") == 2000  # of the other payment


# --- the audit


def test_the_audit_finds_a_refund_that_is_not_its_parts(bank):
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    send(refund)
    RefundPart.objects.update(amount_fen=PRICE - 1)

    assert any(refund.number in finding for finding in ledger.audit())
    RefundPart.objects.update(amount_fen=PRICE)


def test_the_same_payout_is_booked_once_however_often_it_is_heard(bank):
    payment = expected(PRICE)
    transfer_in(payment, fen=PRICE)
    refund = cancelled(payment)
    (part,) = refunds._begin(refund, NOON)
    found = RefundPart.objects.select_related("receipt", "refund__payment").get(pk=part)

    refunds._leave(found, "OUT1", NOON)
    refunds._leave(found, "OUT1", NOON)

    assert books.balance("refund_payable:BANK_TRANSFER") == 0
    with pytest.raises(RuntimeError, match="given up"):
        refunds._leave(found, "OUT2", NOON)
    assert balances() == (0, 0, 0, 0)
