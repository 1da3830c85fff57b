from datetime import timedelta
from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Shape, Text, View, Whole
from config.kit.errors import NotFound
from config.kit.viewer import viewer
from members.accounts import queries as accounts
from members.accounts.auth import me
from shop.catalog import queries as catalog
from shop.checkout import services
from shop.checkout.rules import VALID_FOR, Item, seal

TAGS = ["下单"]
MAX_LINES = 50


class LineIn(Shape):
    sku = Text(max_length=24)
    quantity = Whole(min_value=1, max_value=100_000)
    offer = Text(max_length=24, required=False, default="", allow_blank=True)


class Lines(Shape):
    """The lines of a quote or order: each SKU once, so that limits cannot be split away."""

    lines = serializers.ListField(child=LineIn(), allow_empty=False, max_length=MAX_LINES)

    def validate_lines(self, lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
        asked = [(line["sku"], line["offer"]) for line in lines]
        if len(set(asked)) != len(asked):
            raise serializers.ValidationError("同一规格只能出现一次", code="repeated")
        return lines


class QuoteIn(Lines):
    address_id = Text(max_length=24, required=False)
    coupons = serializers.ListField(child=Text(max_length=24), required=False, max_length=10)


class QuoteLineOut(serializers.Serializer[object]):
    sku = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price_fen = serializers.IntegerField()
    price_reason = serializers.CharField()
    receipt = serializers.ListField(
        child=serializers.DictField(), help_text="逐条价格规则及是否采用"
    )


class QuoteOut(serializers.Serializer[object]):
    lines = QuoteLineOut(many=True)
    total_fen = serializers.IntegerField()
    quote_token = serializers.CharField()
    expires_at = serializers.DateTimeField()


class Quotes(View):
    @extend_schema(tags=TAGS, request=QuoteIn, responses=QuoteOut)
    def post(self, request: Request) -> Response:
        body, buyer = self.body(QuoteIn), viewer(request)
        if address := body.get("address_id"):
            accounts.address_of(me(request), address)
        if coupons := body.get("coupons"):
            raise NotFound("优惠券不存在", coupons=coupons)
        items = [Item(**line) for line in body["lines"]]
        lines = services.priced(standings=catalog.standings_of(request.user), items=items)
        return Response(
            {
                "lines": [
                    {
                        "sku": line.item.sku,
                        "quantity": line.item.quantity,
                        "unit_price_fen": line.quote.unit_fen,
                        "price_reason": line.quote.reason.value,
                        "receipt": line.quote.receipt,
                    }
                    for line in lines
                ],
                "total_fen": sum(line.total_fen for line in lines),
                "quote_token": seal(buyer.pk, lines),
                "expires_at": now() + timedelta(seconds=VALID_FOR),
            }
        )
