"""Redeemed cards pay for orders before the wallet, and what comes back is on the very same card."""

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.cashier import offers, refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.cashier.rules import Reason
from payments.gift_cards import buying
from payments.gift_cards.services import NothingLeft
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.wallet.services import InsufficientBalance
from tests.factories import client_of, key, make_user
from tests.payments.gift_cards.scene import (
    FACE,
    bought,
    fresh,
    from_wallet,
    held,
    left,
    payment_of,
    redeem,
    redeemed,
    refund,
    sent,
)
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import available, thing
from tests.payments.wallet.scene import bought as paid_by_wallet
from tests.payments.wallet.scene import give as fill_wallet


def give_back(payment: Payment) -> None:
    refunds.refund_all(
        purpose="ORDER", reference=payment.reference, reason=Reason.CANCELLED, at=now()
    )
    sent()


def test_cards_pay_first_the_oldest_before_others_and_the_wallet_the_rest():
    user = make_user()
    fill_wallet(user, 40_000)
    first, second = redeemed(user, 10_000), redeemed(user, 20_000)

    payment = paid_by_wallet(user, 50_000)

    assert payment.status == "CONFIRMED"
    assert (left(first), left(second), available(user)) == (0, 0, 20_000)
    assert list(payment.receipts.order_by("pk").values_list("kept_fen", flat=True)) == [
        10_000, 20_000, 20_000,
    ]  # fmt: skip


def test_an_order_that_is_cancelled_gives_everything_back_to_where_it_was():
    user = make_user()
    fill_wallet(user, 40_000)
    card = redeemed(user)
    payment = paid_by_wallet(user, 70_000)

    give_back(payment)

    assert (left(card), available(user)) == (FACE, 40_000)
    assert Refund.objects.get().status == "DONE"
    assert refund(card) == FACE


def test_it_pays_a_part_beside_a_transfer_and_comes_back_when_the_rest_does_not():
    user = make_user()
    card = redeemed(user)
    payment = paid_by_wallet(user, 90_000, method="BANK_TRANSFER", wallet_fen=FACE)
    assert (payment.wallet_fen, payment.outstanding_fen, left(card)) == (FACE, 40_000, 0)

    cashier.close(purpose="ORDER", references=[payment.reference], at=now())
    sent()

    assert (left(card), available(user)) == (FACE, 0)


def test_what_of_an_order_is_owed_back_never_makes_a_card_cash():
    """Only what the bank brought goes to the wallet; what a card paid goes back to the card."""
    user = make_user()
    card = redeemed(user)
    payment = paid_by_wallet(user, 90_000, method="BANK_TRANSFER", wallet_fen=FACE)
    transfer_in(payment, fen=40_100)
    (cards_part,) = payment.receipts.filter(method="WALLET")
    client = client_of(user)

    owed = Refund.objects.get(reason="EXCESS")
    address = f"/api/v1/payments/{payment.number}/refunds/{owed.number}/to-wallet"
    assert client.post(address, format="json", **key()).status_code == 200
    give_back(payment)

    assert cards_part.source == f"gift_card:{card.number}"
    assert (available(user), left(card)) == (100, FACE)


def test_one_that_is_not_redeemed_pays_for_nothing():
    user = make_user()
    card = bought(user)

    with pytest.raises(InsufficientBalance):
        paid_by_wallet(user, 100)

    redeem(card)
    paid_by_wallet(user, 100)


def test_too_little_on_card_and_wallet_takes_nothing():
    user = make_user()
    fill_wallet(user, 100)
    card = redeemed(user)

    with pytest.raises(InsufficientBalance) as short:
        paid_by_wallet(user, FACE + 101)

    assert short.value.details == {"available_fen": FACE + 100}
    assert (left(card), available(user)) == (FACE, 100)
    assert not Payment.objects.filter(purpose="ORDER").exists()


def test_a_frozen_card_pays_for_nothing_and_takes_back_what_it_paid():
    user = make_user()
    card = redeemed(user)
    payment = paid_by_wallet(user, 20_000)
    buying.freeze(card=card, reason="被盗", actor="U1", at=now())

    with pytest.raises(InsufficientBalance):
        paid_by_wallet(user, 100)
    give_back(payment)

    assert left(card) == FACE


