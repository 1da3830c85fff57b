from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter, DropdownFilter
from unfold.decorators import action

from config.kit.admin import Lines, Look, Sure, each, viewer_of
from config.kit.columns import DayFilter, in_yuan
from payments.cashier import refunds
from payments.cashier.models import Payment, PaymentEvent, Receipt, Refund, RefundPart
from payments.cashier.rules import REFUND_TRANSITIONS, PartStatus, RefundStatus, Status
from payments.offering.rules import TITLES

PURPOSES = {"ORDER": "订单", "TOPUP": "钱包充值", "GIFT_CARD": "礼品卡", "DEPOSIT": "保证金"}
EVENTS = {
    "OPENED": "发起支付",
    "CONFIRMED": "已到账",
    "OWED_BACK": "多收转应退",
    "CLOSED": "已关闭",
    "ANY_PAYER": "买家改用其他账户付款",
    "UNDONE": "撤销核销",
    "REOPENED": "逾期到账，恢复支付",
    "REVERSED": "银行冲正",
    "COVERED": "商家承担冲正款",
    "UNCOVERED": "解除商家承担",
    "REFUND_OWED": "产生应退款",
    "REFUND_ASKED": "申请退款",
    "REFUND_APPROVED": "同意退款",
    "REFUND_BY_HAND": "登记已在网银退款",
    "REFUND_NOT_BY_HAND": "网银退款复核未通过",
    "REFUND_DONE": "已退款",
    "REFUND_FAILED": "退款失败",
    "REFUND_WRITTEN_OFF": "已冲正且未退出，作废",
    "REFUND_BOUNCED": "退款被退汇",
    "REFUND_TO_WALLET": "应退款转入余额",
}
PAYMENT_COLOURS = {Status.WAITING: "warning", Status.CONFIRMED: "success", Status.CLOSED: ""}
REFUND_COLOURS = {
    RefundStatus.OWED: "warning",
    RefundStatus.APPROVED: "info",
    RefundStatus.SENDING: "info",
    RefundStatus.DONE: "success",
    RefundStatus.FAILED: "danger",
    RefundStatus.VOID: "",
}


PART_COLOURS = {
    PartStatus.SENDING: "info",
    PartStatus.DONE: "success",
    PartStatus.REFUSED: "danger",
    PartStatus.VOID: "",
}


class Receipts(Lines):
    model = Receipt
    fields = ["channel_txn", "amount_fen", "kept_fen", "owed_fen", "received_at", "undone_at"]


class MethodFilter(DropdownFilter):
    title = "支付方式"
    parameter_name = "method"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return list(TITLES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Receipt]) -> QuerySet[Receipt]:
        method = self.value()
        return queryset.filter(method=method) if method else queryset


@admin.register(Receipt)
class ReceiptAdmin(Look):
    """Every arrival of money for a payment, by the day on which it came."""

    tenant_path = tenant_name_path = "payment__merchant"
    role = "FINANCE"
    words = {"method": TITLES}
    list_display = [
        "channel_txn", "method", "amount_fen", "kept_fen", "owed_fen", "payment", "received_at",
        "undone_at",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = [
        MethodFilter,
        ("received_at", DayFilter),
        ("undone_at", admin.EmptyFieldListFilter),
    ]
    search_fields = ["channel_txn", "payment__number", "posting"]
    search_help_text = "渠道流水号、支付单号或凭证号"
    ordering = ["-received_at", "-pk"]
    fields = [
        ("channel_txn", "method"),
        ("amount_fen", "kept_fen", "owed_fen"),
        ("payment", "received_at", "undone_at"),
        ("source", "posting"),
    ]


class Refunds(Lines):
    model = Refund
    fields = ["number", "amount_fen", "reason", "status", "owed_at", "done_at"]
    colours = {"status": REFUND_COLOURS}
    show_change_link = True


class Parts(Lines):
    model = RefundPart
    with_related = ["receipt"]
    fields = ["number", "receipt", "amount_fen", "status", "channel_txn", "failure", "done_at"]
    colours = {"status": PART_COLOURS}


class Events(Lines):
    model = PaymentEvent
    verbose_name_plural = "经过"
    fields = ["at", "kind", "actor"]
    words = {"kind": EVENTS}


@admin.register(Payment)
class PaymentAdmin(Look):
    tenant_path = "merchant"
    tenant_name_path = "merchant"
    role = act_role = "FINANCE"
    colours = {"status": PAYMENT_COLOURS}
    words = {"method": TITLES, "purpose": PURPOSES}
    list_display = [
        "number", "status", "amount_fen", "received_fen", "reference", "payer", "method",
        "merchant", "opened_at",
    ]  # fmt: skip
    list_select_related = ["payer"]
    list_filter = [("status", ChoicesDropdownFilter), ("opened_at", DayFilter)]
    search_fields = ["number", "reference", "payer__nickname", "payer__phone"]
    search_help_text = "支付单号、订单号、买家昵称或手机号"
    ordering = ["-opened_at", "-pk"]
    fieldsets = [
        (None, {"fields": [("number", "status"), ("purpose", "reference"), ("payer", "merchant")]}),
        (
            "金额",
            {"fields": [("amount_fen", "received_fen", "refunded_fen"), ("method", "covered_fen")]},
        ),
        ("时间", {"fields": [("opened_at", "pay_before", "confirmed_at")]}),
    ]
    inlines = [Receipts, Refunds, Events]


@admin.register(Refund)
class RefundAdmin(Look):
    tenant_path = "payment__merchant"
    tenant_name_path = "payment__merchant"
    role = act_role = "FINANCE"
    colours = {"status": REFUND_COLOURS}
    list_display = [
        "number", "status", "amount_fen", "reason", "payment", "order", "owed_at", "failure",
    ]  # fmt: skip
    list_select_related = ["payment"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("reason", ChoicesDropdownFilter),
        ("owed_at", DayFilter),
    ]
    search_fields = ["number", "payment__number", "payment__reference"]
    search_help_text = "退款单号、支付单号或订单号"
    ordering = ["-owed_at", "-pk"]
    fieldsets = [
        (None, {"fields": [("number", "status"), ("amount_fen", "reason"), ("payment", "order")]}),
        (
            "退回",
            {
                "fields": [
                    ("channel_txn", "failure"),
                    ("owed_at", "sent_at", "done_at"),
                    "chased_at",
                ]
            },
        ),
    ]
    inlines = [Parts]
    actions = ["approve_chosen"]
    actions_detail = ["approve"]
    offered = {"approve": lambda refund: "APPROVED" in REFUND_TRANSITIONS[refund.status]}

    @admin.display(description="业务单号")
    def order(self, refund: Refund) -> str:
        return refund.payment.reference

    @action(description="同意退款", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda refund, _: self._approve(request, refund),
            title="同意退款",
            lead="确认后款项立即按原路退回，不能撤回。",
        )

    @action(description="同意退款", permissions=["act"])
    def approve_chosen(self, request: HttpRequest, rows: QuerySet[Refund]) -> None:
        each(self, request, rows, lambda refund: self._approve(request, refund), "同意退款")

    def _approve(self, request: HttpRequest, refund: Refund) -> None:
        refunds.approve(refund=refund, actor=viewer_of(request).number, at=now())

    def facts(self, refund: Any) -> list[tuple[str, str]]:
        return [
            ("退款单号", refund.number),
            ("金额", in_yuan(refund.amount_fen)),
            ("原因", refund.get_reason_display()),
            ("订单号", refund.payment.reference),
        ]
