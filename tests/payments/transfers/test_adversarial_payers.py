"""Payers who seem to be known and are not: nothing names the payment, so any doubt is a person's.

The control of all of them is `test_a_known_account_pays_the_only_open_payment_and_no_other`.
"""

from datetime import timedelta

import pytest

from payments.cashier import services as cashier
from payments.closing.rules import begins
from payments.transfers import desk, evidence, returns
from payments.transfers.models import Policy, StatementLine
from tests.members.people import make_user
from tests.payments.transfers.bank import (
    NOON,
    arrive,
    booking,
    expected,
    transfer_in,
    virtual_of,
)

pytestmark = pytest.mark.django_db
PRICE = 9900


def is_unpaid(payment) -> bool:
    payment.refresh_from_db()
    return payment.received_fen == 0


@pytest.mark.parametrize("newer", [1, 2], ids=["all were looked at", "one too many"])
def test_an_account_with_more_lines_than_are_looked_at_is_asked_about(account, monkeypatch, newer):
    monkeypatch.setattr(evidence, "LINES_OF_A_PAYER", 2)
    other, buyer = make_user(), make_user()
    for payer in (other, *[buyer] * newer):
        transfer_in(expected(5000, payer=payer), fen=5000)
    payment = expected(PRICE, payer=buyer)

    (line,) = arrive(booking(PRICE))  # of the other buyer, perhaps

    assert (line.verdict, line.rule) == ("SUGGESTED", "T4")
    assert line.reasons == [
        "付款账号曾为多位买家付款"
        if newer == 1
        else "付款账号的来账太多，不能确认只为一位买家付过款"
    ]
    assert is_unpaid(payment)


def test_the_account_of_a_payment_company_may_come_without_its_name(account):
    """Everybody's money comes from it, and one buyer's was the first."""
    buyer = make_user()
    nameless = {"payer_account": "2155001122", "payer_name": ""}
    transfer_in(expected(5000, payer=buyer), fen=5000, **nameless)
    payment = expected(PRICE, payer=buyer)

    (line,) = arrive(booking(PRICE, **nameless))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T4")
    assert is_unpaid(payment)


MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
OPENED = NOON + 20 * DAY


@pytest.mark.parametrize(
    ("case", "booked_at", "verdict"),
    [
        ("last month", NOON, "SUGGESTED"),
        ("an hour before", OPENED - 60 * MINUTE, "SUGGESTED"),
        ("by another clock", OPENED - 5 * MINUTE, "MATCHED"),
        ("on the day before, without a time", begins(OPENED.date() - DAY), "SUGGESTED"),
        ("on the day, without a time", begins(OPENED.date()), "MATCHED"),
        ("after", OPENED + MINUTE, "MATCHED"),
    ],
)
def test_money_that_came_before_the_order_is_not_for_it(account, case, booked_at, verdict):
    """A file of last month comes in late; its payer has bought for as much since."""
    buyer = make_user()
    transfer_in(expected(5000, payer=buyer), fen=5000)
    payment = expected(PRICE, payer=buyer, at=OPENED)

    (line,) = arrive(booking(PRICE, booked_at=booked_at), at=OPENED + DAY)

    assert (line.verdict, line.rule) == (verdict, "T4")
    assert is_unpaid(payment) is (verdict == "SUGGESTED")


MASKED = {"payer_name": "王小美", "payer_account": "6222****1"}


@pytest.fixture
def by_name(account):
    """T5 pays by itself here, and 王小美 has one open payment."""
    Policy.objects.create(merchant="", rungs_on=["T5"])
    buyer = make_user()
    transfer_in(expected(5000, payer=buyer), fen=5000, **MASKED)
    return expected(PRICE, payer=buyer)


LIS = {"payer_name": "李四", "payer_account": "6222****9"}


def test_a_payment_that_is_paid_in_part_asks_for_what_is_left(by_name):
    part = expected(PRICE + 100)
    transfer_in(part, fen=100, **LIS)

    (line,) = arrive(booking(PRICE, **MASKED))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T5")
    assert is_unpaid(by_name)


def paid_in_full(part):
    transfer_in(part, fen=PRICE, **LIS)


def closed(part):
    cashier.close(purpose="ORDER", references=[part.reference], at=NOON)


def undone(part):
    desk.undo(line=StatementLine.objects.get(amount_fen=100), actor="UFINANCE", at=NOON)


def paid_a_little_more(part):
    transfer_in(part, fen=50, **LIS)


@pytest.mark.parametrize("what", [paid_in_full, closed, undone, paid_a_little_more])
def test_and_asks_for_it_no_longer_than_it_is_so(by_name, what):
    part = expected(PRICE + 100)
    transfer_in(part, fen=100, **LIS)

    what(part)
    (line,) = arrive(booking(PRICE, **MASKED))

    assert (line.verdict, line.rule) == ("MATCHED", "T5")


def test_of_two_parts_one_that_is_taken_back_leaves_the_other(by_name):
    part = expected(PRICE + 100)
    transfer_in(part, fen=PRICE, **LIS)
    transfer_in(part, fen=100, **LIS)  # full

    desk.undo(line=StatementLine.objects.get(amount_fen=PRICE), actor="UFINANCE", at=NOON)
    (line,) = arrive(booking(PRICE, **MASKED))

    assert (line.verdict, line.rule) == ("SUGGESTED", "T5")
    assert is_unpaid(by_name)


@pytest.mark.parametrize("tail", ["尾号1234", "622202XXXXXX1234", "0000000000000000"])
def test_an_account_of_which_digits_are_missing_makes_nobody_known(account, tail):
    buyer = make_user()
    told = {"payer_account": tail, "payer_name": ""}
    arrive(booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer)), **told))
    payment = expected(PRICE, payer=buyer)

    (line,) = arrive(booking(PRICE, **told))  # of somebody else whose card ends so

    assert line.verdict != "MATCHED"
    assert is_unpaid(payment)


def test_nothing_is_sent_back_to_a_part_of_an_account(account):
    (line,) = arrive(booking(PRICE, payer_account="尾号1234"))

    with pytest.raises(returns.PayerUnknown):
        returns.give_back(line=line, actor="UFINANCE", at=NOON)

    assert not line.returns.exists()
