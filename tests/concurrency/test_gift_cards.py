"""One gift card, wanted by many at once; controls show the races without their guards."""

from threading import Barrier

import pytest
from django.utils.timezone import now

from payments.cashier.models import Payment, Refund
from payments.gift_cards.models import Gift, GiftCard
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Account
from tests.concurrency.together import together
from tests.factories import make_user
from tests.payments import payable
from tests.payments.gift_cards.scene import (
    FACE,
    bought,
    claim,
    fresh,
    from_wallet,
    gift,
    give,
    left,
    lost,
    payment_of,
    redeem,
    redeemed,
    refund,
    reversed_by_the_bank,
    sent,
    take_back,
)
from tests.payments.gift_cards.test_buying import no_bank  # noqa: F401
from tests.payments.wallet.conftest import no_shop  # noqa: F401
from tests.payments.wallet.scene import available, thing
from tests.payments.wallet.scene import bought as paid_by_wallet

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_shop")]


def test_many_claim_one_link_and_one_has_the_card():
    card = bought(make_user())
    code, people = give(card), [make_user() for _ in range(5)]

    assert together(5, lambda i: claim(code, people[i]) and "ok") == {"ok": 1, "GIFT_GONE": 4}

    assert fresh(card).holder == gift().taker
    assert Gift.objects.filter(status="CLAIMED").count() == 1
    assert ledger.audit() == []


def test_looked_at_first_and_written_then_many_have_claimed_it():
    """If this ever fails, the test above proves nothing."""
    card = bought(make_user())
    give(card)
    people, all_looked = [make_user() for _ in range(3)], Barrier(3)

    def careless(i):
        seen = gift()
        all_looked.wait()
        if seen.status != "OPEN":
            return "late"
        claimed = {"status": "HELD", "holder": people[i], "given_at": now()}
        GiftCard.objects.filter(pk=card.pk).update(**claimed)
        return "ok"

    assert together(3, careless) == {"ok": 3}


def test_one_person_claims_twice_at_once_and_is_answered_twice():
    card, taker = bought(make_user()), make_user()
    code = give(card)

    assert together(4, lambda _: claim(code, taker) and "ok") == {"ok": 4}
    assert fresh(card).holder == taker


def test_taken_back_while_it_is_claimed_it_is_one_of_theirs():
    for _ in range(5):
        giver, taker = make_user(), make_user()
        card = bought(giver)
        code = give(card)

        def act(i, card=card, code=code, taker=taker):
            if i:
                claim(code, taker)
                return "claimed"
            take_back(card)
            return "taken back"

        endings = together(2, act)

        if endings["claimed"]:
            assert endings == {"claimed": 1, "STALE_STATE": 1}
            assert (fresh(card).holder, fresh(card).status) == (taker, "HELD")
        else:
            assert endings == {"taken back": 1, "GIFT_GONE": 1}
            assert (fresh(card).holder, fresh(card).status) == (giver, "HELD")
    assert ledger.audit() == []


def test_looked_at_first_it_is_claimed_and_taken_back():
    """The control: without the counted UPDATE both find the link open."""
    give(bought(make_user()))
    both_looked = Barrier(2)

    def careless(i):
        seen = gift()
        both_looked.wait()
        if seen.status != "OPEN":
            return "late"
        ended = {"ended_at": now()}
        if i:
            ended["taker"] = make_user()
        Gift.objects.filter(pk=seen.pk).update(status=("TAKEN_BACK", "CLAIMED")[i], **ended)
        return "ok"

    # The second writes over the first, or the database refuses it for its taker's sake.
    endings = together(2, careless)
    assert endings["ok"] + endings["IntegrityError"] == 2


def test_two_redeem_one_card_and_one_has():
    card = bought(make_user())

    assert together(4, lambda _: redeem(card)) == {"ok": 1, "STALE_STATE": 3}
    assert card.events.filter(kind="REDEEMED").count() == 1


def test_looked_at_first_it_is_redeemed_and_refunded():
    """The control of the tests around it: without the counted UPDATE both find it unused."""
    card, both_looked = bought(make_user()), Barrier(2)
    changes = (
        {"status": "ACTIVE", "redeemed_at": now()},
        {"status": "REFUNDED", "redeemed_at": None, "refunded_fen": FACE},
    )

    def careless(i):
        seen = fresh(card)
        both_looked.wait()
        if seen.status != "HELD":
            return "late"
        GiftCard.objects.filter(pk=card.pk).update(**changes[i])
        return "ok"

    assert together(2, careless) == {"ok": 2}


