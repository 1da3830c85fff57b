"""A deposit that the bank takes back while something else is done with it."""

from threading import Barrier

import pytest
from django.utils.timezone import now

from payments.deposits import services
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from tests.concurrency.together import together
from tests.payments.settlement.scene import CLERK, MERCHANT
from tests.payments.settlement.test_deposits_paid import (
    FEN,
    deposit,
    owes,
    paid,
    pot,
    punish,
    reversed_by_the_bank,
)
from tests.payments.settlement.test_deposits_paid import no_bank as no_bank  # noqa: PLC0414
from tests.payments.wallet.conftest import no_shop  # noqa: F401

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("no_shop", "no_bank"),
]


def test_reversed_while_it_is_frozen_no_fen_is_made_or_lost():
    for n in range(4):
        before, frozen = owes(), deposit()[1]
        payment = paid()

        def act(i, payment=payment):
            if i:
                return punish(FEN) and "frozen"
            reversed_by_the_bank(payment)
            return "reversed"

        endings = together(2, act)

        assert endings["reversed"] == 1, (n, endings)
        is_frozen = FEN if endings["frozen"] else 0
        assert (deposit(), pot()) == ((0, frozen + is_frozen), 0)
        assert owes() - before == is_frozen
    assert ledger.audit() == []


def test_reversed_while_it_is_asked_back_it_is_one_of_both_and_a_debt():
    payment = paid()

    def act(i):
        if i:
            services.ask_back(
                merchant=MERCHANT, amount_fen=FEN, reason="离开", actor=CLERK, at=now()
            )
            return "asked"
        reversed_by_the_bank(payment)
        return "reversed"

    endings = together(2, act)

    assert endings["reversed"] == 1
    assert owes() == deposit()[1] == (FEN if endings["asked"] else 0)
    assert ledger.audit() == []


def test_read_first_and_taken_then_it_is_taken_twice():
    """The control: without the account's lock both find it free."""
    paid()
    account = Account.objects.filter(code=f"deposit:{MERCHANT}")
    both_read = Barrier(2)

    def careless(_):
        fen = account.get().balance_fen
        both_read.wait()
        account.update(balance_fen=fen - FEN)
        return "ok"

    assert together(2, careless) == {"ok": 2}
    assert books.balance(f"deposit:{MERCHANT}") == FEN
