"""The sweep closes an order in the very moment when the statement that pays it is imported."""

import io
from datetime import timedelta

import pytest

from payments.cashier.models import Refund
from payments.ledger import services as ledger
from payments.receiving.models import ReceivingAccount
from payments.transfers import services as transfers
from payments.transfers.models import Statement
from shop.orders import services
from shop.orders.models import Order, OrderEvent
from tests.concurrency.stalled import in_turn
from tests.factories import make_sku, make_user, open_payment, place
from tests.payments.transfers.bank import ACCOUNT, booking, ccb_csv, virtual_of

pytestmark = pytest.mark.django_db(transaction=True)
SKUS = 4


def raced(first, *, provider=""):
    """Orders paid on their last evening, swept while next morning's file is read.

    `first`: who has the payments before the other comes, "sweep" or "file".
    """
    payments = [open_payment(place(make_user(), make_sku())) for _ in range(SKUS)]
    ReceivingAccount.objects.update(provider=provider)
    end = payments[0].pay_before
    rows = [
        booking(one.amount_fen, virtual_account=virtual_of(one), booked_at=end - timedelta(hours=3))
        for one in payments
    ]
    morning = end + timedelta(hours=9)
    statement = transfers.upload(
        file=io.BytesIO(ccb_csv(rows)),
        filename="流水.csv",
        account_no=ACCOUNT,
        tenants=None,
        uploaded_by_id=None,
        at=morning,
    )
    numbers = [one.reference for one in payments]

    def sweep():
        services.expire(order_numbers=numbers, at=morning)

    def read():
        transfers.import_statement(statement=Statement.objects.get(pk=statement.pk), at=morning)

    jobs = (sweep, read) if first == "sweep" else (read, sweep)
    assert in_turn(Order.objects.all(), *jobs) == {"ok": 2}
    assert Statement.objects.get().status == "DONE"
    assert ledger.audit() == []
    services.expire(order_numbers=numbers, at=morning)


@pytest.mark.parametrize("first", ["sweep", "file"])
def test_whoever_is_first_the_order_is_paid_and_was_never_closed(first):
    raced(first)

    assert set(Order.objects.values_list("status", flat=True)) == {"PAID"}
    assert not OrderEvent.objects.filter(kind="EXPIRED").exists()
    assert not Refund.objects.exists()


def test_without_the_hold_the_sweep_closes_what_the_file_pays():
    """If this ever fails, the test above proves nothing: the sweep came too late to matter."""
    raced("sweep", provider="sandbox")  # a bank that pushes holds nobody up

    assert OrderEvent.objects.filter(kind="EXPIRED").count() == SKUS
