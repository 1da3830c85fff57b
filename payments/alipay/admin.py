from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from config.kit.admin import Look
from config.kit.columns import DayFilter
from payments.alipay.models import AlipayNotice, AlipayTrade
from payments.alipay.rules import Status

COLOURS = {Status.OPEN: "warning", Status.PAID: "success", Status.CLOSED: ""}


@admin.register(AlipayTrade)
class AlipayTradeAdmin(Look):
    tenant_path = "payment__merchant"
    tenant_name_path = "payment__merchant"
    role = "FINANCE"
    colours = {"status": COLOURS}
    list_display = [
        "out_trade_no", "status", "amount_fen", "payment", "trade_no", "opened_at",
        "success_at",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = [("status", ChoicesDropdownFilter), ("opened_at", DayFilter)]
    search_fields = ["out_trade_no", "trade_no", "payment__number", "payment__reference"]
    search_help_text = "商户订单号、支付宝交易号、支付单号或订单号"
    ordering = ["-opened_at", "-pk"]
    fields = [
        ("out_trade_no", "status"),
        ("amount_fen", "payment"),
        ("trade_no", "offered_until"),
        ("opened_at", "success_at", "billed_on"),
        ("paid_at", "closed_at"),
        "ask_at",
    ]


@admin.register(AlipayNotice)
class AlipayNoticeAdmin(Look):
    """Of the platform only: a notice names trades of any merchant, or of nobody."""

    role = "FINANCE"
    list_display = ["notify_id", "kind", "problem", "at"]
    list_filter = [("problem", admin.EmptyFieldListFilter), ("at", DayFilter)]
    search_fields = ["notify_id", "problem"]
    search_help_text = "通知号或问题"
    ordering = ["-at", "-pk"]
    fields = [("notify_id", "kind"), "problem", "told", "at"]
