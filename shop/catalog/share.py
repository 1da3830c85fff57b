"""What a guide's code for a product leads to (settings.SHARE_TARGETS["PRODUCT"])."""

from typing import Any

from django.contrib.auth.models import AnonymousUser

from config.kit.errors import NotFound
from members.merchants.rules import Target
from shop.catalog import queries


def resolve(public_id: str, viewer: Any) -> Target:
    """The page of the product; NotFound when the viewer may not see it."""
    standings = queries.standings_of(viewer or AnonymousUser())
    rows = queries.shelf(standings).select_related("merchant")
    product = rows.filter(number=public_id).first()
    if product is None:
        raise NotFound
    return Target(
        title=product.title,
        path=f"pages/product/index?id={product.number}",
        merchant=product.merchant.number,
    )
