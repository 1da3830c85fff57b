from collections.abc import Mapping, Sequence
from typing import Any

from django.core import signing

from config.kit.errors import Refusal
from members.memberships.rules import Standing, Standings
from shop.catalog import queries as catalog
from shop.checkout.rules import Item, Line, prices, unseal, whose
from shop.offers.models import Offer
from shop.pricing.rules import Kind, Rule, quote

LARGEST_FEN = 10**13  # a hundred thousand million yuan, as for a transfer


class BelowMinimum(Refusal):
    message = "未达到起批量"


class NotForSale(Refusal):
    status = 404
    message = "商品不存在或已下架"


class AmountTooLarge(Refusal):
    message = "金额过大，请分次下单"


class PriceChanged(Refusal):
    message = "价格已变化，请重新确认"


def price(
    *, wishes: Sequence[tuple[Standings, Sequence[Item]]], via: str = ""
) -> list[list[Line] | Refusal]:
    """Prices for what many buyers want, in two statements; a refusal stands in its wish's place.

    `via` names the source of offers that may be used: the API has none, a live session has LIVE.
    """
    items = [item for _, wanted in wishes for item in wanted]
    skus = catalog.asked_for(item.sku for item in items)
    offers = _offers({item.offer for item in items if item.offer}, via)
    outcomes: list[list[Line] | Refusal] = []
    for standings, wanted in wishes:
        try:
            lines = [_line(item, skus, offers, standings) for item in wanted]
            if sum(line.total_fen for line in lines) > LARGEST_FEN:
                raise AmountTooLarge
            outcomes.append(lines)
        except Refusal as refusal:
            outcomes.append(refusal)
    return outcomes


def priced(*, standings: Standings, items: Sequence[Item]) -> list[Line]:
    """Prices for one buyer; raises what `price` would put in the place."""
    outcome = price(wishes=[(standings, items)])[0]
    if isinstance(outcome, Refusal):
        raise outcome
    return outcome


def _offers(asked: set[str], via: str) -> Mapping[str, Offer]:
    if not asked:
        return {}
    return {offer.number: offer for offer in Offer.objects.filter(number__in=asked, source=via)}


def _line(
    item: Item,
    skus: Mapping[str, dict[str, Any]],
    offers: Mapping[str, Offer],
    standings: Standings,
) -> Line:
    sku, offer = skus.get(item.sku), offers.get(item.offer)
    if sku is None or not catalog.may_buy(sku, standings):
        raise NotForSale(sku=item.sku)
    if item.offer and (offer is None or offer.sku_id != sku["pk"]):
        raise NotForSale(sku=item.sku)
    standing: Standing | None = standings.get(sku["product__merchant_id"])
    asked = quote(
        catalog.listing(sku),
        item.quantity,
        standing,
        Rule(offer.number, Kind.OFFER, offer.price_fen) if offer else None,
    )
    if item.quantity < asked.min_quantity:
        raise BelowMinimum(sku=item.sku, min_quantity=asked.min_quantity)
    return Line(
        item=item,
        sku_id=sku["pk"],
        offer_id=offer.pk if offer else None,
        merchant_id=sku["product__merchant_id"],
        merchant=sku["product__merchant__number"],
        title=sku["product__title"],
        sku_name=sku["name"],
        quote=asked,
    )


def hold_to(token: str, *, buyer_id: int, lines: Sequence[Line]) -> None:
    """Refuse (PriceChanged, with old and new) when the buyer was told other prices than today's."""
    try:
        told_to, told = unseal(token)
    except signing.BadSignature:
        raise PriceChanged("报价已失效，请重新获取") from None
    if told_to != whose(buyer_id) or told != prices(lines):
        raise PriceChanged(told=told, now=prices(lines))
