from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from config.kit import numbers
from config.kit.errors import Refusal
from config.kit.states import move
from members.merchants.models import Merchant
from payments.deposits import queries as deposits
from shop.catalog import queries
from shop.catalog.models import Category, PriceRule, Product, Sku
from shop.catalog.rules import TRANSITIONS, Status


class NothingToSell(Refusal):
    message = "商品还没有可售的规格，不能上架"


class OtherMerchantsLevel(Refusal):
    message = "该会员等级不属于此商家"


def draft(
    *,
    merchant: Merchant,
    title: str,
    at: datetime,
    description: str = "",
    category: Category | None = None,
    is_private: bool = False,
) -> Product:
    """A product that nobody sees yet."""
    return Product.objects.create(
        number=numbers.fresh("G"),
        merchant=merchant,
        title=title,
        description=description,
        category=category,
        is_private=is_private,
        created_at=at,
    )


def describe(*, product: Product, changes: Mapping[str, Any]) -> None:
    """What is said about a product: title, description, category, is_private; nothing else.

    Raises DepositTooSmall where what is on sale moves to a category that asks for more.
    """
    sayable = {"title", "description", "category", "is_private"}
    assert set(changes) <= sayable, changes
    category = changes.get("category")
    if category is not None and product.status == Status.ON_SALE:
        _require_deposit(product, category)
    Product.objects.filter(pk=product.pk).update(**changes)


@transaction.atomic
def put_on_sale(*, product: Product) -> None:
    """Raises NothingToSell, DepositTooSmall, StaleState."""
    if product.category is not None:
        _require_deposit(product, product.category)
    if not Sku.objects.filter(product=product, is_active=True).exists():
        raise NothingToSell
    move(Product.objects.filter(pk=product.pk), Status.ON_SALE, TRANSITIONS)


def _require_deposit(product: Product, category: Category) -> None:
    codes = queries.codes_above(category)
    deposits.require(merchant=product.merchant.number, categories=codes)


def take_off(*, product: Product) -> None:
    """Nobody sees or buys it any more; what is ordered stays ordered.  Raises StaleState."""
    move(Product.objects.filter(pk=product.pk), Status.OFF, TRANSITIONS)


def add_sku(*, product: Product, name: str, list_price_fen: int, min_quantity: int = 1) -> Sku:
    """Its stock is opened by `shop.inventory.services`."""
    return Sku.objects.create(
        number=numbers.fresh("S"),
        product=product,
        name=name,
        list_price_fen=list_price_fen,
        min_quantity=min_quantity,
    )


def change_sku(*, sku: Sku, changes: Mapping[str, Any]) -> None:
    """Name, list price in fen, minimum quantity, whether it is for sale; for orders to come."""
    changeable = {"name", "list_price_fen", "min_quantity", "is_active"}
    assert set(changes) <= changeable, changes
    Sku.objects.filter(pk=sku.pk).update(**changes)


@transaction.atomic
def set_prices(*, sku: Sku, rules: Sequence[PriceRule], dropped: Sequence[PriceRule]) -> None:
    """Price rules of one SKU: new ones (without a key) and changed ones, less the dropped.

    Raises OtherMerchantsLevel.
    """
    if any(rule.level and rule.level.merchant_id != sku.product.merchant_id for rule in rules):
        raise OtherMerchantsLevel
    mine = PriceRule.objects.filter(sku=sku)
    mine.filter(pk__in=[rule.pk for rule in dropped]).delete()
    for rule in rules:
        rule.sku = sku
        if rule.pk:
            mine.filter(pk=rule.pk).update(
                kind=rule.kind,
                level=rule.level,
                min_quantity=rule.min_quantity,
                price_fen=rule.price_fen,
            )
    PriceRule.objects.bulk_create(rule for rule in rules if not rule.pk)
