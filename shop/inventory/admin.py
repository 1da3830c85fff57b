from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import BooleanRadioFilter
from unfold.decorators import action, display

from config.kit.admin import Edit, Lines, Question, viewer_of
from members.memberships.models import Level
from shop.catalog import services as catalog
from shop.catalog.models import PriceRule, Sku
from shop.inventory import services
from shop.inventory.models import StockEvent


class PriceRules(Lines):
    """Typed in place by those who may change the SKU, saved by `catalog.set_prices`."""

    model = PriceRule
    fields = ["kind", "level", "min_quantity", "price_fen"]
    with_related = ["level"]
    can_delete = True
    per_page = None

    def typed(self, request: HttpRequest, obj: Any) -> list[str]:
        return list(self.fields) if self._may_change(request, obj) else []

    def _may_change(self, request: HttpRequest, sku: Any) -> bool:
        parent = self.admin_site._registry[Sku]
        return bool(sku is not None and parent.has_change_permission(request, sku))

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_change(request, obj)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_change(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may_change(request, obj)

    def formfield_for_choice_field(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        if db_field.name == "kind":
            # The list price is the SKU's, the offer price the occasion's.
            allowed = [one for one in db_field.choices if one[0] not in {"LIST", "OFFER"}]
            more["choices"] = [("", "请选择"), *allowed]
        return super().formfield_for_choice_field(db_field, request, **more)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        if db_field.name == "level":
            match = request.resolver_match
            sku_id = match.kwargs.get("object_id") if match else None
            levels = Level.objects.order_by("merchant", "rank")
            more["queryset"] = (
                levels.filter(merchant__products__skus=sku_id)
                if sku_id and sku_id.isdecimal()
                else levels.none()
            )
        return super().formfield_for_foreignkey(db_field, request, **more)


class StockEvents(Lines):
    model = StockEvent
    verbose_name_plural = "库存变动"
    fields = ["at", "change", "reason", "actor"]
    in_order = ["-pk"]


class Change(Question):
    change = forms.IntegerField(
        label="变动件数", help_text="入库为正，盘亏为负", min_value=-1_000_000, max_value=1_000_000
    )
    reason = forms.CharField(label="原因", max_length=80)

    def clean_change(self) -> int:
        change = int(self.cleaned_data["change"])
        if not change:
            raise forms.ValidationError("变动件数不能为零")
        return change


@admin.register(Sku)
class SkuAdmin(Edit):
    """A SKU with its prices and its pieces."""

    tenant_path = "product__merchant__number"
    tenant_name_path = "product__merchant__name"
    act_role = "OPERATOR"
    list_display = [
        "full_name",
        "number",
        "list_price_fen",
        "min_quantity",
        "stock_left",
        "is_active",
    ]
    list_select_related = ["product", "stock"]
    list_filter = [("is_active", BooleanRadioFilter)]
    search_fields = ["number", "name", "product__title", "product__number"]
    search_help_text = "规格编号、规格名或商品"
    ordering = ["-pk"]
    fields = [
        ("product", "number"),
        ("name", "is_active"),
        ("list_price_fen", "min_quantity"),
        ("stock_left", "stock_on_hand", "stock_promised"),
    ]
    editable = ["name", "is_active", "list_price_fen", "min_quantity"]
    addable = ["product", "name", "list_price_fen", "min_quantity"]
    autocomplete_fields = ["product"]
    inlines = [PriceRules, StockEvents]
    actions_detail = ["adjust"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sku]:
        return super().get_queryset(request).select_related("product", "stock")

    @display(description="规格", ordering="name")
    def full_name(self, sku: Sku) -> str:
        return str(sku)

    @display(description="可售件数")
    def stock_left(self, sku: Sku) -> str:
        stock = getattr(sku, "stock", None)
        return str(stock.on_hand - stock.promised) if stock else "0"

    @display(description="在库")
    def stock_on_hand(self, sku: Sku) -> str:
        return str(sku.stock.on_hand) if hasattr(sku, "stock") else "0"

    @display(description="已占用")
    def stock_promised(self, sku: Sku) -> str:
        return str(sku.stock.promised) if hasattr(sku, "stock") else "0"

    def keep(self, request: HttpRequest, row: Sku, values: dict[str, Any]) -> None:
        catalog.change_sku(sku=row, changes=values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Sku:
        sku = catalog.add_sku(**values)
        services.open_stock(sku_id=sku.pk)
        return sku

    def keep_lines(self, request: HttpRequest, row: Sku, formset: Any) -> None:
        if formset.model is PriceRule:
            rules = [*formset.new_objects, *(rule for rule, _ in formset.changed_objects)]
            catalog.set_prices(sku=row, rules=rules, dropped=formset.deleted_objects)

    @action(description="调整库存", icon="inventory", permissions=["act"])
    def adjust(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Change,
            lambda sku, told: services.adjust(
                sku_id=sku.pk,
                change=told["change"],
                reason=told["reason"],
                actor=viewer_of(request).number,
                at=now(),
            ),
            title="调整库存",
            lead="销售与退货自动增减，这里只记录入库与盘点。",
        )

    def facts(self, row: Sku) -> list[tuple[str, Any]]:
        return [
            ("规格", row),
            ("规格编号", row.number),
            ("可售", self.stock_left(row)),
            ("在库", self.stock_on_hand(row)),
            ("已占用", self.stock_promised(row)),
        ]
