"""S002.21–23, .27: who is guaranteed, what it shows and ranks, and how much it was."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.dateparse import parse_datetime
from rest_framework.test import APIClient

from config.kit.errors import StaleState
from members.guarantee import services
from members.guarantee.models import Guarantee, GuaranteeCriterion, GuaranteeEvent
from members.guarantee.rules import BOOST
from members.merchants import services as merchants
from payments.ledger import services as ledger
from shop.catalog.models import Product
from shop.orders import clock
from shop.orders.queries import Year, guaranteed_by_year
from tests.factories import (
    NOON,
    client_of,
    key,
    make_merchant,
    make_sku,
    make_staff,
    make_user,
    pay,
    place,
    ship,
)

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def books_are_even():
    yield
    assert ledger.audit() == []


def guaranteed(merchant=None, at=NOON - DAY):
    found = services.apply(merchant=merchant or make_merchant(), actor="U1", at=at)
    services.approve(guarantee=found, actor="U2", at=at)
    return found


def status(guarantee):
    return Guarantee.objects.get(pk=guarantee.pk).status


def events(guarantee):
    return list(guarantee.events.order_by("pk").values_list("status", flat=True))


def stuck(merchant):
    """An order with a case."""
    order = place(make_user(), make_sku(merchant))
    pay(order)
    ship(order)
    clock.stop(order_ids=[order.pk], why="CASE:K1", at=NOON)
    return order


def test_an_owner_applies_and_leaves_and_the_platform_decides():
    merchant = make_merchant()
    client = client_of(make_staff(merchant, "OWNER"))
    url = f"/api/v1/staff/merchants/{merchant.number}/guarantee"
    assert client.get(url).json()["status"] is None

    answer = client.post(url, **key())
    assert (answer.status_code, answer.json()["status"]) == (201, "APPLIED")
    assert client.post(url, **key()).json()["code"] == "STALE_STATE"
    found = Guarantee.objects.get()
    services.approve(guarantee=found, actor="U2", at=NOON)
    services.suspend(guarantee=found, reason="投诉", actor="U2", at=NOON)
    with pytest.raises(StaleState):
        services.suspend(guarantee=found, reason="投诉", actor="U2", at=NOON)
    services.approve(guarantee=found, actor="U2", at=NOON)
    assert client.delete(url).json()["actions"] == {"apply": True, "leave": False}
    assert client.delete(url).json()["code"] == "STALE_STATE"
    client.post(url, **key())

    assert events(found) == ["APPLIED", "ACTIVE", "SUSPENDED", "ACTIVE", "LEFT", "APPLIED"]


def test_who_does_not_meet_the_criteria_is_not_let_in():
    merchant = make_merchant()
    stuck(merchant)

    with pytest.raises(services.CriteriaNotMet, match="没有冻结或纠纷中的订单"):
        services.apply(merchant=merchant, actor="U1", at=NOON)

    assert not Guarantee.objects.exists()
    GuaranteeCriterion.objects.create(code="OPEN_CASES", name="纠纷不多", most=1)
    services.apply(merchant=merchant, actor="U1", at=NOON)
    GuaranteeCriterion.objects.update(most=0)
    found = Guarantee.objects.get()
    with pytest.raises(services.CriteriaNotMet):
        services.approve(guarantee=found, actor="U2", at=NOON)


def test_a_criterion_that_nobody_counts_is_met_by_nobody():
    GuaranteeCriterion.objects.create(code="DEPOSIT", name="保证金已缴", least=1_000_00)

    with pytest.raises(services.CriteriaNotMet, match="保证金已缴"):
        services.apply(merchant=make_merchant(), actor="U1", at=NOON)


def test_the_job_suspends_who_meets_them_no_more_and_nobody_else():
    closed, troubled, fine = (guaranteed() for _ in range(3))
    waiting = services.apply(merchant=make_merchant(), actor="U1", at=NOON)
    merchants.suspend(merchant=closed.merchant)
    merchants.suspend(merchant=waiting.merchant)
    stuck(troubled.merchant)

    count, after = services.suspend_by_rule(limit=2, after=0, at=NOON)
    assert (count, after) == (2, troubled.pk)
    assert services.suspend_by_rule(limit=2, after=after, at=NOON) == (0, 0)
    assert services.suspend_by_rule(limit=9, after=0, at=NOON) == (0, 0)

    assert [status(one) for one in (closed, troubled, fine, waiting)] == [
        "SUSPENDED", "SUSPENDED", "ACTIVE", "APPLIED",
    ]  # fmt: skip
    assert closed.events.latest("pk").reason == "不符合：正常营业"
    assert troubled.events.latest("pk").actor == ""


def test_an_event_is_never_changed():
    guaranteed()

    with pytest.raises(IntegrityError), transaction.atomic():
        GuaranteeEvent.objects.update(reason="x")


# --- badge and rank -------------------------------------------------------------------------------


def shelf(**asked):
    return client_of(make_user()).get("/api/v1/products", asked).json()["results"]


def test_the_badge_is_there_as_long_as_the_guarantee_is():
    sku = make_sku()
    found = services.apply(merchant=sku.product.merchant, actor="U1", at=NOON)
    url = f"/api/v1/products/{sku.product.number}"
    client = client_of(make_user())

    def badges():
        everywhere = [client.get(url).json(), *shelf(), *shelf(q="龙井")]
        assert len(everywhere) == 3
        assert len({str(one["badges"]) for one in everywhere}) == 1
        return everywhere[0]["badges"]

    assert badges() == []
    services.approve(guarantee=found, actor="U2", at=NOON)
    assert badges() == ["GUARANTEED"]
    services.suspend(guarantee=found, reason="投诉", actor="U2", at=NOON)
    assert badges() == []


def test_in_a_search_goods_of_a_guaranteed_shop_rank_as_if_they_were_a_week_newer():
    old, week_old, new = (make_sku(title=f"龙井{age}") for age in ("八天", "七天", "今天"))
    for sku, age in ((old, BOOST + DAY), (week_old, BOOST - DAY), (new, 0 * DAY)):
        Product.objects.filter(pk=sku.product_id).update(created_at=NOON - age)

    def titles(**asked):
        return [one["title"] for one in shelf(**asked)]

    newest_first = ["龙井今天", "龙井七天", "龙井八天"]
    assert titles(q="龙井") == newest_first
    for sku in (old, week_old):
        guaranteed(sku.product.merchant)

    assert titles(q="龙井") == ["龙井七天", "龙井今天", "龙井八天"]
    assert titles() == newest_first  # a shelf is not a search
    client, found, cursor = client_of(make_user()), [], None
    while cursor is not None or not found:
        more = {"cursor": cursor} if cursor else {}
        answer = client.get("/api/v1/products", {"q": "龙井", "limit": 1, **more}).json()
        found += [one["title"] for one in answer["results"]]
        cursor = answer["next"]
    assert found == titles(q="龙井")


def test_the_year_counts_what_was_paid_while_its_merchant_was_guaranteed():
    found, other = guaranteed(at=NOON - DAY), make_merchant()
    for merchant, at in (
        (found.merchant, NOON - 2 * DAY),  # not yet
        (found.merchant, NOON),
        (found.merchant, NOON + 365 * DAY),
        (other, NOON),
    ):
        pay(place(make_user(), make_sku(merchant), at=at), at=at)
    services.leave(guarantee=found, actor="U1", at=NOON + 400 * DAY)
    pay(place(make_user(), make_sku(found.merchant), at=NOON + 401 * DAY), at=NOON + 401 * DAY)

    expected = [Year(2027, 1, 1, 100_00), Year(2026, 1, 1, 100_00)]
    assert guaranteed_by_year(None) == expected
    assert guaranteed_by_year(frozenset({found.merchant.number})) == expected
    assert guaranteed_by_year(frozenset({other.number})) == []


def test_everybody_sees_a_merchants_guarantee_as_it_is_now_and_how_many_orders_it_covered():
    found = guaranteed(at=NOON - DAY)
    merchant = found.merchant
    for at in (NOON - 2 * DAY, NOON, NOON + DAY, NOON + 365 * DAY):  # the first: not yet
        pay(place(make_user(), make_sku(merchant), at=at), at=at)
    pay(place(make_user(), make_sku(guaranteed().merchant)))
    url = f"/api/v1/merchants/{merchant.number}/guarantee"

    def seen():
        answers = [client.get(url).json() for client in (APIClient(), client_of(make_user()))]
        assert answers[0] == answers[1]
        return answers[0]

    years = [{"year": 2027, "orders": 1}, {"year": 2026, "orders": 2}]
    told = {"merchant": {"id": merchant.number, "name": merchant.name}, "orders": 3, "years": years}
    active = seen()
    assert parse_datetime(active.pop("since_at")) == NOON - DAY
    assert active == told | {"badges": ["GUARANTEED"]}
    services.suspend(guarantee=found, reason="投诉", actor="U2", at=NOON + 400 * DAY)
    assert seen() == told | {"badges": [], "since_at": None}
    merchants.suspend(merchant=merchant)
    assert APIClient().get(url).status_code == 404


def test_who_never_asked_for_the_guarantee_has_none_and_no_orders_of_it():
    merchant = make_merchant()
    pay(place(make_user(), make_sku(merchant)))

    seen = APIClient().get(f"/api/v1/merchants/{merchant.number}/guarantee").json()
    seen.pop("merchant")
    assert seen == {"badges": [], "since_at": None, "orders": 0, "years": []}


def test_many_merchants_are_judged_in_as_many_queries_as_one(django_assert_max_num_queries):
    for _ in range(12):
        guaranteed()

    with django_assert_max_num_queries(6):
        assert services.suspend_by_rule(limit=50, after=0, at=NOON) == (0, 0)
