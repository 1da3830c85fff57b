from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from config.kit.admin import Look
from config.kit.columns import DayFilter
from shop.offers.models import Offer
from shop.offers.rules import Status

SOURCES = {"LIVE": "直播"}


@admin.register(Offer)
class OfferAdmin(Look):
    tenant_path = "sku__product__merchant__number"
    tenant_name_path = "sku__product__merchant__name"
    colours = {"status": {Status.OPEN: "success", Status.CLOSED: ""}}
    words = {"source": SOURCES}
    list_display = ["number", "status", "sku", "price_fen", "taken", "quota", "source", "ends_at"]
    list_select_related = ["sku__product"]
    list_filter = [("status", ChoicesDropdownFilter), ("starts_at", DayFilter)]
    search_fields = ["number", "reference", "sku__number", "sku__product__title"]
    search_help_text = "编号、来源编号或商品"
    ordering = ["-pk"]
    fields = [
        ("number", "status", "sku"),
        ("price_fen", "taken", "quota"),
        ("source", "reference"),
        ("starts_at", "ends_at"),
    ]
