import pytest
from django.utils.timezone import now
from rest_framework.test import APIClient

from shop.catalog.models import Product
from tests.factories import client_of, make_member, make_merchant, make_sku, make_user

pytestmark = pytest.mark.django_db
BASE = "/api/v1/products"


def titles(client, query=""):
    return {product["title"] for product in client.get(BASE + query).json()["results"]}


def test_a_guest_sees_guest_prices_and_the_wholesale_minimum():
    make_sku(list_price_fen=100_00, member_price_fen=80_00, min_quantity=3)

    sku = APIClient().get(BASE).json()["results"][0]["skus"][0]

    assert sku["price_fen"] == sku["list_price_fen"] == 100_00
    assert (sku["price_reason"], sku["min_quantity"], sku["in_stock"]) == ("LIST", 3, True)


def test_a_member_sees_the_member_price_and_one_piece():
    merchant = make_merchant()
    make_sku(merchant, list_price_fen=100_00, member_price_fen=80_00, min_quantity=3)
    buyer = make_user()
    make_member(merchant, user=buyer)

    sku = client_of(buyer).get(BASE).json()["results"][0]["skus"][0]

    assert (sku["price_fen"], sku["price_reason"], sku["min_quantity"]) == (80_00, "MEMBER", 1)


def test_private_goods_are_a_404_for_everybody_else():
    mine, other = make_merchant(), make_merchant()
    hidden = make_sku(mine, title="会员专享礼盒", is_private=True)
    make_sku(other, title="公开茶叶")
    member, stranger = make_user(), make_user()
    make_member(mine, user=member)
    make_member(other, user=stranger)

    for client in (APIClient(), client_of(stranger)):
        assert titles(client) == {"公开茶叶"}
        assert titles(client, f"?merchant={mine.number}") == set()
        assert titles(client, "?q=专享") == set()
        assert titles(client, "?private=true") == set()
        assert client.get(f"{BASE}/{hidden.product.number}").status_code == 404
    assert titles(client_of(member), "?private=true") == {"会员专享礼盒"}
    assert client_of(member).get(f"{BASE}/{hidden.product.number}").status_code == 200


@pytest.mark.parametrize(
    ("asked", "hits"),
    [("龙井", 1), ("明前 龙井", 1), ("iphone15", 1), ("井龙", 0), ("茶", 1), ("iPhone", 0)],
)
def test_search_finds_words_of_the_title(asked, hits):
    make_sku(title="明前龙井绿茶 iPhone15 礼盒")

    assert len(APIClient().get(BASE, {"q": asked}).json()["results"]) == hits


def test_drafts_and_what_is_off_the_shelf_are_not_there():
    off, draft = make_sku(status="OFF"), make_sku(status="DRAFT")

    assert titles(APIClient()) == set()
    for sku in (off, draft):
        assert APIClient().get(f"{BASE}/{sku.product.number}").status_code == 404


def test_pages_follow_each_other_without_gaps_or_doubles():
    merchant = make_merchant()
    for n in range(25):
        make_sku(merchant, title=f"茶 {n}")
    client, seen, cursor = APIClient(), [], ""
    while cursor is not None:
        page = client.get(BASE, {"limit": 10} | ({"cursor": cursor} if cursor else {})).json()
        seen += [product["id"] for product in page["results"]]
        cursor = page["next"]

    assert len(seen) == len(set(seen)) == 25


def test_pages_have_no_gaps_where_all_rows_are_of_one_moment():
    merchant = make_merchant()
    for n in range(25):
        make_sku(merchant, title=f"茶 {n}")
    Product.objects.update(created_at=now())
    client, seen, cursor = APIClient(), [], ""
    while cursor is not None:
        page = client.get(BASE, {"limit": 7} | ({"cursor": cursor} if cursor else {})).json()
        seen += [product["id"] for product in page["results"]]
        cursor = page["next"]

    assert len(seen) == len(set(seen)) == 25


@pytest.mark.parametrize(
    "made_up", ["cD1hYmM=", "cD0xOTcwLTAxLTAx", "é", "%00", "bz05OTk5OTk5OTk5OTk5OTk5OTk5OQ==", "A"]
)
def test_a_made_up_cursor_is_a_400(made_up):
    make_sku()

    answer = APIClient().get(BASE, {"cursor": made_up})

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == "cursor"


def test_a_cursor_of_another_list_is_a_400():
    merchant = make_merchant()
    for n in range(2):
        make_sku(merchant, title=f"茶 {n}")
    client = client_of(make_user())
    cursor = client.get(BASE, {"limit": 1}).json()["next"]

    assert client.get(BASE, {"cursor": cursor}).status_code == 200
    assert client.get("/api/v1/orders", {"cursor": cursor}).status_code == 400


def test_the_shelf_costs_the_same_however_long(django_assert_num_queries):
    merchant = make_merchant()
    for _ in range(12):
        make_sku(merchant, member_price_fen=80_00)
    with django_assert_num_queries(2):
        APIClient().get(BASE)
    buyer = make_user()
    make_member(merchant, user=buyer)
    client = client_of(buyer)
    with django_assert_num_queries(4):  # the token and the standing besides
        client.get(BASE)


@pytest.mark.parametrize(
    "query",
    [
        "?colour=red",
        "?limit=0",
        "?limit=1000",
        "?limit=x",
        "?cursor=zzz",
        "?private=maybe",
        "?q=a&q=b",
    ],
)
def test_an_unknown_or_wrong_parameter_is_a_400(query):
    answer = APIClient().get(BASE + query)

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["errors"][0]["field"] in {"colour", "limit", "cursor", "private", "q"}


def test_prices_are_not_for_caches():
    make_sku()

    assert APIClient().get(BASE)["Cache-Control"] == "private, no-store"
