from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.decorators import action
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from config.kit.admin import Lines, Look, Question, viewer_of
from config.kit.columns import DayFilter
from shop.fulfilment import services
from shop.fulfilment.models import Shipment
from shop.orders.admin import OrderAdmin, OrderEvents, OrderLines
from shop.orders.models import Order
from shop.orders.rules import Status


class Parcel(Question):
    lines = forms.TypedMultipleChoiceField(
        label="本次发出", coerce=int, widget=UnfoldAdminCheckboxSelectMultipleWidget
    )
    carrier = forms.CharField(label="承运商", max_length=40, required=False)
    tracking_no = forms.CharField(label="运单号", max_length=40, required=False)
    no_logistics = forms.BooleanField(
        label="无需物流", required=False, help_text="自提或同城送达时勾选，不填承运商和运单号"
    )
    evidence = forms.CharField(label="凭证说明", max_length=500, required=False)

    def prepare(self) -> None:
        left = [line for line in self.row.lines.all() if not line.is_shipped]
        left.sort(key=lambda line: line.line)
        self.fields["lines"].choices = [  # type: ignore[attr-defined]
            (line.line, f"{line.title} {line.sku_name} ×{line.quantity}") for line in left
        ]
        self.initial["lines"] = [line.line for line in left]

    def clean(self) -> dict[str, Any]:
        told = self.cleaned_data
        tracked = bool(told.get("carrier") and told.get("tracking_no"))
        untouched = not told.get("carrier") and not told.get("tracking_no")
        if not (untouched if told.get("no_logistics") else tracked):
            raise forms.ValidationError("请填写承运商和运单号，或选择无需物流")
        return told


class Shipments(Lines):
    model = Shipment
    fields = ["number", "carrier", "tracking_no", "no_logistics", "shipped_at", "actor"]


@admin.register(Order)
class OrderDesk(OrderAdmin):
    """Orders with all that can be done to them."""

    inlines = [OrderLines, Shipments, OrderEvents]
    actions_detail = ["ship", "cancel", "unfreeze"]
    offered = {
        **OrderAdmin.offered,
        "ship": lambda order: order.status == Status.PAID and order.frozen_at is None,
    }

    @action(description="发货", icon="local_shipping", permissions=["act"])
    def ship(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Parcel,
            lambda order, told: services.ship(order=order, actor=actor, at=now(), **told) and None,
            title="发货",
        )


@admin.register(Shipment)
class ShipmentAdmin(Look):
    tenant_path = "order__merchant__number"
    tenant_name_path = "order__merchant__name"
    list_display = ["number", "order", "carrier", "tracking_no", "no_logistics", "shipped_at"]
    list_select_related = ["order"]
    list_filter = [("shipped_at", DayFilter)]
    search_fields = ["number", "tracking_no", "order__number"]
    search_help_text = "发货单号、运单号或订单号"
    ordering = ["-shipped_at", "-pk"]
    fields = [
        ("number", "order", "shipped_at"),
        ("carrier", "tracking_no", "no_logistics"),
        "evidence",
    ]
