"""A deposit is paid by transfer or any channel, apart from what is available, and is reversed."""

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.offers import MethodNotOffered
from payments.deposits import paying, queries, services, tasks
from payments.deposits.models import DepositMove, DepositPayment
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.settlement import debts
from tests.factories import NOON, client_of, key, make_account, make_merchant, make_staff, make_user
from tests.payments.settlement.scene import CLERK, MERCHANT, OTHER, there
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import rich

pytestmark = pytest.mark.django_db
FEN = 1_000_000


@pytest.fixture(autouse=True)
def _books(settings):
    settings.PAYABLES = {**settings.PAYABLES, "DEPOSIT": "payments.deposits.payable"}
    yield
    assert ledger.audit() == []


@pytest.fixture
def no_bank(settings):
    """A reversal that no bank's line tells of."""
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]


def asked(fen=FEN, *, merchant=MERCHANT, method="BANK_TRANSFER", payer=None):
    make_account()
    return paying.open_payment(
        merchant=merchant,
        payer_id=(payer or make_user()).pk,
        amount_fen=fen,
        method=method,
        at=now(),
    )


def paid(fen=FEN, **more):
    payment = asked(fen, **more)
    transfer_in(payment, fen=fen)
    return payment


def deposit():
    return queries.deposit_fen(MERCHANT), queries.frozen_fen(MERCHANT)


def pot():
    return books.balance("held:DEPOSITS")


def owes():
    return books.balance(f"receivable:{MERCHANT}")


def reversed_by_the_bank(payment, **only):
    txns = list(payment.receipts.filter(**only).values_list("channel_txn", flat=True))
    cashier.reverse(channel_txns=txns, method="BANK_TRANSFER", actor="", at=now())


def punish(fen):
    return services.punish(
        merchant=MERCHANT, amount_fen=fen, reason="售假", evidence="D1", actor=CLERK, at=now()
    )


def test_what_came_is_the_deposits_and_never_was_available():
    payment = asked()
    transfer_in(payment, fen=400_000)
    assert (deposit(), pot(), there()) == ((0, 0), 400_000, (0, 0))

    transfer_in(payment, fen=600_100)

    assert (deposit(), pot(), there()) == ((FEN, 0), 0, (0, 0))
    assert Refund.objects.get().amount_fen == 100
    row = DepositPayment.objects.get()
    move = DepositMove.objects.get()
    assert (row.status, move.kind, move.source) == ("PAID", "TOP_UP", row.number)
    assert not books.balance(f"held:{MERCHANT}")


def test_asked_back_it_goes_the_way_of_every_deposit():
    paid()
    back = services.ask_back(
        merchant=MERCHANT, amount_fen=FEN, reason="离开", actor=CLERK, at=now()
    )

    services.check(asked=back, approve=True, actor=OTHER, at=now())

    assert (deposit(), there()) == ((0, 0), (FEN, 0))


def test_a_wallet_pays_no_deposit():
    """It would leave the house as a payout, past the limits of withdrawals."""
    user = rich(FEN)

    with pytest.raises(MethodNotOffered):
        asked(method="WALLET", payer=user)

    assert not DepositPayment.objects.exists()
    told = paying.ways(payer_id=user.pk, amount_fen=FEN, asker=cashier.ON_MINI_PROGRAM, at=now())
    assert "WALLET" not in {offer.method for offer in told}


def test_what_nobody_paid_is_closed_and_a_part_is_owed_back():
    payment = asked()
    transfer_in(payment, fen=400_000)
    DepositPayment.objects.update(pay_before=NOON, look_at=NOON)

    tasks.expire_payments()
    tasks.expire_payments()

    assert (DepositPayment.objects.get().status, pot()) == ("CLOSED", 0)
    owed = Refund.objects.get()
    assert (owed.amount_fen, owed.reason, owed.status) == (400_000, "UNFINISHED", "OWED")


def test_late_money_makes_the_deposit_where_the_policy_lets_it():
    payment = asked()
    DepositPayment.objects.update(pay_before=NOON, look_at=NOON)
    paying.expire(numbers=[payment.reference], at=now() - timedelta(hours=1))
    assert Payment.objects.get().status == "CLOSED"

    transfer_in(payment, fen=FEN)

    assert (deposit(), DepositPayment.objects.get().status) == ((FEN, 0), "PAID")


