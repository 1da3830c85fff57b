"""The limits' own views: the least a Django view must do for the same answer."""

from functools import cache

import orjson
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from config.kit import redis
from shop.catalog.models import Sku
from tests.bench import limits

PAGE = "bench:page"  # the product's own first page for guests
SHOWN = {
    "id": "product__number",
    "merchant": "product__merchant__number",
    "title": "product__title",
    "is_private": "product__is_private",
    "sku": "number",
    "name": "name",
    "list_price_fen": "list_price_fen",
    "min_quantity": "min_quantity",
    "on_hand": "stock__on_hand",
    "promised": "stock__promised",
}


def _json(body: bytes, status: int = 200) -> HttpResponse:
    return HttpResponse(body, status=status, content_type="application/json")


@cache
def _page() -> bytes:
    found = redis.connection().get(PAGE)
    assert isinstance(found, bytes)
    return found


def bare(request: HttpRequest) -> HttpResponse:
    """L1: fixed bytes through the project's middleware."""
    return _json(_page())


def cached(request: HttpRequest) -> HttpResponse:
    """L1r: the same bytes from Redis."""
    return _json(redis.connection().get(PAGE))  # type: ignore[arg-type]


def values(request: HttpRequest) -> HttpResponse:
    """L2: the same twenty rows by `values()` and orjson."""
    rows = Sku.objects.filter(product__status="ON_SALE", product__is_private=False)
    newest = rows.order_by("-product__created_at", "-product__pk").values(*SHOWN.values())
    return _json(orjson.dumps(list(newest[:20])))


_BUILT = """
SELECT json_agg(t)::text FROM (
    SELECT p.number AS id, m.number AS merchant, p.title, p.is_private, k.number AS sku, k.name,
           k.list_price_fen, k.min_quantity, s.on_hand, s.promised
    FROM shop_product p JOIN members_merchant m ON m.id = p.merchant_id
    JOIN shop_sku k ON k.product_id = p.id LEFT JOIN shop_stock s ON s.sku_id = k.id
    WHERE p.status = 'ON_SALE' AND NOT p.is_private
    ORDER BY p.created_at DESC, p.id DESC LIMIT 20
) t
"""


def built(request: HttpRequest) -> HttpResponse:
    """L2p: the same JSON built by PostgreSQL."""
    with connection.cursor() as cursor:
        cursor.execute(_BUILT)
        return _json(cursor.fetchone()[0].encode())


@csrf_exempt
def order(request: HttpRequest) -> HttpResponse:
    """L3: the smallest honest order behind one HTTP call, without login."""
    wish = orjson.loads(request.body) | {"id": limits.order_id()}
    with connection.cursor() as cursor:
        cursor.execute(limits.ORDER, wish)
        row = cursor.fetchone()
    if row is None:
        return _json(b'{"code": "SOLD_OUT"}', 409)
    return _json(orjson.dumps({"id": str(wish["id"]), "total_fen": row[0]}), 201)


@csrf_exempt
def wallet(request: HttpRequest) -> HttpResponse:
    """L3w: the smallest honest payment out of a wallet behind one HTTP call, without login."""
    wish = orjson.loads(request.body)
    with connection.cursor() as cursor:
        cursor.execute(limits.SPEND, wish)
        if not cursor.rowcount:
            return _json(b'{"code": "INSUFFICIENT_BALANCE"}', 409)
    return _json(orjson.dumps({"key": wish["key"]}), 201)