def test_a_card_is_not_withdrawn():
    user = make_user()
    redeemed(user)

    told = client_of(user).get("/api/v1/wallet").json()

    assert told == {"available_fen": 0, "frozen_fen": 0, "gift_cards_fen": FACE}
    body = {"amount_fen": 1000, "to": "BANK", "account_no": "6222020200112233",
            "account_name": "王小美"}  # fmt: skip
    answer = client_of(user).post("/api/v1/wallet/withdrawals", body, format="json", **key())
    assert answer.status_code == 409


def test_who_has_a_card_and_no_wallet_is_offered_it_for_orders_but_not_for_cards():
    user = make_user()
    redeemed(user)
    at, asker = now(), cashier.ON_MINI_PROGRAM

    order = offers.offered(
        payer_id=user.pk, purpose="ORDER", reference=thing(3000), asker=asker, at=at
    )
    card = buying.ways(user_id=user.pk, face_fen=FACE, asker=asker, at=at)

    assert [one.is_offered for one in order if one.method == "WALLET"] == [True]
    assert [one.is_offered for one in card if one.method == "WALLET"] == [False]


# --- refunded -------------------------------------------------------------------------------------


def test_what_was_not_used_goes_back_the_way_it_came():
    user = make_user()
    card = from_wallet(user)

    assert refund(card) == FACE
    sent()

    assert (fresh(card).status, left(card), held(), available(user)) == ("REFUNDED", 0, 0, FACE)
    assert Refund.objects.get().reason == "UNUSED"
    with pytest.raises(Exception, match="状态已变化"):
        refund(card)


def test_of_a_used_card_the_rest_goes_back_and_what_comes_back_later_is_on_it_again():
    user = make_user()
    card = from_wallet(user)
    redeem(card)
    payment = paid_by_wallet(user, 20_000)

    assert refund(card) == 30_000
    sent()
    assert (fresh(card).status, left(card), available(user)) == ("ACTIVE", 0, 30_000)
    with pytest.raises(NothingLeft):
        refund(card)

    give_back(payment)
    assert left(card) == 20_000
    assert refund(card) == 20_000
    sent()
    assert (available(user), held(), fresh(card).refunded_fen) == (FACE, 0, FACE)


def test_by_transfer_it_is_the_banks_refund_as_any_other():
    card = bought(make_user())

    refund(card)

    refunded = Refund.objects.get()
    assert (refunded.amount_fen, refunded.status, refunded.payment) == (
        FACE, "APPROVED", payment_of(card),
    )  # fmt: skip
    assert books.balance("refund_payable:BANK_TRANSFER") == FACE


def test_over_the_api_a_refund_needs_a_key_and_is_done_once():
    user, once = make_user(), key()
    card = from_wallet(user)
    address, client = f"/api/v1/gift-cards/{card.number}/refund", client_of(user)

    assert client.post(address, format="json").status_code == 400
    first = client.post(address, format="json", **once)
    again = client.post(address, format="json", **once)

    assert (first.status_code, first.json()["status"]) == (200, "REFUNDED")
    assert first.json()["refunded_fen"] == FACE
    assert again.json() == first.json()
    assert Refund.objects.count() == 1


def test_the_audit_sees_a_card_that_something_else_has_touched():
    user = make_user()
    card = redeemed(user)
    with transaction.atomic():
        ledger.post(
            [Draft("TEST", "cash", {f"gift_card:{card.number}": 1}, {f"wallet:{user.number}": 1})],
            at=now(),
        )

        assert any("动用了礼品卡" in one for one in ledger.audit())

        transaction.set_rollback(True)


@pytest.mark.parametrize("column", ["refunded_fen", "unpaid_fen"])
def test_the_audit_sees_a_row_that_says_otherwise(column):
    card = bought(make_user())
    with transaction.atomic():
        type(card).objects.filter(pk=card.pk).update(**{column: 100})

        assert any(card.number in one for one in ledger.audit())
        assert any("held:GIFT_CARDS" in one for one in ledger.audit())

        transaction.set_rollback(True)
