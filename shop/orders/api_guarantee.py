"""What everybody may know of a merchant's guarantee."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import View
from config.kit.viewer import PUBLIC
from members.accounts.api import MerchantRef
from members.merchants import queries as merchants
from shop.orders import queries

TAGS = ["担保"]


class GuaranteedYear(serializers.Serializer[object]):
    year = serializers.IntegerField(help_text="付款的年份（北京时间）")
    orders = serializers.IntegerField(help_text="付款时商家在担保中的订单")


class ShopGuaranteeOut(serializers.Serializer[object]):
    merchant = MerchantRef()
    badges = serializers.ListField(
        child=serializers.ChoiceField(choices=["GUARANTEED"]), help_text="GUARANTEED：平台担保"
    )
    since_at = serializers.DateTimeField(allow_null=True, help_text="担保始于；不在担保中为 null")
    orders = serializers.IntegerField(help_text="担保过的订单，历年合计")
    years = GuaranteedYear(many=True)


class ShopGuarantee(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, responses=ShopGuaranteeOut)
    def get(self, request: Request, number: str) -> Response:
        """Whether a merchant is guaranteed now, and how many of its orders were, by year."""
        return Response(queries.guarantee_of(merchants.trading(number)))
