"""What was sent before lines were held by themselves is held by the migration."""

from datetime import timedelta
from importlib import import_module

import pytest
from django.db import connection

from payments.ledger import services as ledger
from payments.transfers.models import StatementLine
from shop.orders import holding
from shop.orders.models import HeldLine, Order
from tests.factories import NOON, make_merchant, make_sku, make_user, pay, place, ship
from tests.payments.transfers.bank import booking, push

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
FIELDS = [
    "order", "amount_fen", "receive_before", "received_at", "release_at", "stopped_by",
    "stopped_at", "posting",
]  # fmt: skip


def test_orders_under_way_keep_their_times_and_finish():
    merchant = make_merchant(after_sale_days=7)
    unsent, sent, received, frozen = (place(make_user(), make_sku(merchant)) for _ in range(4))
    for order in (unsent, sent, received, frozen):
        pay(order)
    for order in (sent, received, frozen):
        ship(order)
    holding.receive_one(order=received, actor="", at=NOON + DAY)
    credit = StatementLine.objects.latest("pk")
    push(
        booking(-100_00, is_reversal=True, reverses=credit.serial, booked_at=NOON + DAY),
        at=NOON + DAY,
    )
    before = list(HeldLine.objects.order_by("pk").values(*FIELDS))
    assert [one["stopped_by"] for one in before] == [[], [], ["FROZEN"]]

    with connection.cursor() as cursor:
        connection.check_constraints()
        cursor.execute("TRUNCATE shop_heldline")
        cursor.execute(import_module("shop.migrations.0005_guarantee").HOLD)

    assert list(HeldLine.objects.order_by("pk").values(*FIELDS)) == before
    assert ledger.audit() == []
    assert holding.release_due(at=NOON + 8 * DAY, limit=9) == 1
    assert Order.objects.get(pk=received.pk).status == "DONE"
    assert ledger.audit() == []
