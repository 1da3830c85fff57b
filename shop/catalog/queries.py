from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import F, JSONField, QuerySet
from django.db.models.expressions import RawSQL

from config.kit.errors import NotFound
from members.memberships import queries as memberships
from members.memberships.rules import Standings
from shop.catalog.models import Category, Product, Sku
from shop.catalog.rules import Status
from shop.pricing.rules import Kind, Listing, Rule, price_tag


def category_name(code: str) -> str:
    """Empty when there is no such category."""
    return Category.objects.filter(code=code).values_list("name", flat=True).first() or ""


def shelf(
    standings: Standings,
    *,
    merchant: str = "",
    category: str = "",
    q: str = "",
    private: bool | None = None,
) -> QuerySet[Product]:
    """Products the viewer may see; filters are public numbers and codes."""
    rows = Product.objects.visible_to(standings)
    if merchant:
        rows = rows.filter(merchant__number=merchant)
    if category:
        rows = rows.filter(category__code=category)
    if q:
        rows = rows.about(q)
    if private is not None:
        rows = rows.filter(is_private=private)
    return rows


def standings_of(user: Any) -> Standings:
    return memberships.standing(user) if user.is_authenticated else {}


# By hand: as a subquery of the ORM it is put together anew for every list, quote and order.
_RULES = RawSQL(
    """
    (SELECT coalesce(jsonb_agg(jsonb_build_object(
        'kind', r.kind, 'price_fen', r.price_fen, 'min_quantity', r.min_quantity,
        'level', r.level_id) ORDER BY r.id), '[]')
     FROM shop_pricerule r WHERE r.sku_id = shop_sku.id)
    """,
    [],
    output_field=JSONField(),
)


_OF_SKU = ("pk", "number", "name", "product_id", "list_price_fen", "min_quantity")
_OF_PRODUCT = (
    "product__title",
    "product__is_private",
    "product__status",
    "product__merchant_id",
    "product__merchant__number",
    "product__merchant__status",
)


def priced(skus: QuerySet[Sku]) -> Iterable[dict[str, Any]]:
    """SKUs as rows with their price rules and free pieces, in one query; `listing` reads them."""
    free = F("stock__on_hand") - F("stock__promised")
    return skus.annotate(rules=_RULES, free=free).values(*_OF_SKU, "rules", "free")


def asked_for(sku_numbers: Iterable[str]) -> dict[str, dict[str, Any]]:
    """By number, SKUs with their price rules and product: what a quote reads; one query.

    Whether the viewer may buy them is not asked here but of each row, by `may_buy`.
    """
    skus = Sku.objects.filter(number__in=set(sku_numbers), is_active=True)
    rows = skus.annotate(rules=_RULES).values(*_OF_SKU, *_OF_PRODUCT, "rules")
    return {row["number"]: row for row in rows}


def listing(row: dict[str, Any]) -> Listing:
    return Listing(
        row["list_price_fen"],
        row["min_quantity"],
        [
            Rule(
                f"{rule['kind']}:{rule['min_quantity']}",
                Kind(rule["kind"]),
                rule["price_fen"],
                rule["min_quantity"],
                rule["level"],
            )
            for rule in row["rules"]
        ],
    )


# What a shelf shows; descriptions and search words stay where they are.
ON_SHELF = ("pk", "number", "title", "is_private", "created_at", "merchant_id", "merchant__number")


def shown(products: Sequence[dict[str, Any]], standings: Standings) -> list[dict[str, Any]]:
    """Products as the API answers them, with the viewer's prices; one query however many."""
    skus: dict[int, list[dict[str, Any]]] = {product["pk"]: [] for product in products}
    rows = priced(Sku.objects.filter(product__in=list(skus), is_active=True).order_by("pk"))
    for row in rows:
        skus[row["product_id"]].append(row)
    return [
        {
            "id": product["number"],
            "merchant": product["merchant__number"],
            "title": product["title"],
            "is_private": product["is_private"],
            "skus": [
                _sku(row, standings.get(product["merchant_id"])) for row in skus[product["pk"]]
            ],
        }
        for product in products
    ]


def _sku(row: dict[str, Any], standing: Any) -> dict[str, Any]:
    price, reason, least = price_tag(listing(row), standing)
    return {
        "id": row["number"],
        "name": row["name"],
        "list_price_fen": row["list_price_fen"],
        "price_fen": price,
        "price_reason": reason.value,
        "min_quantity": least,
        "in_stock": (row["free"] or 0) >= least,
    }


def detail(number: str, standings: Standings) -> dict[str, Any]:
    """NotFound also where the viewer may not see it."""
    rows = shelf(standings).filter(number=number)
    product = rows.values(*ON_SHELF, "description", "category__code").first()
    if product is None:
        raise NotFound
    return shown([product], standings)[0] | {
        "description": product["description"],
        "category": product["category__code"],
    }


def may_buy(row: dict[str, Any], standings: Standings) -> bool:
    """`ProductQuerySet.visible_to`, asked of one row of a batch with many viewers."""
    is_public = not row["product__is_private"]
    return (
        row["product__status"] == Status.ON_SALE
        and row["product__merchant__status"] == "ACTIVE"
        and (is_public or row["product__merchant_id"] in standings)
    )
