import pytest
from django.utils.timezone import now

from livestream import services
from livestream.models import Claim, Lot
from livestream.tasks import write_claims
from payments.ledger import services as ledger
from shop.inventory.models import Stock
from shop.orders import services as orders
from shop.orders.models import Order
from tests.factories import key, make_member, make_merchant
from tests.livestream.stage import Buyer, make_lot, make_session, serve

pytestmark = pytest.mark.django_db(transaction=True)


def nothing_happened():
    serve()
    return not Claim.objects.exists() and not Order.objects.exists()


def test_a_claim_is_queued_and_then_an_order_at_the_live_price():
    lot, buyer = make_lot(), Buyer()

    answer = buyer.claim(lot)
    ticket = answer.json()["ticket"]
    queued = buyer.outcome(ticket).json()
    write_claims(lot=lot.number)
    ordered = buyer.outcome(ticket).json()

    assert answer.status_code == 202
    assert answer.json() == {"ticket": ticket, "status": "QUEUED"}
    assert queued["status"] == "QUEUED"
    order = Order.objects.get()
    assert (ordered["status"], ordered["order"]) == ("ORDERED", order.number)
    assert order.total_fen == 99_00
    assert order.consignee["name"] == "王小美"
    assert 9 <= (order.pay_before - order.placed_at).total_seconds() / 60 <= 10
    assert ledger.audit() == []


def test_who_comes_too_late_is_refused_without_a_question_to_postgresql(
    django_assert_max_num_queries,
):
    lot = make_lot(quota=1)
    first, second = Buyer(), Buyer()
    assert first.claim(lot).status_code == 202

    with django_assert_max_num_queries(1):  # whose token it is
        answer = second.claim(lot)

    assert answer.status_code == 409
    assert answer.json()["code"] == "SOLD_OUT"
    serve()
    assert Claim.objects.get().buyer == first.user


def test_an_admitted_claim_asks_for_token_and_address_only(django_assert_max_num_queries):
    lot, buyer = make_lot(), Buyer()

    with django_assert_max_num_queries(2):
        assert buyer.claim(lot).status_code == 202


def test_before_the_drop_and_after_the_end_nobody_gets_anything():
    lot, buyer = make_lot(is_dropped=False), Buyer()
    early = buyer.claim(lot)
    services.drop(lot=lot, at=now())
    services.close(lot=lot, at=now())
    late = buyer.claim(lot)

    assert (early.status_code, early.json()["code"]) == (409, "LOT_NOT_OPEN")
    assert (late.status_code, late.json()["code"]) == (409, "LOT_CLOSED")
    assert nothing_happened()
    assert Stock.objects.get().promised == 0


def test_right_after_the_drop_the_gate_is_open_though_it_was_asked_before():
    lot, buyer = make_lot(is_dropped=False), Buyer()
    buyer.claim(lot)
    services.drop(lot=lot, at=now())

    assert buyer.claim(lot).status_code == 202


def test_while_it_is_paused_nobody_gets_in_and_who_is_in_line_is_served():
    lot, first, second = make_lot(), Buyer(), Buyer()
    ticket = first.claim(lot).json()["ticket"]
    services.pause(lot=lot, is_paused=True)
    paused = second.claim(lot)
    serve()
    services.pause(lot=lot, is_paused=False)

    assert paused.json()["code"] == "LOT_PAUSED"
    assert first.outcome(ticket).json()["status"] == "ORDERED"
    assert second.claim(lot).status_code == 202


def test_above_the_limit_also_in_two_steps():
    lot, buyer = make_lot(per_buyer_limit=2), Buyer()
    at_once = buyer.claim(lot, 3)
    first, second, third = buyer.claim(lot), buyer.claim(lot), buyer.claim(lot)

    assert at_once.json()["code"] == third.json()["code"] == "OVER_LIMIT"
    assert first.status_code == second.status_code == 202
    serve()
    assert buyer.claim(lot).json()["code"] == "OVER_LIMIT"
    assert Order.objects.count() == 2
    assert ledger.audit() == []


def test_one_cannot_send_it_to_anothers_address():
    lot, buyer, other = make_lot(), Buyer(), Buyer()

    assert buyer.claim(lot, address=other.address).status_code == 404
    assert buyer.claim(lot, address="A2222222222222").status_code == 404
    assert nothing_happened()
    assert buyer.claim(lot).status_code == 202  # the refused ones took nothing


def test_without_a_key_nothing_is_claimed():
    lot, buyer = make_lot(), Buyer()
    answers = [
        buyer.claim(lot, headers={}),
        buyer.claim(lot, headers={"HTTP_IDEMPOTENCY_KEY": "1"}),
    ]

    assert {answer.status_code for answer in answers} == {400}
    assert {answer.json()["code"] for answer in answers} == {"IDEMPOTENCY_KEY_REQUIRED"}
    assert nothing_happened()


