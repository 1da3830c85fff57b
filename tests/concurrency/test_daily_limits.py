"""What a buyer may pay in a day, at the same moment: beside a control without the lock."""

import time
from datetime import timedelta

import pytest
from django.db.models import Sum

from members.accounts.models import User
from payments.cashier import offers, services
from payments.cashier.models import Payment
from payments.ledger import services as ledger
from shop.orders import services as orders
from tests.concurrency.stalled import stalled
from tests.concurrency.together import together
from tests.factories import NOON, make_account, make_sku, make_user, place
from tests.payments.offered import offer

pytestmark = pytest.mark.django_db(transaction=True)
LIMIT, PRICE = 250_00, 100_00


@pytest.fixture
def buyer():
    make_account(units=40)
    yield make_user()
    assert ledger.audit() == []


def orders_of(buyer, count):
    sku = make_sku(list_price_fen=PRICE, on_hand=100)
    return [place(buyer, sku) for _ in range(count)]


def pay(order):
    services.open_payment(
        payer_id=order.buyer_id,
        purpose="ORDER",
        reference=order.number,
        method="BANK_TRANSFER",
        at=NOON,
    )


def asked_fen():
    return Payment.objects.filter(status="WAITING").aggregate(fen=Sum("amount_fen"))["fen"] or 0


def test_payments_at_once_stay_within_the_day(buyer):
    """All of them have looked, and none is written, when the first may go on."""
    offer("BANK_TRANSFER", day_limit_fen=LIMIT)
    mine = orders_of(buyer, 6)

    endings = stalled(User.objects.filter(pk=buyer.pk), 6, lambda i: pay(mine[i]))

    assert endings == {"ok": 2, "METHOD_NOT_OFFERED": 4}
    assert asked_fen() == 2 * PRICE


def test_without_the_lock_they_exceed_it(buyer):
    """If this ever fails, the test above proves nothing."""
    mine = orders_of(buyer, 6)

    def careless(i):
        if asked_fen() + PRICE <= LIMIT:
            time.sleep(0.1)
            pay(mine[i])

    together(6, careless)

    assert asked_fen() > LIMIT


def test_buyers_do_not_wait_for_each_other(buyer):
    """One is held up in the middle of his payment; the other's is opened meanwhile."""
    offer("BANK_TRANSFER", day_limit_fen=LIMIT)
    [his], [other] = orders_of(buyer, 1), orders_of(make_user(), 1)
    took = {}

    def opened(i):
        begun = time.monotonic()
        pay([his, other][i])
        took[i] = time.monotonic() - begun

    assert stalled(User.objects.filter(pk=buyer.pk), 2, opened, 1.0) == {"ok": 2}
    assert took[1] < took[0]
    assert took[0] > 0.5


def test_one_order_clicked_twice_is_one_payment_of_the_day(buyer):
    offer("BANK_TRANSFER", day_limit_fen=PRICE)
    [order] = orders_of(buyer, 1)

    assert together(4, lambda i: pay(order)) == {"ok": 4}
    assert Payment.objects.count() == 1


def test_a_payment_is_opened_while_the_rule_is_withdrawn_and_an_order_cancelled(buyer):
    """Whoever comes first: what is open goes on, what is refused is not there; no deadlock."""
    mine = orders_of(buyer, 8)
    offer("BANK_TRANSFER", day_limit_fen=8 * PRICE)
    pay(mine[0])

    def busy(i):
        if i == 0:
            orders.cancel(order=mine[0], actor=buyer.number, at=NOON + timedelta(minutes=1))
        elif i == 1:
            offer("BANK_TRANSFER", status="WITHHELD")
        else:
            pay(mine[i])

    endings = together(8, busy)

    assert set(endings) <= {"ok", "METHOD_NOT_OFFERED"}
    opened = set(Payment.objects.filter(status="WAITING").values_list("reference", flat=True))
    assert len(opened) == endings["ok"] - 2
    with pytest.raises(offers.MethodNotOffered):
        pay(orders_of(buyer, 1)[0])
