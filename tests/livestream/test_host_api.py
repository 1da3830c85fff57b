from datetime import timedelta

import pytest
from django.utils.timezone import now

from livestream import services
from livestream.models import Lot, RoomEvent, Session
from livestream.tasks import close_overdue
from members.guides import targets
from payments.ledger import services as ledger
from shop.inventory.models import Stock
from shop.offers.models import Offer
from tests.concurrency.together import together
from tests.factories import (
    client_of,
    key,
    make_member,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
    place,
)
from tests.livestream.stage import Buyer, make_lot, make_session, serve

pytestmark = pytest.mark.django_db(transaction=True)
API = "/api/v1/live"


def announce(merchant, **changes):
    at = now()
    return {
        "merchant": merchant.number,
        "title": "春茶专场",
        "starts_at": at.isoformat(),
        "ends_at": (at + timedelta(hours=2)).isoformat(),
    } | changes


def test_the_host_runs_a_session_from_beginning_to_end():
    merchant = make_merchant()
    host, sku = client_of(make_staff(merchant)), make_sku(merchant, on_hand=10)

    def post(path, body=None):
        return host.post(f"{API}/{path}", body, format="json", **key()).json()

    session = post("sessions", announce(merchant))
    goods = {"sku": sku.number, "price_fen": 99_00, "quota": 4}
    lot = post(f"sessions/{session['id']}/lots", goods)
    assert session["actions"] == {"start": True, "end": True}
    assert lot["actions"] == {"claim": False, "drop": True, "close": True}

    assert post(f"sessions/{session['id']}/start")["status"] == "LIVE"
    dropped = post(f"lots/{lot['id']}/drop")
    assert (dropped["status"], dropped["left"]) == ("DROPPED", 4)
    assert Stock.objects.get().promised == 4
    seen = host.get(f"{API}/sessions/{session['id']}").json()
    assert seen["lots"] == [dropped]
    assert seen["ws_url"].startswith("ws")
    assert seen["ws_url"].endswith(f"/ws/live/{session['id']}")

    assert post(f"lots/{lot['id']}/close")["status"] == "CLOSED"
    assert Stock.objects.get().promised == 0
    assert post(f"sessions/{session['id']}/end")["status"] == "ENDED"
    told = host.get(f"{API}/sessions/{session['id']}/events").json()
    assert [(event["seq"], event["type"]) for event in told["results"]] == [
        (1, "session.started"), (2, "lot.dropped"), (3, "lot.closed"), (4, "session.ended"),
    ]  # fmt: skip
    assert told["seq"] == 4
    assert ledger.audit() == []


def test_missed_events_are_fetched_by_seq():
    lot = make_lot()
    client = client_of()

    rest = client.get(f"{API}/sessions/{lot.session.number}/events?after=1").json()
    none = client.get(f"{API}/sessions/{lot.session.number}/events?after=2").json()
    bad = client.get(f"{API}/sessions/{lot.session.number}/events?after=-1")

    assert [event["type"] for event in rest["results"]] == ["lot.dropped"]
    assert rest["results"][0]["data"]["left"] == 10
    assert (none["results"], none["seq"]) == ([], 2)
    assert bad.status_code == 400


def test_of_two_clicks_on_drop_one_counts():
    lot = make_lot(is_dropped=False, quota=4)

    endings = together(2, lambda i: services.drop(lot=lot, at=now()))

    assert endings == {"ok": 1, "STALE_STATE": 1}
    assert Offer.objects.count() == 1
    assert Stock.objects.get().promised == 4


def test_more_than_there_is_in_stock_is_not_dropped():
    lot = make_lot(is_dropped=False, quota=10, on_hand=9)
    host = client_of(lot.session.host)

    answer = host.post(f"{API}/lots/{lot.number}/drop", **key())

    assert (answer.status_code, answer.json()["code"]) == (409, "SOLD_OUT")
    assert Lot.objects.get().status == "READY"
    assert not Offer.objects.exists()
    assert Stock.objects.get().promised == 0
    assert RoomEvent.objects.count() == 1


@pytest.mark.parametrize("moment", ["before the start", "after the end", "after its time"])
def test_a_lot_is_dropped_only_on_air(moment):
    session = make_session(is_live=moment != "before the start")
    lot, at = make_lot(session, is_dropped=False), now()
    if moment == "after the end":
        services.end(session=session, at=at)
    if moment == "after its time":
        at = session.ends_at

    with pytest.raises((services.SessionNotLive, services.StaleState)):
        services.drop(lot=lot, at=at)

    assert not Offer.objects.exists()


def test_a_product_that_is_not_on_sale_is_not_dropped():
    lot = make_lot(is_dropped=False)
    type(lot.sku.product).objects.update(status="OFF")

    with pytest.raises(services.NotOnSale):
        services.drop(lot=lot, at=now())

    assert Stock.objects.get().promised == 0


