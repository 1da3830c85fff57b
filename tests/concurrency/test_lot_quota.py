"""A lot's pieces and its limit, with everybody at once."""

import time
from collections import Counter
from uuid import uuid4

import pytest
import requests
from django.utils.timezone import now

from livestream import claims, gate, queries
from livestream.models import Claim
from livestream.tasks import write_claims
from payments.ledger import services as ledger
from shop.checkout.rules import Item
from shop.inventory.models import Stock
from shop.offers.models import Offer
from shop.orders import services as orders
from shop.orders.models import Order, OrderLine
from shop.orders.rules import Wish
from tests.concurrency.together import together
from tests.factories import HOME, key
from tests.livestream.processes import Viewer, live_process, web_process
from tests.livestream.stage import Buyer, make_lot

pytestmark = pytest.mark.django_db(transaction=True)


def test_fifty_buyers_over_http_ten_pieces():
    lot, buyers = make_lot(quota=10), [Buyer() for _ in range(50)]
    tickets = {}

    def claim(i):
        answer = requests.post(
            f"{url}/api/v1/live/lots/{lot.number}/claims",
            json={"quantity": 1, "address_id": buyers[i].address},
            headers={
                "Authorization": buyers[i].client._credentials["HTTP_AUTHORIZATION"],
                "Idempotency-Key": str(uuid4()),
            },
            timeout=30,
        )
        if answer.status_code == 202:
            tickets[i] = answer.json()["ticket"]
            write_claims(lot=lot.number)  # as the nudged worker does, so several at once
        return answer.json().get("code", "QUEUED")

    with web_process() as url, live_process() as port:
        viewer = Viewer(port, lot.session.number)
        endings = together(50, claim)
        write_claims()
        heard = viewer.until("lot.sold_out")

    assert endings == {"QUEUED": 10, "SOLD_OUT": 40}
    outcomes = [buyers[i].outcome(ticket).json() for i, ticket in tickets.items()]
    assert {one["status"] for one in outcomes} == {"ORDERED"}
    assert {one["order"] for one in outcomes} == set(Order.objects.values_list("number", flat=True))
    assert Order.objects.count() == Claim.objects.count() == Offer.objects.get().taken == 10
    assert Counter(event["type"] for event in heard)["order.placed"] == 10
    assert Stock.objects.get().promised == 10
    assert ledger.audit() == []


def test_without_the_gate_and_the_counted_update_the_race_is_real():
    """If this ever fails, the tests around it prove nothing."""
    lot = make_lot(quota=4)

    def careless(i):
        offer = Offer.objects.get()
        if offer.taken < offer.quota:
            time.sleep(0.05)
            Offer.objects.update(taken=min(offer.taken + 1, offer.quota))
            return "ok"
        return "SOLD_OUT"

    assert together(8, careless)["ok"] > lot.quota


def test_one_buyer_with_eight_phones_gets_what_one_buyer_may_have():
    lot, buyer = make_lot(per_buyer_limit=2), Buyer()

    endings = together(8, lambda i: buyer.claim(lot).json().get("code", "QUEUED"))
    write_claims()

    assert endings == {"QUEUED": 2, "OVER_LIMIT": 6}
    assert Order.objects.count() == 2
    assert ledger.audit() == []


def test_one_key_from_eight_threads_is_one_ticket():
    lot, buyer, header = make_lot(per_buyer_limit=8), Buyer(), key()

    endings = together(8, lambda i: buyer.claim(lot, headers=header).json()["ticket"])
    write_claims()

    assert len(endings) == 1
    assert Order.objects.count() == 1


def test_two_writers_at_once_place_each_order_once():
    lot = make_lot(quota=30, on_hand=30)
    buyers = [Buyer() for _ in range(30)]
    for buyer in buyers:
        assert buyer.claim(lot).status_code == 202

    endings = together(4, lambda i: claims.write(lot=lot.number, at=now()) and "ok")

    assert endings == {"ok": 4}
    assert gate.waiting(lot.number, 100) == []
    assert Order.objects.count() == Claim.objects.filter(status="ORDERED").count() == 30
    in_order = Claim.objects.order_by("position").values_list("buyer", flat=True)
    assert list(in_order) == [buyer.user.pk for buyer in buyers]
    assert ledger.audit() == []


def test_without_the_row_of_a_claim_two_writers_order_twice():
    """If this ever fails, the test above proves nothing."""
    lot = make_lot(quota=30, on_hand=30)
    for _ in range(5):
        Buyer().claim(lot)

    def careless(i):
        line = gate.waiting(lot.number, 100)
        items = [Item(lot.sku.number, 1, lot.offer.number)]
        wishes = [
            Wish(buyer_id=one.buyer_id, items=items, consignee=HOME, via="LIVE") for one in line
        ]
        time.sleep(0.05)
        orders.place(wishes=wishes, at=now())
        gate.answered(lot.number, line)

    together(2, careless)

    assert OrderLine.objects.count() == 10


def test_postgresql_decides_when_the_gate_was_too_generous():
    """As after a failover to a Redis that had not seen the last admissions."""
    lot = make_lot(quota=3, on_hand=3)
    buyers = [Buyer() for _ in range(8)]
    gate.redis.connection().hset(gate._keys(lot.number)[0], "left", 100)

    tickets = [buyer.claim(lot).json()["ticket"] for buyer in buyers]
    write_claims()

    outcomes = [buyer.outcome(ticket).json() for buyer, ticket in zip(buyers, tickets, strict=True)]
    assert [one["status"] for one in outcomes] == ["ORDERED"] * 3 + ["REFUSED"] * 5
    assert {one["code"] for one in outcomes[3:]} == {"SOLD_OUT"}
    assert gate.look(lot.number).left == 0  # and the sweep has put it right
    assert ledger.audit() == []


def test_the_limit_holds_in_postgresql_too():
    lot, buyer = make_lot(per_buyer_limit=2), Buyer()
    tickets = []
    for _ in range(4):
        gate.redis.connection().delete(gate._keys(lot.number)[1])
        tickets.append(buyer.claim(lot).json()["ticket"])
    write_claims()

    codes = [buyer.outcome(ticket).json()["code"] for ticket in tickets]
    assert codes == [None, None, "OVER_LIMIT", "OVER_LIMIT"]
    assert ledger.audit() == []


def test_a_correction_does_not_lose_who_comes_in_meanwhile():
    """Sweeps and claims at once: in the end the gate has exactly what PostgreSQL has left."""
    lot = make_lot(quota=20, on_hand=20)
    buyers = [Buyer() for _ in range(16)]

    def act(i):
        if i < 16:
            return str(buyers[i].claim(lot).status_code)
        for _ in range(10):
            claims.settle(lot=lot.number, at=now())
        return "settled"

    endings = together(18, act)
    write_claims()

    assert endings == {"202": 16, "settled": 2}
    assert gate.look(lot.number).left == 4
    assert queries.allotment(lot.number).left == 4
    assert ledger.audit() == []
