"""B1: the product list."""

from django.test import Client

from config.kit import redis
from tests.bench import load, views
from tests.bench.house import House
from tests.bench.measure import Report, Row, in_turn, over_http, statements
from tests.bench.seed import Shop

PATH = "/api/v1/products"
CONNECTIONS = 16
SECONDS = 2.5


def keep_page() -> None:
    """The first page for guests, for the limits that serve the same bytes."""
    page = Client().get(PATH)
    assert page.status_code == 200, page.content
    redis.connection().set(views.PAGE, page.content)


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """Twenty of 100,000 products, for guests and for members with their own prices."""
    tokens = [buyer.token for buyer in shop.buyers[:200]]
    with statements() as guest:
        keep_page()
    with statements() as member:
        Client().get(PATH, headers={"Authorization": f"Bearer {tokens[0]}"})

    def of(path: str, *tokens: list[str]) -> object:
        return lambda: over_http(
            house, load.pages, path, *tokens, connections=CONNECTIONS, seconds=SECONDS
        )

    found = in_turn(
        {
            "L1 bare view": of("/limits/bare"),
            "L1r from Redis": of("/limits/cached"),
            "product list, guest": of(PATH),
            "L2 values() and orjson": of("/limits/values"),
            "product list, member": of(PATH, tokens),
            "L2p JSON by PostgreSQL": of("/limits/built"),
        },
        rounds,
    )
    return Report(
        [
            Row(
                "B1 product list, guest",
                "requests",
                found["product list, guest"],
                found["L1r from Redis"],
                budget=0.7,
                sql=len(guest),
                most_sql=3,
            ),
            Row(
                "B1 product list, member",
                "requests",
                found["product list, member"],
                found["L2 values() and orjson"],
                budget=0.8,
                sql=len(member),
                most_sql=3,
            ),
        ],
        beside=[found["L1 bare view"], found["L2p JSON by PostgreSQL"]],
    )
