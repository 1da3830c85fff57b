"""A card is paid by any way to pay, once, and its money leaves it when the bank takes it back."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from payments.cashier import refunds
from payments.cashier import services as cashier
from payments.cashier.models import Payment, Refund
from payments.gift_cards import buying, tasks
from payments.gift_cards.models import GiftCard, GiftCardEvent
from payments.wallet.services import InsufficientBalance
from tests.factories import NOON, client_of, key, make_account, make_user
from tests.payments.gift_cards.scene import (
    FACE,
    asked,
    bought,
    card_of,
    claim,
    fresh,
    from_wallet,
    give,
    held,
    left,
    lost,
    payment_of,
    redeem,
    redeemed,
    refund,
    reversed_by_the_bank,
)
from tests.payments.offered import offer
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import available
from tests.payments.wallet.scene import bought as paid_by_wallet


@pytest.fixture
def no_bank(settings):
    """A reversal that no bank's line tells of."""
    settings.AUDITS = [one for one in settings.AUDITS if "transfers" not in one]


def test_paid_by_wechat_it_is_on_the_card(wechat):
    payment = asked(make_user(), FACE, "WECHAT")
    cashier.prepare(payment=payment, at=now())
    card = card_of(payment)
    assert (card.status, left(card)) == ("OPEN", 0)

    wechat.switch("double_new_id")
    wechat.pay(payment)
    assert wechat.deliver(2) == [204, 204]

    assert (fresh(card).status, left(card), held()) == ("HELD", FACE, 0)


def test_by_transfer_in_parts_it_is_there_when_all_is():
    payment = asked(make_user())
    transfer_in(payment, fen=20_000)
    card = card_of(payment)
    assert (card.status, left(card), held()) == ("OPEN", 0, 20_000)

    transfer_in(payment, fen=30_100)

    assert (fresh(card).status, left(card), held()) == ("HELD", FACE, 0)
    assert Refund.objects.get().amount_fen == 100
    assert payment.pay_before > now() + timedelta(days=1)


def test_a_wallet_buys_a_card_but_another_card_does_not():
    """What a card pays for must not become what can be given away, or refunded elsewhere."""
    user = make_user()
    redeemed(user)
    with pytest.raises(InsufficientBalance):
        asked(user, FACE, "WALLET")

    card = from_wallet(user)

    assert (card.status, left(card), available(user)) == ("HELD", FACE, 0)


@pytest.mark.parametrize("fen", [999, 900, 1050, 100_100, 100_050])
def test_only_whole_yuan_within_the_limits(fen):
    with pytest.raises(buying.NoSuchFace):
        asked(make_user(), fen)
    assert not GiftCard.objects.exists()


def test_the_database_knows_that_a_card_is_of_whole_yuan():
    card = bought(make_user())

    with pytest.raises(IntegrityError), transaction.atomic():
        GiftCard.objects.filter(pk=card.pk).update(face_fen=FACE + 1)


def test_a_person_buys_so_much_a_day(settings):
    settings.GIFT_CARDS = settings.GIFT_CARDS | {"day_fen": 2 * FACE}
    user = make_user()
    bought(user)
    asked(user, FACE - 100)

    with pytest.raises(buying.GiftCardsADay) as refusal:
        asked(user, 1000)

    assert refusal.value.details == {"left_fen": 100}
    bought(make_user())


def test_a_person_holds_so_much_with_all_that_he_may_still_pay(settings):
    settings.GIFT_CARDS = settings.GIFT_CARDS | {"held_fen": 2 * FACE}
    user = make_user()
    card = redeemed(user)
    asked(user)
    with pytest.raises(buying.TooManyGiftCards) as refusal:
        asked(user, 1000)
    assert refusal.value.details == {"held_fen": 2 * FACE, "room_fen": 0}

    paid_by_wallet(user, 30_000)

    assert left(card) == FACE - 30_000
    asked(user, 30_000)


def test_over_the_api_it_is_a_payment_like_any_other(wechat):
    user, once = make_user(), key()
    make_account()
    client, body = client_of(user), {"face_fen": FACE, "method": "BANK_TRANSFER"}

    first = client.post("/api/v1/gift-cards", body, format="json", **once)
    again = client.post("/api/v1/gift-cards", body, format="json", **once)

    assert first.status_code == 201
    told, card = first.json(), GiftCard.objects.get()
    assert (told["purpose"], told["order"], told["gift_card"]) == ("GIFT_CARD", None, card.number)
    assert again.json() == told
    assert client.post("/api/v1/gift-cards", body, format="json").status_code == 400

    offer("WECHAT", limit_fen=40_000)
    ways = client.get("/api/v1/gift-cards/methods", {"face_fen": FACE}).json()["methods"]
    assert {one["method"]: one["is_offered"] for one in ways} == {
        "BANK_TRANSFER": True, "WALLET": False, "WECHAT": False,
    }  # fmt: skip