def test_pieces_of_a_lot_cannot_be_bought_elsewhere():
    from shop.inventory.services import SoldOut

    lot = make_lot(quota=4, on_hand=4)

    with pytest.raises(SoldOut):
        place(make_user(), lot.sku)


def test_the_offer_of_a_lot_is_not_for_the_order_api():
    lot, buyer = make_lot(), Buyer()
    body = {
        "lines": [{"sku": lot.sku.number, "quantity": 1, "offer": lot.offer.number}],
        "address_id": buyer.address,
    }

    answer = buyer.client.post("/api/v1/orders", body, format="json", **key())

    assert answer.status_code == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"quota": 0}, {"quota": -1}, {"quota": 10**9}, {"quota": 1.5}, {"price_fen": 0},
        {"price_fen": -1}, {"per_buyer_limit": 0}, {"price": 1}, {"sku": None},
    ],
)  # fmt: skip
def test_a_lot_has_a_price_and_pieces(changes):
    session = make_session()
    sku = make_sku(session.merchant)
    body = {"sku": sku.number, "price_fen": 1, "quota": 1} | changes
    host = client_of(session.host)

    answer = host.post(f"{API}/sessions/{session.number}/lots", body, format="json", **key())

    assert answer.status_code == 400
    assert not Lot.objects.exists()


def test_a_lot_is_of_the_own_merchants_goods():
    session, sku = make_session(), make_sku()
    body = {"sku": sku.number, "price_fen": 1, "quota": 1}
    host = client_of(session.host)

    answer = host.post(f"{API}/sessions/{session.number}/lots", body, format="json", **key())

    assert answer.status_code == 404
    assert not Lot.objects.exists()


def test_a_session_ends_after_it_begins_and_after_now():
    merchant, at = make_merchant(), now()
    host = client_of(make_staff(merchant))
    past, turned = (at - timedelta(hours=1)).isoformat(), (at + timedelta(days=1)).isoformat()
    wrong = [{"starts_at": past, "ends_at": past}, {"starts_at": turned}]

    for changes in wrong:
        body = announce(merchant, **changes)
        assert host.post(f"{API}/sessions", body, format="json", **key()).status_code == 400
    assert not Session.objects.exists()


def test_staff_of_another_merchant_find_nothing():
    lot = make_lot(is_dropped=False)
    stranger = client_of(make_staff())
    paths = [
        f"sessions/{lot.session.number}/start", f"sessions/{lot.session.number}/end",
        f"lots/{lot.number}/drop", f"lots/{lot.number}/close",
    ]  # fmt: skip

    assert {stranger.post(f"{API}/{path}", **key()).status_code for path in paths} == {404}
    mine = stranger.post(f"{API}/sessions", announce(lot.session.merchant), format="json", **key())
    assert mine.status_code == 404
    assert Lot.objects.get().status == "READY"
    assert Session.objects.get().status == "LIVE"


def test_a_session_with_private_goods_is_for_members_and_staff():
    merchant = make_merchant()
    private = make_lot(make_session(merchant), is_private=True).session
    public = make_session(merchant)
    member, staff = make_member(merchant), make_staff(merchant, "FINANCE")
    path = f"{API}/sessions/{private.number}"

    for person in (None, make_user(), make_staff()):
        client = client_of(person)
        shown = [session["id"] for session in client.get(f"{API}/sessions").json()["results"]]
        assert shown == [public.number]
        assert client.get(path).status_code == client.get(f"{path}/events").status_code == 404
        with pytest.raises(services.NotFound):
            targets.resolve("LIVE", private.number, person)
    for person in (member, staff, private.host):
        client = client_of(person)
        assert len(client.get(f"{API}/sessions").json()["results"]) == 2
        assert client.get(path).status_code == client.get(f"{path}/events").status_code == 200
        assert targets.resolve("LIVE", private.number, person).title == "春茶专场"


def test_the_list_costs_the_same_however_long_it_is(django_assert_num_queries):
    merchant, client = make_merchant(), client_of(make_user())

    def ask():
        with django_assert_num_queries(4):  # token, memberships, posts at merchants, sessions
            return client.get(f"{API}/sessions?status=LIVE").json()["results"]

    make_lot(make_session(merchant))
    assert len(ask()) == 1
    for _ in range(5):
        make_session(merchant)
    assert len(ask()) == 6


def test_what_is_over_ends_by_itself():
    session = make_session()
    make_lot(session)
    late = make_session(is_live=False)
    Session.objects.update(starts_at=now() - timedelta(hours=2), ends_at=now())

    close_overdue()
    close_overdue()
    serve()

    assert set(Session.objects.values_list("status", flat=True)) == {"ENDED"}
    assert late.events.count() == 1
    assert Lot.objects.get().settled_at is not None
    assert Stock.objects.get().promised == 0
    assert ledger.audit() == []
