"""A wallet pays at once or not at all, and what is given back is in it at once."""

import pytest
from django.utils.timezone import now

from payments.cashier import refunds, tasks
from payments.cashier.models import Payment, Receipt, Refund
from payments.ledger import queries as books
from payments.ledger.models import Posting
from payments.wallet.services import InsufficientBalance
from tests.factories import client_of, key, make_user
from tests.payments import payable
from tests.payments.wallet.scene import available, bought, give, rich, thing


def test_opening_the_payment_pays_it():
    user = rich(10_000)

    payment = bought(user, 3000)

    assert payment.status == Payment.objects.get().status == "CONFIRMED"
    assert payable.told.paid == [payment.reference]
    assert (available(user), books.balance(f"held:{payable.MERCHANT}")) == (7000, 3000)


def test_to_the_last_fen():
    user = rich(3000)

    bought(user, 3000)

    assert available(user) == 0


def test_what_is_not_covered_leaves_nothing_behind():
    user = rich(2999)
    before = Posting.objects.count()

    with pytest.raises(InsufficientBalance) as short:
        bought(user, 3000)

    assert short.value.details == {"available_fen": 2999}
    assert available(user) == 2999
    assert (Payment.objects.count(), Receipt.objects.count()) == (0, 0)
    assert Posting.objects.count() == before


def test_who_never_had_a_wallet_is_told_so():
    with pytest.raises(InsufficientBalance) as short:
        bought(make_user(), 1)

    assert short.value.details == {"available_fen": 0}


def test_over_the_api_the_answer_is_paid_and_a_repeat_is_the_same(settings):
    user, reference, once = rich(10_000), thing(3000), key()
    client = client_of(user)

    body = {"order": reference, "method": "WALLET"}
    first = client.post("/api/v1/payments", body, format="json", **once)
    again = client.post("/api/v1/payments", body, format="json", **once)

    assert (first.status_code, first.json()["status"]) == (201, "CONFIRMED")
    assert (first.json()["received_fen"], first.json()["instructions"]) == (3000, {})
    assert again.json() == first.json()
    assert client.get(f"/api/v1/payments/{first.json()['number']}").json() == first.json()
    assert available(user) == 7000


def test_over_the_api_a_poor_wallet_is_a_refusal_with_the_balance():
    user = rich(5)

    answer = client_of(user).post(
        "/api/v1/payments", {"order": thing(3000), "method": "WALLET"}, format="json", **key()
    )

    assert (answer.status_code, answer.json()["code"]) == (409, "INSUFFICIENT_BALANCE")
    assert answer.json()["facts"] == {"available_fen": 5}


def test_a_refund_is_in_the_wallet(django_capture_on_commit_callbacks):
    user = rich(3000)
    payment = bought(user, 3000)

    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    refund = Refund.objects.get()
    tasks.send_refund(refund_id=refund.pk)

    refund.refresh_from_db()
    assert (refund.status, available(user)) == ("DONE", 3000)
    assert payable.told.refunded == [payment.reference]


def test_a_refund_that_is_sent_twice_is_given_once():
    user = rich(3000)
    payment = bought(user, 3000)
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    refund = Refund.objects.get()

    for _ in range(3):
        tasks.send_refund(refund_id=refund.pk)

    assert available(user) == 3000


def test_paying_takes_few_statements(django_assert_max_num_queries):
    user, reference = rich(10_000), thing(3000)

    with django_assert_max_num_queries(17):
        bought(user, reference=reference)


# --- what the owner sees -------------------------------------------------------------------------


def test_the_wallet_and_its_entries():
    user, other = rich(10_000), rich(77)
    payment = bought(user, 3000)
    refunds.refund_all(purpose="ORDER", reference=payment.reference, reason="CANCELLED", at=now())
    tasks.send_refund(refund_id=Refund.objects.get().pk)
    bought(other, 7)
    client = client_of(user)

    assert client.get("/api/v1/wallet").json() == {
        "available_fen": 10_000,
        "frozen_fen": 0,
        "gift_cards_fen": 0,
    }
    told = client.get("/api/v1/wallet/entries").json()["results"]
    seen = [(one["kind"], one["amount_fen"], one["balance_after_fen"]) for one in told]
    assert seen[:2] == [("退款", 3000, 10_000), ("支付", -3000, 7000)]
    assert seen[2][1:] == (10_000, 10_000)
    assert told[1]["reference"] == payment.number


def test_entries_page_without_gap_or_repeat(django_assert_num_queries):
    user = rich(1)
    for fen in (10, 20, 30, 40):
        give(user, fen)
    client = client_of(user)

    seen, cursor = [], ""
    while True:
        with django_assert_num_queries(3):  # token, page, sum
            page = client.get(f"/api/v1/wallet/entries?limit=2{cursor}").json()
        seen += page["results"]
        if not page["next"]:
            break
        cursor = f"&cursor={page['next']}"

    assert [one["amount_fen"] for one in seen] == [40, 30, 20, 10, 1]
    assert [one["balance_after_fen"] for one in seen] == [101, 61, 31, 11, 1]


def test_a_wallet_without_a_movement_is_empty():
    client = client_of(make_user())

    assert client.get("/api/v1/wallet").json() == {
        "available_fen": 0,
        "frozen_fen": 0,
        "gift_cards_fen": 0,
    }
    assert client.get("/api/v1/wallet/entries").json() == {"results": [], "next": None}
