from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from shop.fulfilment import services
from shop.orders import queries as orders
from shop.orders.api import OrderOut, OrderPage, OrderQuery

TAGS = ["发货"]
ROLE = "OPERATOR"


class ShipmentIn(Shape):
    lines = serializers.ListField(child=Whole(min_value=1), required=False, max_length=50)
    carrier = Text(max_length=40, required=False, default="", allow_blank=True)
    tracking_no = Text(max_length=40, required=False, default="", allow_blank=True)
    no_logistics = serializers.BooleanField(required=False, default=False)
    evidence = Text(max_length=500, required=False, default="", allow_blank=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        tracked = bool(attrs["carrier"] and attrs["tracking_no"])
        untouched = not attrs["carrier"] and not attrs["tracking_no"]
        if not (untouched if attrs["no_logistics"] else tracked):
            raise serializers.ValidationError("请填写承运商和运单号，或选择无需物流")
        return attrs


class Shipments(View):
    access = ROLE

    @extend_schema(tags=TAGS, request=ShipmentIn, responses={201: OrderOut})
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        body, staff = self.body(ShipmentIn), viewer(request)
        order = get_object_or_404(orders.for_staff(staff, ROLE), number=number)
        services.ship(
            order=order,
            lines=body.pop("lines", None),
            actor=staff.number,
            at=now(),
            **body,
        )
        return Response(orders.shown(list(orders.whole([order])))[0], status=201)


class StaffOrders(View):
    access = ROLE

    @extend_schema(tags=TAGS, parameters=[OrderQuery], responses=OrderPage)
    def get(self, request: Request) -> Response:
        """The orders of the staff member's merchants."""
        status = self.asked(OrderQuery)["status"]
        rows = orders.for_staff(viewer(request), ROLE, status)
        return page(self, rows, ("-placed_at", "-pk"), orders.shown)