# --- the bank takes it back -----------------------------------------------------------------------


def test_reversed_it_leaves_the_deposit_and_may_be_paid_again(no_bank):
    payment = paid()

    reversed_by_the_bank(payment)

    assert (deposit(), pot(), owes()) == ((0, 0), 0, 0)
    assert DepositPayment.objects.get().status == "OPEN"
    transfer_in(payment, fen=FEN)
    assert (deposit(), pot()) == ((FEN, 0), 0)
    kinds = DepositMove.objects.order_by("pk").values_list("kind", flat=True)
    assert list(kinds) == ["TOP_UP", "REVERSED", "TOP_UP"]


def test_what_was_deducted_meanwhile_is_the_merchants_debt(no_bank):
    payment = paid()
    services.check(asked=punish(300_000), approve=True, actor=OTHER, at=now())
    punish(200_000)

    reversed_by_the_bank(payment)

    assert (deposit(), pot(), owes()) == ((0, 200_000), 0, 500_000)
    assert books.balance("receivable:DEPOSITS") == 0
    earned = {"clearing:TEST": 600_000}, {f"merchant:{MERCHANT}:available": 600_000}
    ledger.post([Draft("TEST", "earned", *earned)], at=now())
    debts.square(merchant=MERCHANT, at=now())
    assert (owes(), there()) == (0, (100_000, 0))


def test_two_transfers_that_are_taken_back_one_after_the_other(no_bank):
    payment = asked()
    transfer_in(payment, fen=400_000)
    transfer_in(payment, fen=600_000)
    first, second = payment.receipts.order_by("pk").values_list("pk", flat=True)

    reversed_by_the_bank(payment, pk=first)
    assert (deposit(), pot(), owes()) == ((0, 0), 600_000, 0)
    reversed_by_the_bank(payment, pk=second)

    assert (deposit(), pot(), owes()) == ((0, 0), 0, 0)


def test_a_wrong_match_is_undone_unless_it_is_not_there():
    payment = paid()
    asked_for = punish(1)
    undone = {payment.reference: True}

    with pytest.raises(paying.DepositUsed):
        paying.unpay(numbers=undone, at=now())

    services.check(asked=asked_for, approve=False, actor=OTHER, at=now())
    txns = list(payment.receipts.values_list("channel_txn", flat=True))
    with transaction.atomic():
        cashier.take_back(channel_txns=txns, method="BANK_TRANSFER", actor="", at=now())
        assert (deposit(), pot()) == ((0, 0), 0)
        transaction.set_rollback(True)  # the bank's line says otherwise


def test_the_audit_sees_a_row_that_says_otherwise():
    paid()
    for changes in ({"amount_fen": FEN - 1}, {"owed_fen": 1}, {"status": "OPEN", "paid_at": None}):
        with transaction.atomic():
            DepositPayment.objects.update(**changes)

            assert list(queries.findings())

            transaction.set_rollback(True)


# --- over the API ---------------------------------------------------------------------------------


def test_finance_pays_it_like_anything_else():
    shop = make_merchant()
    finance, once = make_staff(shop, "FINANCE"), key()
    make_account()
    client = client_of(finance)
    body = {"amount_fen": FEN, "method": "BANK_TRANSFER"}

    first = client.post("/api/v1/deposit/payments", body, format="json", **once)
    again = client.post("/api/v1/deposit/payments", body, format="json", **once)

    assert first.status_code == 201
    told, row = first.json(), DepositPayment.objects.get()
    assert (told["purpose"], told["deposit"]) == ("DEPOSIT", row.number)
    assert again.json() == told
    assert row.merchant == shop.number
    transfer_in(Payment.objects.get(), fen=FEN)
    assert client.get("/api/v1/deposit").json()["deposit_fen"] == FEN
    assert client.get("/api/v1/deposit/moves").json()["results"][0]["kind"] == "TOP_UP"
    ways = client.get("/api/v1/deposit/payments/methods", {"amount_fen": FEN}).json()["methods"]
    assert {one["method"] for one in ways if one["is_offered"]} >= {"BANK_TRANSFER"}
    other = client_of(make_staff(make_merchant("别家"), "FINANCE"))
    body["merchant"] = shop.number
    assert other.post("/api/v1/deposit/payments", body, format="json", **key()).status_code == 404
