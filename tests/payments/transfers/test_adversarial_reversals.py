"""The adversarial set, where the bank takes money back: before, after, or while it is returned."""

import pytest

from payments.cashier import refunds
from payments.cashier.models import Refund
from payments.transfers import returns
from payments.transfers.models import LineReturn, Policy, StatementLine
from payments.transfers.reversals import TakenBack
from tests.payments.transfers.bank import NOON, arrive, booking, expected, virtual_of
from tests.payments.transfers.test_adversarial import PRICE, paid, verdicts

pytestmark = pytest.mark.django_db


def test_a_reversal_that_comes_before_its_original_stops_it(account):
    payment = expected(PRICE)
    original = booking(PRICE, virtual_account=virtual_of(payment))
    reversal = booking(-PRICE, is_reversal=True, reverses=original.serial, remark="冲正")

    arrive(reversal)
    arrive(original)

    assert paid() == {}
    assert verdicts() == {"REVERSED": 2}


def test_a_reversal_that_comes_after_its_original_was_paid_undoes_it(account):
    payment = expected(PRICE)
    original = booking(PRICE, virtual_account=virtual_of(payment))
    arrive(original)

    arrive(booking(-PRICE, is_reversal=True, reverses=original.serial, remark="冲正"))

    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("WAITING", 0)
    assert verdicts() == {"REVERSED": 2}


@pytest.mark.parametrize("fens", [[1 - PRICE], [-PRICE, -PRICE]])
def test_a_reversal_of_another_amount_or_a_second_one_is_for_a_person(account, fens):
    payment = expected(PRICE)
    original = booking(PRICE, virtual_account=virtual_of(payment))
    arrive(original)

    lines = arrive(*(booking(fen, is_reversal=True, reverses=original.serial) for fen in fens))

    payment.refresh_from_db()
    assert {(line.verdict, line.rule) for line in lines} == {("CONFLICT", "R")}
    assert payment.status == "CONFIRMED"


def test_a_reversal_of_a_serial_that_two_bookings_have_is_for_a_person(account):
    payment = expected(PRICE)
    original = booking(PRICE, virtual_account=virtual_of(payment))
    arrive(original)
    arrive(booking(PRICE + 1, serial=original.serial))

    (line,) = arrive(booking(-PRICE, is_reversal=True, reverses=original.serial))

    payment.refresh_from_db()
    assert (line.verdict, line.rule) == ("CONFLICT", "R")
    assert payment.status == "CONFIRMED"


def test_a_reversal_that_comes_before_the_refund_was_sent_stops_the_refund(account):
    payment = expected(PRICE)
    original = booking(PRICE, virtual_account=virtual_of(payment))
    arrive(original)
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=NOON)

    (line,) = arrive(booking(-PRICE, is_reversal=True, reverses=original.serial, remark="冲正"))

    assert (line.verdict, line.rule) == ("REVERSED", "R")
    assert [(one.amount_fen, one.status) for one in Refund.objects.all()] == [(PRICE, "VOID")]


def test_a_reversal_while_a_second_person_is_asked_about_the_return_stops_the_return(account):
    Policy.objects.create(merchant="", check_above_fen=0)
    (line,) = arrive(booking(PRICE))
    line = StatementLine.objects.select_related("receiving_account").get(pk=line.pk)
    asked = returns.give_back(line=line, actor="U0", at=NOON)

    arrive(booking(-PRICE, is_reversal=True, reverses=line.serial, remark="冲正"))

    with pytest.raises(TakenBack):
        returns.check(asked=asked, approve=True, actor="U1", at=NOON)
    returns.check(asked=asked, approve=False, actor="U1", at=NOON)
    assert verdicts() == {"REVERSED": 2}
    assert not LineReturn.objects.exclude(status="DECLINED").exists()
