"""What a buyer asks for, what it costs, and the token that says it was told so."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.core import signing
from django.utils.crypto import salted_hmac

from shop.pricing.rules import Quote

VALID_FOR = 15 * 60  # seconds
_SALT = "shop.checkout.quote"


@dataclass(frozen=True, slots=True)
class Item:
    """A SKU by number and how many pieces, perhaps through an offer (by number)."""

    sku: str
    quantity: int
    offer: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One item with its price; everything an order line keeps."""

    item: Item
    sku_id: int
    offer_id: int | None
    merchant_id: int
    merchant: str
    title: str
    sku_name: str
    quote: Quote

    @property
    def total_fen(self) -> int:
        return self.quote.unit_fen * self.item.quantity


def prices(lines: Sequence[Line]) -> list[list[Any]]:
    return [
        [line.item.sku, line.item.offer, line.item.quantity, line.quote.unit_fen] for line in lines
    ]


def seal(buyer_id: int, lines: Sequence[Line]) -> str:
    """A signed token, good for VALID_FOR seconds, for this buyer and these lines."""
    return signing.dumps([whose(buyer_id), prices(lines)], salt=_SALT, compress=True)


def whose(buyer_id: int) -> str:
    """Names a buyer in a token, which anybody can read, without giving the key away."""
    return salted_hmac(_SALT, str(buyer_id)).hexdigest()[:16]


def unseal(token: str) -> tuple[str, list[list[Any]]]:
    """`whose` and prices; `django.core.signing.BadSignature` for a forged or stale token."""
    told_to, told = signing.loads(token, salt=_SALT, max_age=VALID_FOR)
    return told_to, told
