"""A card is given by a link, to the first who comes, and to nobody else."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from config.kit.errors import StaleState
from config.kit.models import IdempotencyKey
from payments.gift_cards import buying, tasks
from payments.gift_cards.models import Gift, GiftCard
from payments.gift_cards.services import GiftCardFrozen, GiftGone, NotYours, OwnGift
from tests.factories import client_of, key, make_user
from tests.payments.gift_cards.scene import (
    FACE,
    bought,
    claim,
    fresh,
    gift,
    give,
    left,
    redeem,
    refund,
    take_back,
)
from tests.payments.wallet.scene import bought as paid_by_wallet


def test_who_has_the_link_has_the_card_once():
    giver, taker, late = make_user(), make_user(), make_user()
    card = bought(giver)
    code = give(card, "生日快乐")
    assert fresh(card).status == "GIVING"

    claim(code, taker)

    assert (fresh(card).holder, fresh(card).status, left(card)) == (taker, "HELD", FACE)
    with pytest.raises(GiftGone):
        claim(code, late)
    assert claim(code, taker).number == card.number
    assert (gift().status, gift().taker, gift().message) == ("CLAIMED", taker, "生日快乐")


def test_only_a_hash_of_the_code_is_kept():
    giver = make_user()
    card = bought(giver)
    address, once = f"/api/v1/gift-cards/{card.number}/gifts", key()

    made = client_of(giver).post(address, {"message": "谢谢"}, format="json", **once)
    again = client_of(giver).post(address, {"message": "谢谢"}, format="json", **once)

    assert made.status_code == 201
    code = made.json()["code"]
    assert len(code) >= 43
    assert again.json() == made.json()
    kept = [bytes(row.answer or b"") for row in IdempotencyKey.objects.all()]
    assert not any(code.encode() in answer for answer in kept)
    assert code not in str(Gift.objects.values())
    assert claim(code, make_user()).number == card.number


def test_nobody_claims_his_own_gift():
    giver = make_user()
    card = bought(giver)

    with pytest.raises(OwnGift):
        claim(give(card), giver)
    assert fresh(card).status == "GIVING"


def test_the_giver_takes_it_back_until_it_is_claimed():
    giver = make_user()
    card = bought(giver)
    code = give(card)

    take_back(card)

    assert (fresh(card).status, gift().status) == ("HELD", "TAKEN_BACK")
    with pytest.raises(GiftGone):
        claim(code, make_user())
    again = give(card)
    claim(again, make_user())
    with pytest.raises(StaleState):
        take_back(card)


def test_a_link_ends_and_the_giver_has_the_card_again():
    card = bought(make_user())
    code = give(card)
    Gift.objects.update(expires_at=now() - timedelta(seconds=1))
    with pytest.raises(GiftGone):
        claim(code, make_user())

    tasks.end_gift_links()
    tasks.end_gift_links()

    assert (fresh(card).status, gift().status) == ("HELD", "EXPIRED")
    assert give(card) != code


def test_what_was_given_is_neither_given_on_nor_refunded():
    card = bought(make_user())
    claim(give(card), make_user())

    with pytest.raises(NotYours):
        give(card)
    with pytest.raises(NotYours):
        refund(card)
    redeem(card)
    with pytest.raises(NotYours):
        refund(card)
    assert left(card) == FACE


def test_a_card_that_is_out_pays_for_nothing_and_is_not_refunded():
    giver = make_user()
    card = bought(giver)
    give(card)

    for act in (redeem, refund, give):
        with pytest.raises(StaleState):
            act(card)
    with pytest.raises(buying.Refusal):
        paid_by_wallet(giver, 100)


def test_a_frozen_card_is_not_claimed_and_goes_back_all_the_same():
    card = bought(make_user())
    code = give(card)
    buying.freeze(card=card, reason="可疑", actor="U1", at=now())

    with pytest.raises(GiftCardFrozen):
        claim(code, make_user())
    assert gift().status == "OPEN"
    take_back(card)
    for act in (redeem, refund, give):
        with pytest.raises(GiftCardFrozen):
            act(card)
    with pytest.raises(StaleState):
        buying.freeze(card=card, reason="再次", actor="U1", at=now())
    buying.thaw(card=card, reason="查清", actor="U1", at=now())
    redeem(card)


def test_a_taker_holds_no_more_than_anybody_may(settings):
    settings.GIFT_CARDS = settings.GIFT_CARDS | {"held_fen": FACE}
    taker = make_user()
    bought(taker, 1000)
    code = give(bought(make_user()))

    with pytest.raises(buying.TooManyGiftCards):
        claim(code, taker)
    assert gift().status == "OPEN"


# --- over the API ---------------------------------------------------------------------------------


def post(user, address, body=None):
    return client_of(user).post(f"/api/v1/gift-cards{address}", body, format="json", **key())


def test_giver_and_taker_see_what_is_theirs():
    giver, taker = make_user(), make_user()
    card = bought(giver)
    code = post(giver, f"/{card.number}/gifts", {"message": "给你"}).json()["code"]

    claimed = post(taker, "/claims", {"code": code})
    assert claimed.status_code == 201
    told = claimed.json()
    assert (told["balance_fen"], told["is_bought"], told["status"]) == (FACE, False, "HELD")
    assert told["gift"]["message"] == "给你"
    assert told["actions"] == {
        "give": False, "take_back": False, "redeem": True, "refund": False,
    }  # fmt: skip
    assert post(taker, f"/{card.number}/redeem").json()["status"] == "ACTIVE"
    paid_by_wallet(taker, 10_000)

    client = client_of(giver)
    (seen,) = client.get("/api/v1/gift-cards").json()["results"]
    assert (seen["status"], seen["balance_fen"], seen["is_bought"]) == ("GIVEN", None, True)
    assert not any(seen["actions"].values())
    assert client.get(f"/api/v1/gift-cards/{card.number}/entries").status_code == 404
    entries = client_of(taker).get(f"/api/v1/gift-cards/{card.number}/entries").json()["results"]
    assert [(one["kind"], one["amount_fen"]) for one in entries] == [
        ("支付", -10_000), ("购卡", FACE),
    ]  # fmt: skip
    assert client_of(make_user()).get(f"/api/v1/gift-cards/{card.number}").status_code == 404


def test_a_wrong_code_and_a_used_one_are_answered_alike_and_not_for_long():
    card = bought(make_user())
    code = give(card)
    claim(code, make_user())
    guesser = make_user()

    wrong, used = (post(guesser, "/claims", {"code": one}) for one in ("A" * 43, code))
    alike = ("code", "detail", "status", "facts")
    assert [wrong.json().get(name) for name in alike] == [used.json().get(name) for name in alike]
    assert wrong.json()["code"] == "GIFT_GONE"

    statuses = [post(guesser, "/claims", {"code": f"{n}" * 20}).status_code for n in range(20)]
    assert statuses[-1] == 429
    assert GiftCard.objects.get().holder_id != guesser.pk


def test_the_list_costs_the_same_however_long(django_assert_num_queries):
    user = make_user()
    client = client_of(user)
    for _ in range(2):
        give(bought(user, 1000))
    client.get("/api/v1/gift-cards")
    with django_assert_num_queries(4):
        assert len(client.get("/api/v1/gift-cards").json()["results"]) == 2
    for _ in range(3):
        bought(user, 1000)
    with django_assert_num_queries(4):
        assert len(client.get("/api/v1/gift-cards").json()["results"]) == 5


def test_the_database_knows_that_one_link_is_open():
    card = bought(make_user())
    give(card)

    with transaction.atomic():
        GiftCard.objects.filter(pk=card.pk).update(status="HELD")
        with pytest.raises(IntegrityError, match="gift_one_open_per_card"), transaction.atomic():
            give(card)
        transaction.set_rollback(True)
