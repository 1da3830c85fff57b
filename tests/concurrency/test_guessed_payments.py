"""Payments that no line names are read without a lock; each race beside its control."""

import threading

import pytest

from payments.cashier.models import Receipt, Refund
from payments.ledger import services as ledger
from payments.transfers import evidence
from payments.transfers.ladder.facts import Fact
from payments.transfers.models import StatementLine
from payments.transfers.remarks import NO_CODES
from tests.concurrency.together import together
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import account, booking, expected, push, virtual_of
from tests.payments.transfers.conftest import _no_shop  # noqa: F401

pytestmark = pytest.mark.django_db(transaction=True)
PRICE = 9900
WANGS = "6222020200112233"


@pytest.fixture
def wanted():
    """The only open payment of a buyer whose payer's account is known."""
    account(units=10)
    buyer = make_user()
    push(booking(5000, virtual_account=virtual_of(expected(5000, payer=buyer))))
    yield expected(PRICE, payer=buyer)
    assert ledger.audit() == []


def test_of_many_guesses_at_once_one_pays_and_no_money_is_owed_back(wanted):
    rows = [booking(PRICE) for _ in range(6)]

    endings = together(6, lambda i: push(rows[i]))

    wanted.refresh_from_db()
    assert endings == {"ok": 6}
    assert (wanted.status, wanted.received_fen) == ("CONFIRMED", PRICE)
    assert payable.told.paid.count(wanted.reference) == 1
    assert Receipt.objects.filter(payment=wanted).count() == 1
    assert not Refund.objects.exists()
    assert StatementLine.objects.filter(rule="T4", verdict="MATCHED").count() == 1
    # Those who read while it was open have it to suggest; those who came later found nothing.
    assert StatementLine.objects.filter(verdict__in=["SUGGESTED", "UNMATCHED"]).count() == 5


def test_without_the_lock_every_one_of_them_finds_the_payment_open(wanted):
    """If this ever fails, the test above proves nothing."""
    own = wanted.transfer_intent.receiving_account_id
    line = Fact(1, own, PRICE, "", NO_CODES, ("货款",), "王小美", WANGS)
    everybody = threading.Barrier(4)
    found = []

    def careless(i):
        intents, _ = evidence.more([line])
        everybody.wait(10)
        found.append(intents[0].is_open)

    together(4, careless)

    assert found == [True] * 4
