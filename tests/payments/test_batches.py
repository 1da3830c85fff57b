"""A batch of money: many arrivals, few statements, few postings, and every fen accounted for."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import Sum
from django.test.utils import CaptureQueriesContext

from members.guides import services as guides
from members.guides.models import Commission
from payments.cashier import queries, services
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund
from payments.cashier.rules import Arrival
from payments.ledger import queries as books
from payments.ledger.models import Entry, Posting
from shop.orders.models import Order, OrderEvent
from tests.factories import (
    NOON,
    make_guide,
    make_merchant,
    make_sku,
    make_user,
    open_payment,
    place,
)

SUSPENSE = "suspense:755900000110"
LATER = NOON + timedelta(minutes=5)


def make_payments(count, *, merchant=None, buyer=None):
    sku, buyer = make_sku(merchant, on_hand=100), buyer or make_user()
    return [open_payment(place(buyer, sku)) for _ in range(count)]


def arrivals(payments, *, first=1, more_fen=0):
    return [
        Arrival(payment.pk, f"L{first + i:06d}", payment.amount_fen + more_fen, SUSPENSE)
        for i, payment in enumerate(payments)
    ]


def bonded_buyer(merchant):
    guide, buyer = make_guide(merchant), make_user()
    code = guides.share(
        user=guide.user,
        merchant=merchant.number,
        kind="MERCHANT",
        target=merchant.number,
        at=NOON,
    )
    guides.follow(customer=buyer, code=code.code, at=NOON)
    return buyer


def confirm(found):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        services.confirm(arrivals=found, at=LATER)
    return len(asked)


@pytest.mark.django_db
def test_forty_arrivals_take_as_many_statements_as_one():
    """With guides, an excess, and one that its order does not take any more."""
    merchant = make_merchant()
    buyer = bonded_buyer(merchant)

    def batch(count, first):
        plain = make_payments(count, merchant=merchant, buyer=buyer)
        gone = make_payments(count)
        Order.objects.filter(number__in=[row.reference for row in gone]).update(
            status="PAID", paid_at=NOON
        )
        found = arrivals(plain, first=first, more_fen=5)
        return confirm(found + arrivals(gone, first=first + count))

    assert batch(20, 100) == batch(1, 500)
    assert Commission.objects.filter(status="PENDING").count() == 21
    assert Refund.objects.filter(reason="EXCESS").count() == 21
    assert Refund.objects.filter(reason="TWICE").count() == 21


@pytest.mark.django_db
def test_arrivals_for_one_merchant_are_one_posting_that_they_all_name():
    found = arrivals(make_payments(3))

    services.confirm(arrivals=found, at=LATER)

    posting = Posting.objects.get(kind="RECEIPT")
    assert posting.reference == "BANK_TRANSFER:L000001"
    assert set(Receipt.objects.values_list("posting", flat=True)) == {posting.reference}
    total = Receipt.objects.aggregate(fen=Sum("amount_fen"))["fen"]
    assert posting.entries.filter(amount_fen__gt=0).get().amount_fen == total == 300_00
    assert list(queries.findings()) == []


@pytest.mark.django_db
def test_every_merchant_and_every_source_has_a_posting_of_its_own():
    one, other = make_payments(2), make_payments(1)
    elsewhere = [arrivals(one[1:], first=9)[0]._replace(source="suspense:110")]

    services.confirm(arrivals=arrivals(one[:1] + other) + elsewhere, at=LATER)

    assert Posting.objects.filter(kind="RECEIPT").count() == 3
    assert books.balance(f"held:{one[0].merchant}") == 200_00
    assert books.balance(f"held:{other[0].merchant}") == 100_00
    assert list(queries.findings()) == []


@pytest.mark.django_db
def test_one_of_a_batch_is_taken_back_and_the_others_stay():
    payments = make_payments(3)
    services.confirm(arrivals=arrivals(payments), at=LATER)

    services.take_back(channel_txns=["L000001"], method="BANK_TRANSFER", actor="U1", at=LATER)

    assert books.balance(f"held:{payments[0].merchant}") == 200_00
    assert books.balance(SUSPENSE) == -200_00  # nothing was taken in here
    assert [Payment.objects.get(pk=row.pk).status for row in payments] == [
        "WAITING", "CONFIRMED", "CONFIRMED",
    ]  # fmt: skip
    assert list(queries.findings()) == []


@pytest.mark.django_db
@pytest.mark.parametrize("changed", [{"kept_fen": 99_00, "owed_fen": 1_00}, {"posting": "?"}])
def test_the_audit_sees_a_receipt_that_is_not_what_its_posting_says(changed):
    services.confirm(arrivals=arrivals(make_payments(2)), at=LATER)

    Receipt.objects.filter(channel_txn="L000002").update(**changed)

    assert any("凭证" in finding for finding in queries.findings())


@pytest.mark.django_db
def test_two_arrivals_of_a_batch_fill_one_payment_and_the_third_is_owed_back():
    (payment,) = make_payments(1)
    parts = [Arrival(payment.pk, f"L{i}", fen, SUSPENSE) for i, fen in enumerate((60_00, 40_00, 7))]

    shares = services.confirm(arrivals=parts, at=LATER)

    assert [share.owed_fen for share in shares.values()] == [0, 0, 7]
    payment.refresh_from_db()
    assert (payment.status, payment.received_fen) == ("CONFIRMED", 100_00)
    assert Order.objects.get().status == "PAID"
    assert list(queries.findings()) == []


@pytest.mark.django_db
def test_what_is_known_already_changes_nothing():
    found = arrivals(make_payments(2))
    services.confirm(arrivals=found[:1], at=LATER)

    shares = services.confirm(arrivals=found, at=LATER)

    assert set(shares) == {"L000002"}
    assert Receipt.objects.count() == Posting.objects.filter(kind="RECEIPT").count() == 2
    assert services.confirm(arrivals=found, at=LATER) == {}
    assert Entry.objects.count() == 4


@pytest.mark.django_db
@pytest.mark.parametrize("model", [Payment, Order])
def test_what_events_name_is_never_deleted(model):
    make_payments(1)

    with pytest.raises(IntegrityError, match="only ever added to"), transaction.atomic():
        model.objects.filter(pk=model.objects.get().pk)._raw_delete("default")

    assert model.objects.count() == 1
    assert PaymentEvent.objects.exists() or OrderEvent.objects.exists()


@pytest.mark.django_db
def test_a_confirmed_payment_is_rewritten_without_touching_an_index():
    """A column of an index (its condition included) that confirming changed would cost four."""
    (payment,) = make_payments(1)
    services.confirm(arrivals=arrivals([payment]), at=LATER)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT a.attname FROM pg_attribute a JOIN pg_class t ON t.oid = a.attrelid"
            " WHERE t.relname = 'payments_payment' AND a.attname = ANY(%s) AND EXISTS ("
            "  SELECT 1 FROM pg_index i WHERE i.indrelid = t.oid AND ("
            "   a.attnum = ANY(i.indkey)"
            "   OR pg_get_expr(i.indpred, t.oid) LIKE '%%' || attname || '%%'))",
            [["status", "received_fen", "confirmed_at"]],
        )
        assert cursor.fetchall() == []
