from django.contrib import admin
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from config.kit.admin import Look
from config.kit.columns import DayFilter
from payments.wechat_pay.models import WeChatNotice, WeChatTrade
from payments.wechat_pay.rules import Status

COLOURS = {Status.OPEN: "warning", Status.PAID: "success", Status.CLOSED: ""}


@admin.register(WeChatTrade)
class WeChatTradeAdmin(Look):
    tenant_path = "payment__merchant"
    tenant_name_path = "payment__merchant"
    role = "FINANCE"
    colours = {"status": COLOURS}
    list_display = [
        "out_trade_no", "status", "amount_fen", "payment", "transaction_id", "opened_at", "paid_at",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = [("status", ChoicesDropdownFilter), ("opened_at", DayFilter)]
    search_fields = ["out_trade_no", "transaction_id", "payment__number", "payment__reference"]
    search_help_text = "商户订单号、微信支付订单号、支付单号或订单号"
    ordering = ["-opened_at", "-pk"]
    fields = [
        ("out_trade_no", "status"),
        ("amount_fen", "payment"),
        ("transaction_id", "openid"),
        ("opened_at", "paid_at", "closed_at"),
        ("prepaid_at", "ask_at"),
    ]


@admin.register(WeChatNotice)
class WeChatNoticeAdmin(Look):
    """Of the platform only: a notice names trades of any merchant, or of nobody."""

    role = "FINANCE"
    list_display = ["event_id", "kind", "problem", "at"]
    list_filter = [("problem", admin.EmptyFieldListFilter), ("at", DayFilter)]
    search_fields = ["event_id", "problem"]
    search_help_text = "通知号或问题"
    ordering = ["-at", "-pk"]
    fields = [("event_id", "kind"), "problem", "told", "at"]