def test_what_nobody_paid_is_closed_and_late_money_still_fills_it():
    payment = asked(make_user())
    GiftCard.objects.update(pay_before=NOON, look_at=NOON)
    Payment.objects.update(pay_before=NOON)

    tasks.expire_gift_cards()
    tasks.expire_gift_cards()

    assert (card_of(payment).status, payment_of(card_of(payment)).status) == ("CLOSED", "CLOSED")
    transfer_in(payment, fen=FACE)
    assert (card_of(payment).status, left(card_of(payment)), held()) == ("HELD", FACE, 0)


# --- taken back by the bank -----------------------------------------------------------------------


def test_what_the_bank_takes_back_leaves_the_card_and_may_come_again(no_bank):
    card = bought(make_user())
    payment = payment_of(card)

    reversed_by_the_bank(payment)

    assert (left(card), held(), lost()) == (0, 0, 0)
    assert fresh(card).unpaid_fen == FACE
    with pytest.raises(buying.Refusal):
        redeem(card)
    transfer_in(payment, fen=FACE)
    assert (left(card), fresh(card).unpaid_fen) == (FACE, 0)
    redeem(card)


def test_what_was_spent_is_receivable_and_the_rest_leaves_the_card(no_bank):
    user = make_user()
    card = redeemed(user)
    paid_by_wallet(user, 20_000)

    reversed_by_the_bank(payment_of(card))

    assert (left(card), held(), lost()) == (0, 0, 20_000)
    assert fresh(card).frozen_why == buying.REVERSED
    transfer_in(payment_of(card), fen=30_000)
    assert (left(card), held()) == (30_000, 0)


def test_all_of_it_spent_all_of_it_is_receivable(no_bank):
    user = make_user()
    card = redeemed(user)
    paid_by_wallet(user, FACE)

    reversed_by_the_bank(payment_of(card))

    assert (left(card), lost(), fresh(card).unpaid_fen) == (0, FACE, 0)


def test_two_transfers_that_are_taken_back_one_after_the_other(no_bank):
    user = make_user()
    payment = asked(user)
    transfer_in(payment, fen=20_000)
    transfer_in(payment, fen=30_000)
    card = card_of(payment)
    redeem(card)
    paid_by_wallet(user, 10_000)

    txns = payment.receipts.order_by("pk").values_list("pk", flat=True)
    for pk in list(txns):
        reversed_by_the_bank(payment, pk=pk)

    assert (left(card), held(), lost()) == (0, 0, 10_000)


def test_what_an_order_gives_back_after_that_is_not_spent_nor_refunded(no_bank):
    user = make_user()
    card = redeemed(user)
    order = paid_by_wallet(user, FACE)
    reversed_by_the_bank(payment_of(card))

    refunds.refund_all(
        purpose="ORDER", reference=order.reference, reason=refunds.Reason.CANCELLED, at=now()
    )
    refunds.send(refund=order.refunds.select_related("payment").get(), at=now())

    assert left(card) == FACE
    with pytest.raises(InsufficientBalance):
        paid_by_wallet(user, 100)
    buying.thaw(card=card, reason="已补款", actor="", at=now())
    with pytest.raises(buying.Refusal, match="没有可以退的金额"):
        refund(card)


def test_who_was_given_it_loses_what_the_bank_took(no_bank):
    giver, taker = make_user(), make_user()
    card = bought(giver)
    claim(give(card), taker)
    redeem(card)

    reversed_by_the_bank(payment_of(card))

    assert (left(card), lost()) == (0, 0)
    with pytest.raises(InsufficientBalance):
        paid_by_wallet(taker, 100)


def test_after_a_refund_that_has_not_left_the_bank_takes_it_from_there(no_bank):
    user = make_user()
    card = redeemed(user)
    paid_by_wallet(user, 20_000)
    refund(card)

    reversed_by_the_bank(payment_of(card))

    assert (left(card), held(), lost()) == (0, 0, 20_000)
    assert Refund.objects.get().status == "VOID"


def test_a_wrong_match_is_undone_unless_the_card_was_used():
    mine, given = bought(make_user()), bought(make_user())
    claim(give(given), make_user())

    buying.unpay(numbers={mine.number: False}, at=now())
    assert left(mine) == FACE
    with pytest.raises(buying.GiftCardUsed):
        buying.unpay(numbers={given.number: True}, at=now())
    assert left(given) == FACE


def test_events_tell_what_happened_and_stay():
    card = redeemed(make_user())

    assert list(card.events.order_by("pk").values_list("kind", flat=True)) == ["PAID", "REDEEMED"]
    with pytest.raises(Exception, match="append"), transaction.atomic():
        GiftCardEvent.objects.all().delete()
