from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import View
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from members.accounts.api import MerchantRef
from members.guarantee import queries, services
from members.guarantee.rules import Status
from members.merchants import queries as merchants

TAGS = ["担保"]
ROLE = "OWNER"


class GuaranteeActions(serializers.Serializer[Any]):
    apply = serializers.BooleanField()
    leave = serializers.BooleanField()


class GuaranteeOut(serializers.Serializer[Any]):
    merchant = MerchantRef()
    status = serializers.ChoiceField(
        choices=Status.values, allow_null=True, help_text="从未申请过为 null"
    )
    since_at = serializers.DateTimeField(allow_null=True)
    unmet = serializers.ListField(child=serializers.CharField(), help_text="还不符合的条件")
    actions = GuaranteeActions()


class MerchantGuarantee(View):
    access = ROLE

    @extend_schema(tags=TAGS, responses=GuaranteeOut)
    def get(self, request: Request, number: str) -> Response:
        merchant = merchants.of_staff(viewer(request), number, ROLE)
        return Response(queries.shown(merchant))

    @extend_schema(tags=TAGS, request=None, responses={201: GuaranteeOut})
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """Apply; the platform decides."""
        staff = viewer(request)
        merchant = merchants.of_staff(staff, number, ROLE)
        services.apply(merchant=merchant, actor=staff.number, at=now())
        return Response(queries.shown(merchant), status=201)

    @extend_schema(tags=TAGS, responses=GuaranteeOut)
    def delete(self, request: Request, number: str) -> Response:
        """Leave; for what is bought from now on."""
        staff = viewer(request)
        merchant = merchants.of_staff(staff, number, ROLE)
        services.leave(guarantee=queries.of(merchant), actor=staff.number, at=now())
        return Response(queries.shown(merchant))
