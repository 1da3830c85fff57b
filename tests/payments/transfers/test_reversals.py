"""The bank takes back (冲正) what was, or is being, sent back; and what a person pairs."""

import pytest

from payments.ledger import queries as ledger
from payments.transfers import desk, returns, tasks
from payments.transfers.models import LineReturn, StatementLine
from payments.transfers.reversals import TakenBack
from tests.payments.transfers.bank import ACCOUNT, NOON, arrive, booking
from tests.payments.transfers.test_desk import CLERK, PRICE, unmatched
from tests.payments.transfers.test_returns import (  # noqa: F401
    ask,
    bank,
    check,
    fresh,
    kinds,
    limit,
    sent,
    suspense,
)

pytestmark = pytest.mark.django_db


def reversal(line, fen=None, **changes):
    """The bank takes back so many fen of a line, and says of which."""
    named = {"is_reversal": True, "reverses": line.serial} | changes
    (found,) = arrive(booking(-(fen or line.amount_fen), remark="冲正", **named))
    return found


def in_order():
    """Nothing is in suspense, at the bank or anywhere else."""
    return [ledger.balance(f"{kind}:{ACCOUNT}") for kind in ("suspense", "bank", "elsewhere")] == [
        0, 0, 0,
    ]  # fmt: skip


# --- a return beside a reversal


def test_a_return_that_the_bank_has_overtaken_is_not_approved(account):
    limit(0)
    line = unmatched()
    asked = ask(line)
    waits = reversal(line)
    assert (waits.verdict, fresh(line).verdict) == ("CONFLICT", "RETURNING")

    with pytest.raises(TakenBack, match="已冲正"):
        check(asked)

    asked.refresh_from_db()
    assert (asked.status, asked.checked_by) == ("ASKED", "")


def test_what_is_declined_then_is_reversed(account):
    limit(0)
    line = unmatched()
    asked = ask(line)
    waits = reversal(line)

    check(asked, approve=False, reason="银行已冲正")

    assert fresh(line).verdict == fresh(waits).verdict == "REVERSED"
    assert kinds(line) == ["RETURN_ASKED", "RETURN_DECLINED", "REVERSED"]
    assert in_order()


def test_what_was_approved_a_moment_before_is_not_sent(bank):  # noqa: F811
    limit(0)
    line = unmatched()
    asked = check(ask(line))
    waits = reversal(line)

    sent(asked)

    assert (asked.status, asked.serial) == ("FAILED", "")
    assert "已冲正" in asked.failure
    assert bank.journal("/bank/payouts") == []
    assert fresh(line).verdict == fresh(waits).verdict == "REVERSED"
    assert in_order()


def test_what_the_bank_has_paid_already_is_known_although_it_took_the_money_back(bank):  # noqa: F811
    line = unmatched()
    asked = ask(line)
    bank.faults("/bank/payouts", "error_after")
    tasks.send_return(return_id=asked.pk)
    waits = reversal(line)

    sent(asked)

    assert asked.status == "DONE"
    assert fresh(line).verdict == "RETURNED"
    assert fresh(waits).verdict == "CONFLICT"  # the money has gone twice: for a person
    assert ledger.balance(f"bank:{ACCOUNT}") == -PRICE


def test_a_return_that_the_bank_refuses_lets_the_reversal_find_its_original(bank):  # noqa: F811
    line = unmatched(payer_account="9999000011112222")  # closed, says the sandbox
    asked = ask(line)
    returns._not_returned(asked, "银行拒绝退回：账户已销户", NOON)
    assert fresh(line).verdict == "UNMATCHED"
    again = ask(fresh(line))
    waits = reversal(line)

    returns._not_returned(again, "银行拒绝退回：账户已销户", NOON)

    assert fresh(line).verdict == fresh(waits).verdict == "REVERSED"
    assert in_order()


@pytest.mark.parametrize("fen", [1, PRICE - 1])
def test_nothing_is_returned_of_what_the_bank_has_taken_back_in_part(account, fen):
    line = unmatched()
    waits = reversal(line, fen)
    assert fresh(line).verdict != "REVERSED"

    with pytest.raises(TakenBack):
        ask(fresh(line))
    desk.ignore(line=fresh(waits), reason="看错了", actor=CLERK, at=NOON)
    with pytest.raises(TakenBack):
        ask(fresh(line))

    assert not LineReturn.objects.exists()
    assert suspense() == PRICE


def test_the_control_without_a_reversal_the_same_return_is_approved(account):
    limit(0)
    line = unmatched()
    reversal(unmatched())

    assert check(ask(line)).status == "SENDING"
    assert StatementLine.objects.filter(verdict="REVERSED").count() == 2
