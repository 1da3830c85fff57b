from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action

from config.kit.admin import Look
from config.kit.columns import DayFilter
from config.kit.questions import Question
from payments.wechat_pay import giving_back
from payments.wechat_pay.models import WeChatNotice, WeChatRefund, WeChatTrade
from payments.wechat_pay.rules import RefundState, Status

REFUND_COLOURS = {
    RefundState.PROCESSING: "info",
    RefundState.SUCCESS: "success",
    RefundState.ABNORMAL: "danger",
    RefundState.CLOSED: "",
}
COLOURS = {Status.OPEN: "warning", Status.PAID: "success", Status.CLOSED: ""}


@admin.register(WeChatTrade)
class WeChatTradeAdmin(Look):
    tenant_path = "payment__merchant"
    tenant_name_path = "payment__merchant"
    role = "FINANCE"
    colours = {"status": COLOURS}
    list_display = [
        "out_trade_no", "status", "amount_fen", "payment", "transaction_id", "opened_at",
        "success_at",
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
        ("opened_at", "success_at", "billed_on"),
        ("paid_at", "closed_at"),
        ("prepaid_at", "ask_at"),
    ]


class Card(Question):
    bank_type = forms.CharField(
        label="开户银行", max_length=16, help_text="微信支付的银行标识，如 ICBC_DEBIT"
    )
    card_no = forms.RegexField(r"[0-9]{10,30}", label="银行卡号")

    name = forms.CharField(
        label="持卡人姓名", max_length=64, help_text="须与付款人同名，由微信核对"
    )


@admin.register(WeChatRefund)
class WeChatRefundAdmin(Look):
    tenant_path = "trade__payment__merchant"
    tenant_name_path = "trade__payment__merchant"
    role = act_role = "FINANCE"
    colours = {"status": REFUND_COLOURS}
    list_display = ["out_refund_no", "status", "amount_fen", "trade", "refund_id", "heard_at"]
    list_select_related = ["trade"]
    list_filter = [("status", ChoicesDropdownFilter), ("heard_at", DayFilter)]
    search_fields = ["out_refund_no", "refund_id", "trade__out_trade_no"]
    search_help_text = "商户退款单号、微信退款单号或商户订单号"
    ordering = ["-heard_at", "-pk"]
    fields = [
        ("out_refund_no", "status"),
        ("amount_fen", "trade"),
        ("refund_id", "heard_at"),
        ("accepted_at", "billed_on"),
    ]
    actions_detail = ["to_card"]
    offered = {"to_card": lambda refund: refund.status == RefundState.ABNORMAL}

    @action(description="退到买家的另一张银行卡", icon="credit_card", permissions=["act"])
    def to_card(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The card's number goes to WeChat, sealed, and is kept nowhere here."""
        return self.ask_about(
            request,
            object_id,
            Card,
            lambda row, card: None,
            title="退到买家的另一张银行卡",
            outside=lambda row: lambda card: giving_back.to_card(refund=row, at=now(), **card),
        )


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
