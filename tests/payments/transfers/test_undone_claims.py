"""What a clerk gave to the wrong payment comes back while nothing of it has left."""

from datetime import timedelta

import pytest

from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment, PaymentEvent, Refund
from payments.cashier.services import TooLateToUndo
from payments.ledger import queries as ledger
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import Allocation, StatementLine
from tests.payments import payable
from tests.payments.transfers.bank import ACCOUNT, NOON, arrive, booking, expected, virtual_of
from tests.payments.transfers.test_desk import CLERK, assign, undo, unmatched
from tests.payments.transfers.test_returns import limit

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(days=5)


def expire(payment):
    cashier.close(purpose="ORDER", references=[payment.reference], at=LATER)
    payment.refresh_from_db()


def given(fen, to):
    line = unmatched(fen)
    assign(line, {to: fen})
    return line


def claims():
    return sorted(Refund.objects.values_list("status", "amount_fen"))


def stands(payment):
    payment.refresh_from_db()
    return payment.status, payment.received_fen, payment.refunded_fen


@pytest.fixture
def wrong(account):
    """268.00 were asked for; somebody else's 200.00 were given to it; it expired."""
    payment = expected(268_00)
    line = given(200_00, payment)
    expire(payment)
    assert claims() == [("OWED", 200_00)]
    assert ledger.balance("refund_payable:BANK_TRANSFER") == 200_00
    return payment, line


def test_what_an_expired_order_only_owes_is_undone_and_given_to_the_right_one(wrong):
    payment, line = wrong
    right = expected(200_00)

    undo(line)

    assert (line.verdict, line.allocated_fen) == ("UNMATCHED", 0)
    assert stands(payment) == ("CLOSED", 0, 0)
    assert claims() == [("VOID", 200_00)]
    assert ledger.balance("refund_payable:BANK_TRANSFER") == 0
    assert ledger.balance(f"suspense:{ACCOUNT}") == 200_00
    assert PaymentEvent.objects.get(payment=payment, kind="UNDONE").actor == CLERK
    assert payable.told.unpaid == []
    assign(line, {right: 200_00})
    assert stands(right) == ("CONFIRMED", 200_00, 0)


def unchanged(payment, line):
    before = stands(payment), claims()
    with pytest.raises(TooLateToUndo):
        undo(line)
    assert (stands(payment), claims()) == before
    assert StatementLine.objects.get(pk=line.pk).allocated_fen == 200_00
    assert Allocation.objects.get().undone_at is None


def test_what_somebody_has_approved_is_not_undone(wrong):
    refunds.approve(refund=Refund.objects.select_related("payment").get(), actor="U1", at=LATER)

    unchanged(*wrong)


def test_what_the_first_of_two_people_has_asked_for_is_not_undone(wrong):
    limit(0)
    refunds.approve(refund=Refund.objects.select_related("payment").get(), actor="U1", at=LATER)
    assert claims() == [("OWED", 200_00)]

    unchanged(*wrong)


def test_a_refund_that_failed_or_was_done_is_not_undone(wrong):
    payment, line = wrong
    refund = Refund.objects.select_related("payment").get()
    refunds.approve(refund=refund, actor="U1", at=LATER)
    ReceivingAccount.objects.update(provider="")  # no bank can be asked to send it
    refunds.send(refund=Refund.objects.select_related("payment").get(), at=LATER)
    assert claims() == [("FAILED", 200_00)]

    unchanged(payment, line)


def test_of_two_lines_the_wrong_one_is_undone_and_the_other_stays_owed(account):
    payment = expected(268_00)
    line, _ = given(200_00, payment), given(50_00, payment)
    expire(payment)

    undo(line)

    assert stands(payment) == ("CLOSED", 50_00, 50_00)
    assert claims() == [("OWED", 50_00), ("VOID", 250_00)]
    assert ledger.balance("refund_payable:BANK_TRANSFER") == 50_00


def test_what_came_late_as_well_is_undone_by_itself(account):
    payment = expected(268_00)
    given(200_00, payment)
    expire(payment)
    late = given(300_00, payment)

    undo(late)

    assert stands(payment) == ("CLOSED", 200_00, 200_00)
    assert claims() == [("OWED", 200_00), ("VOID", 300_00)]


def test_a_second_payment_of_one_order_is_undone_and_the_first_still_pays(account):
    payment = expected(268_00)
    payable.told.paid.append(payment.reference)  # by another method, a moment ago
    (line,) = arrive(booking(268_00, virtual_account=virtual_of(payment)))
    line = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    assert Refund.objects.get().reason == "TWICE"

    undo(line)

    assert stands(payment) == ("CLOSED", 0, 0)
    assert payable.told.unpaid == []
    assert payable.told.paid == [payment.reference]
    assert Payment.objects.count() == 1
    assert ledger.balance(f"suspense:{ACCOUNT}") == 268_00
