from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import localtime, now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action

from config.kit.admin import Lines, Look, Question, Reason, Sure, each, viewer_of
from config.kit.columns import DayFilter, in_shanghai
from shop.fulfilment.models import Shipment
from shop.wechat_shipping import queries, sending, services
from shop.wechat_shipping.models import ShippingEvent, ShippingReport, WeChatPush
from shop.wechat_shipping.rules import NOT_TOLD, TO_SEND, Kind, Status

COLOURS = {
    Status.WAITING: "warning",
    Status.REPORTED: "success",
    Status.CORRECTING: "warning",
    Status.CORRECTED: "success",
    Status.CONFIRMED: "success",
    Status.FAILED: "danger",
    Status.CLOSED: "",
}
EVENTS = {
    "TOLD_PART": "已上报一部分",
    "REPORTED": "已上报",
    "CORRECTED": "更正已被微信收下",
    "FAILED": "微信拒绝",
    "CONFIRMED": "买家已确认收货",
    "CLOSED": "已退款，无需上报",
    "RETRIED": "重新上报",
    "KIND": "选择配送方式",
    "CORRECTION": "更正运单",
    "DIFFERENT": "与微信不一致",
    "SETTLED": "差异已核对",
    "REMINDED": "微信催促发货",
    "RECEIPT_ASKED": "请微信提醒买家确认收货",
    "RECEIPT_NOT_ASKED": "微信没有提醒",
}
FACTS = {
    "numbers": "运单", "why": "原因", "said_by": "来自", "method": "方式", "what": "差异",
    "reason": "说明", "kind": "配送方式", "from": "原运单", "to": "改为",
}  # fmt: skip
TOLD = {
    "logistics_type": "配送方式", "delivery_mode": "发货方式", "is_all_delivered": "全部发出",
    "shipping_list": "运单",
}  # fmt: skip


class ForAPerson(admin.SimpleListFilter):
    title = "待处理"
    parameter_name = "for_a_person"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "被拒或不一致")]

    def queryset(
        self, request: HttpRequest, rows: QuerySet[ShippingReport]
    ) -> QuerySet[ShippingReport]:
        return queries.for_a_person(rows) if self.value() else rows


class Correction(Question):
    shipment = forms.TypedChoiceField(label="发货单", coerce=int)
    carrier = forms.CharField(label="承运商", max_length=40)
    tracking_no = forms.CharField(label="运单号", max_length=40)

    def prepare(self) -> None:
        sent = Shipment.objects.filter(order=self.row.order_id, no_logistics=False).order_by("pk")
        self.fields["shipment"].choices = [  # type: ignore[attr-defined]
            (one.pk, f"{one.carrier} {one.tracking_no}") for one in sent
        ]


class HowBrought(Question):
    kind = forms.TypedChoiceField(label="配送方式", coerce=int, choices=Kind.choices)


class Delivered(Question):
    delivered_at = forms.DateTimeField(
        label="签收时间", initial=lambda: f"{localtime(now()):%Y-%m-%d %H:%M}"
    )


class Events(Lines):
    model = ShippingEvent
    fields = ["at", "kind", "actor", "facts"]
    words = {"kind": EVENTS, "facts": FACTS}
    in_order = ["at", "pk"]


