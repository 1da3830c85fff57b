"""What a buyer pays for one line, and why: the lowest price that applies, with its receipt.

Pure: no tables, no clock.  List, detail, quote and order all ask here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import models

from members.memberships.rules import Standing


class Kind(models.TextChoices):
    """From the most general to the most specific; of equal prices the more specific is named."""

    LIST = "LIST", "原价"
    BREAK = "BREAK", "批量价"
    MEMBER = "MEMBER", "会员价"
    LEVEL = "LEVEL", "等级价"
    OFFER = "OFFER", "活动价"


_RANK = {kind: rank for rank, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class Rule:
    """A price in fen a piece, from `min_quantity` pieces on; `level_id` for LEVEL only.

    `id` names it in receipts: no two rules that one buyer may see have the same.
    """

    id: str
    kind: Kind
    price_fen: int
    min_quantity: int = 1
    level_id: int | None = None


@dataclass(frozen=True, slots=True)
class Listing:
    list_price_fen: int
    min_quantity: int
    rules: Sequence[Rule] = ()


@dataclass(frozen=True, slots=True)
class Quote:
    """`receipt`: every rule for the buyer's audience, in order, and whether it gave the price.

    What is for members only, or for another level, is not a guest's to see.
    """

    unit_fen: int
    min_quantity: int
    reason: Kind
    receipt: list[dict[str, Any]]


def quote(
    listing: Listing, quantity: int, standing: Standing | None, offer: Rule | None = None
) -> Quote:
    """The price of one piece when `quantity` are bought, for a member (with a standing) or guest.

    Members and offers buy from one piece.  An offer is what it says, even if a rule is cheaper.
    """
    least = 1 if standing or offer else listing.min_quantity
    asked = [Rule("LIST", Kind.LIST, listing.list_price_fen), *listing.rules]
    if offer:
        asked.append(offer)
    fits = [rule for rule in asked if not _why_not(rule, quantity, standing)]
    best = offer or min(fits, key=lambda rule: (rule.price_fen, -_RANK[rule.kind]))
    receipt = [
        {
            "rule": rule.id,
            "kind": rule.kind.value,
            "unit_price_fen": rule.price_fen,
            "applied": rule is best,
            "why": "采用" if rule is best else _why_not(rule, quantity, standing) or "非最低价",
        }
        for rule in sorted(asked, key=lambda rule: (_RANK[rule.kind], rule.min_quantity, rule.id))
        if _is_for(rule, standing)
    ]
    return Quote(best.price_fen, least, best.kind, receipt)


def price_tag(listing: Listing, standing: Standing | None) -> tuple[int, Kind, int]:
    """For shelves: unit price in fen, its reason, and the least quantity; no receipt is built."""
    least = 1 if standing else listing.min_quantity
    price, kind = listing.list_price_fen, Kind.LIST
    for rule in listing.rules:
        cheaper = (rule.price_fen, -_RANK[rule.kind]) < (price, -_RANK[kind])
        if cheaper and not _why_not(rule, least, standing):
            price, kind = rule.price_fen, rule.kind
    return price, kind, least


def _is_for(rule: Rule, standing: Standing | None) -> bool:
    if rule.kind == Kind.LEVEL:
        return standing is not None and standing.level_id == rule.level_id
    return rule.kind != Kind.MEMBER or standing is not None


def _why_not(rule: Rule, quantity: int, standing: Standing | None) -> str:
    """Empty when the rule applies."""
    if not _is_for(rule, standing):
        return "不适用"
    if quantity < rule.min_quantity:
        return f"满 {rule.min_quantity} 件"
    return ""
