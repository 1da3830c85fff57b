from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action

from config.kit.admin import Edit, Lines, Sure, each
from config.kit.columns import DayFilter
from shop.catalog import services
from shop.catalog.models import Category, Product, Sku
from shop.catalog.rules import TRANSITIONS, Status

PRODUCT_COLOURS = {Status.DRAFT: "info", Status.ON_SALE: "success", Status.OFF: ""}


@admin.register(Category)
class CategoryAdmin(Edit):
    """One tree for all merchants, kept by the platform."""

    is_shared = True
    list_display = ["name", "code", "parent", "receive_days"]
    list_select_related = ["parent"]
    fields = ["name", "code", "parent", "receive_days"]
    editable = ["name", "parent", "receive_days"]
    addable = ["name", "code", "parent", "receive_days"]
    search_fields = ["name", "code"]
    ordering = ["code"]

    def keep(self, request: HttpRequest, row: Category, values: dict[str, Any]) -> None:
        Category.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Category:
        return Category.objects.create(**values)


class Skus(Lines):
    model = Sku
    fields = ["name", "number", "list_price_fen", "min_quantity", "is_active"]
    show_change_link = True


@admin.register(Product)
class ProductAdmin(Edit):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = "OPERATOR"
    colours = {"status": PRODUCT_COLOURS}
    list_display = ["title", "status", "is_private", "category", "merchant", "created_at"]
    list_select_related = ["category", "merchant"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("is_private", BooleanRadioFilter),
        ("created_at", DayFilter),
    ]
    search_fields = ["title", "number"]
    search_help_text = "标题或商品编号"
    ordering = ["-created_at", "-pk"]
    fields = [
        ("number", "merchant", "status"),
        "title",
        ("category", "is_private"),
        "description",
    ]
    editable = ["title", "category", "is_private", "description"]
    addable = ["merchant", *editable]
    inlines = [Skus]
    actions = ["sell_chosen", "stop_chosen"]
    actions_detail = ["sell", "stop"]
    offered = {
        "sell": lambda product: Status.ON_SALE in TRANSITIONS[product.status],
        "stop": lambda product: Status.OFF in TRANSITIONS[product.status],
    }

    def keep(self, request: HttpRequest, row: Product, values: dict[str, Any]) -> None:
        services.describe(product=row, changes=values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Product:
        return services.draft(at=now(), **values)

    @action(description="上架", icon="storefront", permissions=["act"])
    def sell(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda product, _: services.put_on_sale(product=product),
            title="上架",
            lead="上架后买家立即可以看到和购买；私密商品只对会员可见。",
        )

    @action(description="下架", icon="visibility_off", permissions=["act"])
    def stop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda product, _: services.take_off(product=product),
            title="下架",
            lead="下架后不再可见，已下的订单不受影响。",
        )

    @action(description="上架", permissions=["act"])
    def sell_chosen(self, request: HttpRequest, rows: QuerySet[Product]) -> None:
        each(self, request, rows, lambda row: services.put_on_sale(product=row), "上架")

    @action(description="下架", permissions=["act"])
    def stop_chosen(self, request: HttpRequest, rows: QuerySet[Product]) -> None:
        each(self, request, rows, lambda row: services.take_off(product=row), "下架")