@admin.register(ShippingReport)
class ShippingReportAdmin(Look):
    tenant_path = "trade__payment__merchant"
    tenant_name_path = "trade__payment__merchant"
    act_role = "OPERATOR"
    colours = {"status": COLOURS}
    words = {"told": TOLD}
    list_display = [
        "trade", "order", "status", "deadline", "next_try_at", "last_error", "difference",
    ]  # fmt: skip
    list_select_related = ["trade", "order"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ForAPerson,
        ("deadline", DayFilter),
    ]
    search_fields = ["trade__out_trade_no", "trade__transaction_id", "order__number"]
    search_help_text = "商户订单号、微信支付订单号或订单号"
    ordering = ["-deadline", "-pk"]
    fields = [
        ("trade", "order", "status"),
        ("deadline", "kind"),
        ("last_error", "next_try_at", "attempts"),
        ("difference", "compare_at"),
        ("reported_at", "correction_asked_at"),
        ("receipt_asked_at", "confirmed_at", "settled_at"),
        "alerted_at",
        "told",
    ]
    inlines = [Events]
    actions = ["retry_chosen"]
    actions_detail = ["retry", "correct", "choose_kind", "ask_receipt", "settle"]
    offered = {
        "retry": lambda row: row.status in {*TO_SEND, Status.FAILED},
        "correct": lambda row: row.order_id and row.status not in {Status.CONFIRMED, Status.CLOSED},
        "choose_kind": lambda row: row.status in NOT_TOLD and not row.told,
        "ask_receipt": lambda row: (
            row.status in {Status.REPORTED, Status.CORRECTED}
            and row.receipt_asked_at is None
            and row.told.get("logistics_type") == Kind.EXPRESS
        ),
        "settle": lambda row: bool(row.difference),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShippingReport]:
        return super().get_queryset(request).select_related("trade", "order")

    @action(description="立即上报", icon="refresh", permissions=["act"])
    def retry(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda row, _: services.retry(report=row, actor=actor, at=now()),
            title="立即上报",
        )

    @action(description="更正运单", icon="edit", permissions=["act"])
    def correct(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: ShippingReport, told: dict[str, Any]) -> None:
            shipment = Shipment.objects.get(pk=told.pop("shipment"), order=row.order_id)
            services.correct(report=row, shipment=shipment, actor=actor, at=now(), **told)

        return self.ask_about(
            request,
            object_id,
            Correction,
            act,
            title="更正运单",
            lead="微信收下发货信息以后，每笔订单只允许更正一次；请核对清楚再提交。",
        )

    @action(description="选择配送方式", icon="local_shipping", permissions=["act"])
    def choose_kind(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            HowBrought,
            lambda row, told: services.choose_kind(report=row, actor=actor, at=now(), **told),
            title="选择配送方式",
            lead="不选时：有运单号的按快递上报，没有的按用户自提上报。",
        )

    @action(description="提醒买家确认收货", icon="mark_email_read", permissions=["act"])
    def ask_receipt(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Delivered,
            lambda row, told: None,
            title="提醒买家确认收货",
            lead="快递已签收时，请微信提醒买家确认收货；微信每笔订单只提醒一次。",
            outside=lambda row: (
                lambda told: sending.ask_receipt(report=row, actor=actor, at=now(), **told)
            ),
        )

    @action(description="差异已核对", icon="fact_check", permissions=["act"])
    def settle(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda row, told: services.settle_difference(
                report=row, reason=told["reason"], actor=actor, at=now()
            ),
            title="差异已核对",
        )

    @action(description="立即上报", permissions=["act"])
    def retry_chosen(self, request: HttpRequest, rows: QuerySet[ShippingReport]) -> None:
        actor = viewer_of(request).number
        each(
            self,
            request,
            rows,
            lambda row: services.retry(report=row, actor=actor, at=now()),
            "立即上报",
        )

    def facts(self, row: ShippingReport) -> list[tuple[str, Any]]:
        return [
            ("订单", row.order or "—"),
            ("微信支付订单号", row.trade.transaction_id),
            ("状态", row.get_status_display()),
            ("上报期限", in_shanghai(row.deadline)),
            ("最近一次问题", row.last_error or "—"),
        ]


@admin.register(WeChatPush)
class WeChatPushAdmin(Look):
    """Of the platform only: a push names orders of any merchant, or of nobody."""

    list_display = ["event", "problem", "at"]
    list_filter = [("problem", admin.EmptyFieldListFilter), ("at", DayFilter)]
    search_fields = ["problem"]
    search_help_text = "问题"
    ordering = ["-at", "-pk"]
    fields = ["event", "problem", "told", "at"]