def test_redeemed_or_given_or_refunded_but_one_of_them():
    for _ in range(4):
        user = make_user()
        card = from_wallet(user)
        acts = (redeem, give, refund)

        endings = together(3, lambda i, card=card, acts=acts: (acts[i](card) and "ok") or "ok")

        is_refunded = fresh(card).status == "REFUNDED"
        # What was redeemed may be refunded all the same, once.
        assert 1 <= endings["ok"] <= 2, endings
        assert left(card) == (0 if fresh(card).refunded_fen else FACE)
        assert not (is_refunded and Gift.objects.filter(card=card, status="OPEN").exists())
    sent()
    assert ledger.audit() == []


def test_spent_while_it_is_refunded_it_is_one_of_both():
    for _ in range(4):
        user = make_user()
        card = from_wallet(user)
        redeem(card)
        reference = thing(FACE)

        def act(i, user=user, card=card, reference=reference):
            if i:
                return paid_by_wallet(user, reference=reference) and "paid"
            return refund(card) and "refunded"

        endings = together(2, act)
        sent()

        if endings["paid"]:
            assert endings == {"paid": 1, "NOTHING_LEFT": 1}
            assert (left(card), available(user)) == (0, 0)
        else:
            assert endings == {"refunded": 1, "INSUFFICIENT_BALANCE": 1}
            assert (left(card), available(user)) == (0, FACE)
    assert ledger.audit() == []


def test_read_first_and_written_then_it_is_spent_and_refunded():
    """The control: without the card's row both find it full."""
    card, both_read = redeemed(make_user()), Barrier(2)
    account = Account.objects.filter(code=f"gift_card:{card.number}")

    def careless(_):
        fen = account.get().balance_fen
        both_read.wait()
        account.update(balance_fen=fen - FACE)
        return "ok"

    assert together(2, careless) == {"ok": 2}


def test_refunded_by_two_clicks_it_goes_back_once():
    user = make_user()
    card = from_wallet(user)

    assert together(4, lambda _: refund(card) and "ok") == {"ok": 1, "STALE_STATE": 3}
    sent()

    assert (available(user), Refund.objects.count()) == (FACE, 1)
    assert ledger.audit() == []


def test_many_orders_of_one_card_are_paid_as_far_as_it_goes():
    user = make_user()
    redeemed(user)
    things = [thing(FACE // 4) for _ in range(6)]

    endings = together(6, lambda i: paid_by_wallet(user, reference=things[i]) and "ok")

    assert endings == {"ok": 4, "INSUFFICIENT_BALANCE": 2}
    assert books.balance(f"held:{payable.MERCHANT}") == FACE
    assert Payment.objects.filter(purpose="ORDER", status="CONFIRMED").count() == 4
    assert ledger.audit() == []


def test_spent_while_the_bank_takes_its_money_back(no_bank):  # noqa: F811
    for _ in range(4):
        user = make_user()
        card = redeemed(user)
        reference, before = thing(FACE), lost()

        def act(i, user=user, card=card, reference=reference):
            if i:
                return paid_by_wallet(user, reference=reference) and "paid"
            reversed_by_the_bank(payment_of(card))
            return "reversed"

        endings = together(2, act)

        assert endings["reversed"] == 1
        assert left(card) == 0
        assert lost() - before == (FACE if endings["paid"] else 0)
    assert ledger.audit() == []


def test_claimed_while_the_bank_takes_its_money_back(no_bank):  # noqa: F811
    card, taker = bought(make_user()), make_user()
    code = give(card)

    def act(i):
        if i:
            claim(code, taker)
        else:
            reversed_by_the_bank(payment_of(card))

    endings = together(2, act)

    assert endings["ok"] + endings["GIFT_CARD_FROZEN"] == 2
    assert (left(card), lost(), fresh(card).unpaid_fen) == (0, 0, FACE)
    assert ledger.audit() == []


def test_the_limit_of_a_day_holds_for_many_at_once(settings):
    settings.GIFT_CARDS = settings.GIFT_CARDS | {"day_fen": 2 * FACE}
    user = make_user()
    bought(make_user())  # the receiving account is there

    endings = together(5, lambda _: bought(user) and "ok")

    assert endings == {"ok": 2, "GIFT_CARDS_A_DAY": 3}
    assert GiftCard.objects.filter(buyer=user).count() == 2
