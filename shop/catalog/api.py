from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, View, page
from config.kit.viewer import PUBLIC
from shop.catalog import queries

TAGS = ["商品"]


class ShelfQuery(Query):
    merchant = serializers.CharField(required=False, max_length=24)
    category = serializers.CharField(required=False, max_length=32)
    q = serializers.CharField(required=False, max_length=40)
    private = serializers.BooleanField(required=False, allow_null=True, default=None)


class SkuOut(serializers.Serializer[object]):
    id = serializers.CharField()
    name = serializers.CharField()
    list_price_fen = serializers.IntegerField()
    price_fen = serializers.IntegerField(help_text="当前用户的单价")
    price_reason = serializers.ChoiceField(choices=["LIST", "BREAK", "MEMBER", "LEVEL", "OFFER"])
    min_quantity = serializers.IntegerField(help_text="当前用户的起批量")
    in_stock = serializers.BooleanField()


class ProductOut(serializers.Serializer[object]):
    id = serializers.CharField()
    merchant = serializers.CharField()
    title = serializers.CharField()
    is_private = serializers.BooleanField()
    badges = serializers.ListField(
        child=serializers.ChoiceField(choices=["GUARANTEED"]), help_text="GUARANTEED：平台担保"
    )
    skus = SkuOut(many=True)


class ProductDetailOut(ProductOut):
    description = serializers.CharField()
    category = serializers.CharField(allow_null=True)


class ProductPage(serializers.Serializer[object]):
    results = ProductOut(many=True)
    next = serializers.CharField(allow_null=True)


class Products(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, parameters=[ShelfQuery], responses=ProductPage)
    def get(self, request: Request) -> Response:
        asked = self.asked(ShelfQuery)
        asked.pop("cursor", None)
        asked.pop("limit", None)
        standings = queries.standings_of(request.user)
        shelf = queries.shelf(standings, **asked)
        if asked.get("q"):
            rows = queries.ranked(shelf).values(*queries.ON_SHELF, "rank")
            order = ("-rank", "-pk")
        else:
            rows, order = shelf.values(*queries.ON_SHELF), ("-created_at", "-pk")
        return page(self, rows, order, lambda found: queries.shown(found, standings))


class ProductDetail(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, responses=ProductDetailOut)
    def get(self, request: Request, number: str) -> Response:
        standings = queries.standings_of(request.user)
        return Response(queries.detail(number, standings))