@pytest.mark.parametrize("when", ["at once", "after the order"])
def test_the_same_key_is_the_same_ticket(when):
    lot, buyer, header = make_lot(per_buyer_limit=5), Buyer(), key()
    first = buyer.claim(lot, headers=header)
    if when == "after the order":
        serve()
    again = buyer.claim(lot, headers=header)
    quoted = buyer.claim(
        lot, headers={"HTTP_IDEMPOTENCY_KEY": '"' + header["HTTP_IDEMPOTENCY_KEY"].upper() + '"'}
    )
    other_body = buyer.claim(lot, 2, headers=header)
    serve()

    assert again.status_code == quoted.status_code == 202
    assert again.json() == quoted.json() == first.json()
    assert again["Idempotent-Replay"] == "true"
    assert "Idempotent-Replay" not in first
    assert (other_body.status_code, other_body.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Order.objects.count() == Claim.objects.count() == 1


def test_a_refused_claim_leaves_its_key_free():
    lot, buyer, header = make_lot(is_dropped=False), Buyer(), key()
    assert buyer.claim(lot, headers=header).status_code == 409
    services.drop(lot=lot, at=now())

    assert buyer.claim(lot, headers=header).status_code == 202


@pytest.mark.parametrize("quantity", [0, -1, 100_001, 10**30, 1.0, 1.5, "1", True, None, [1]])
def test_a_quantity_is_a_positive_whole_number(quantity):
    lot, buyer = make_lot(per_buyer_limit=10), Buyer()

    assert buyer.claim(lot, quantity).status_code == 400
    assert nothing_happened()


@pytest.mark.parametrize("lot", ["K2222222222222", "K", "x}y", "L" * 300])
def test_an_unknown_lot_is_a_404(lot):
    buyer = Buyer()
    answer = buyer.claim(Lot(number=lot))

    assert answer.status_code == 404


def test_anothers_ticket_does_not_exist():
    lot, buyer, other = make_lot(), Buyer(), Buyer()
    ticket = buyer.claim(lot).json()["ticket"]

    in_line = other.outcome(ticket).status_code
    serve()

    assert in_line == other.outcome(ticket).status_code == 404
    assert other.outcome(f"T{'2' * 20}-{lot.number}").status_code == 404
    assert buyer.outcome(ticket).json()["status"] == "ORDERED"


def test_a_private_lot_is_for_members_only():
    merchant = make_merchant()
    lot = make_lot(make_session(merchant), is_private=True, quota=1)
    stranger, member = Buyer(), Buyer(make_member(merchant))

    before = stranger.claim(lot)
    ticket = member.claim(lot).json()["ticket"]
    sold_out = stranger.claim(lot)
    serve()

    assert before.status_code == sold_out.status_code == 404
    assert before.json()["code"] == sold_out.json()["code"] == "NOT_FOUND"
    assert member.outcome(ticket).json()["status"] == "ORDERED"


def test_what_is_in_line_when_the_lot_closes_is_refused():
    lot, buyer = make_lot(), Buyer()
    ticket = buyer.claim(lot).json()["ticket"]
    services.end(session=lot.session, at=now())
    serve()

    answer = buyer.outcome(ticket).json()
    assert (answer["status"], answer["code"]) == ("REFUSED", "LOT_CLOSED")
    assert not Order.objects.exists()
    assert Stock.objects.get().promised == 0
    lot.refresh_from_db()
    assert lot.settled_at is not None
    assert ledger.audit() == []


def test_an_address_that_was_deleted_meanwhile_is_a_refusal():
    lot, buyer = make_lot(), Buyer()
    ticket = buyer.claim(lot).json()["ticket"]
    buyer.user.addresses.all().delete()
    serve()

    assert buyer.outcome(ticket).json()["code"] == "ADDRESS_GONE"
    assert not Order.objects.exists()


def test_unpaid_pieces_come_back_to_the_lot_and_can_be_claimed_again():
    lot, first, second = make_lot(quota=1), Buyer(), Buyer()
    first.claim(lot)
    serve()
    assert second.claim(lot).json()["code"] == "SOLD_OUT"
    order = Order.objects.get()

    orders.expire(order_numbers=[order.number], at=order.pay_before)
    serve()

    assert second.claim(lot).status_code == 202
    serve()
    assert first.claim(lot).json()["code"] == "SOLD_OUT"
    assert Order.objects.exclude(status="CLOSED").get().buyer == second.user
    told = list(lot.session.events.order_by("seq").values_list("type", flat=True))
    assert told[-4:] == ["lot.sold_out", "lot.stock", "order.placed", "lot.sold_out"]
    assert ledger.audit() == []


def test_whose_order_expired_may_claim_again():
    lot, buyer = make_lot(quota=1), Buyer()
    buyer.claim(lot)
    serve()
    order = Order.objects.get()
    orders.expire(order_numbers=[order.number], at=order.pay_before)
    serve()

    assert buyer.claim(lot).status_code == 202
    serve()
    assert Claim.objects.filter(status="ORDERED").count() == 2
    assert ledger.audit() == []
