"""Payers who seem to be known and are not: nothing names the payment, so any doubt is a person's.

The control of all of them is `test_a_known_account_pays_the_only_open_payment_and_no_other`.
"""

import pytest

from payments.transfers import returns
from tests.members.people import make_user
from tests.payments.transfers.bank import NOON, arrive, booking, expected, virtual_of

pytestmark = pytest.mark.django_db
PRICE = 9900


def is_unpaid(payment) -> bool:
    payment.refresh_from_db()
    return payment.received_fen == 0


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
