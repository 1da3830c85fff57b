"""One wallet, wanted by many at once; each race has a control that shows it without its guard."""

from threading import Barrier

import pytest

from payments.cashier.models import Payment
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from payments.wallet.rules import wallet_of
from tests.concurrency.together import together
from tests.payments import payable
from tests.payments.wallet.conftest import no_shop  # noqa: F401
from tests.payments.wallet.scene import available, bought, rich, thing

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_shop")]
PRICE = 3000


def test_many_spend_one_wallet_and_as_many_succeed_as_it_covers():
    user = rich(5 * PRICE + 1)
    things = [thing(PRICE) for _ in range(8)]

    endings = together(8, lambda i: bought(user, reference=things[i]) and "ok")

    assert endings == {"ok": 5, "INSUFFICIENT_BALANCE": 3}
    assert (available(user), books.balance(f"held:{payable.MERCHANT}")) == (1, 5 * PRICE)
    assert Payment.objects.filter(status="CONFIRMED").count() == 5
    assert ledger.audit() == []


def test_read_first_and_written_then_a_wallet_is_spent_too_often():
    """If this ever fails, the test above proves nothing."""
    user, all_read = rich(2 * PRICE), Barrier(4)
    account = Account.objects.filter(code=wallet_of(user.number))

    def careless(_):
        fen = account.get().balance_fen
        all_read.wait()
        if fen < PRICE:
            return "short"
        account.update(balance_fen=fen - PRICE)
        return "ok"

    assert together(4, careless) == {"ok": 4}


def test_one_thing_is_paid_once_by_two_clicks():
    user, reference = rich(5 * PRICE), thing(PRICE)

    together(4, lambda i: bought(user, reference=reference) and "ok")

    assert available(user) == 4 * PRICE
    assert ledger.audit() == []
