from typing import Any

from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Reason, Sure, viewer_of
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from shop.orders import freezing, services
from shop.orders.models import Order, OrderEvent, OrderLine
from shop.orders.rules import Status, actions
from shop.pricing.rules import Kind

ORDER_COLOURS = {
    Status.UNPAID: "warning",
    Status.PAID: "primary",
    Status.SHIPPED: "info",
    Status.RECEIVED: "success",
    Status.DONE: "success",
    Status.CLOSED: "",
}
EVENTS = {
    "PLACED": "下单",
    "PAID": "付款",
    "UNPAID": "撤销付款",
    "SHIPPED": "发货",
    "RECEIVED": "收货",
    "DONE": "完成",
    "EXPIRED": "超时关闭",
    "CANCELLED": "取消",
    "REFUNDED": "退款到账",
    "REOPENED": "逾期到账，恢复订单",
    "FROZEN": "冻结",
    "REPAID": "重新付款，解冻",
    "UNFROZEN": "解冻",
}


class OrderLines(Lines):
    model = OrderLine
    fields = [
        "title", "sku_name", "unit_price_fen", "quantity", "total_fen", "price_reason", "why",
        "is_shipped",
    ]  # fmt: skip
    colours = {"price_reason": {Kind.MEMBER: "primary", Kind.LEVEL: "primary", Kind.OFFER: "info"}}
    in_order = ["line"]

    @display(description="价格依据")
    def why(self, line: OrderLine) -> str:
        """Every rule that was looked at when the price was frozen."""
        rules = [
            (Kind(rule["kind"]).label, in_yuan(rule["unit_price_fen"]), rule["why"])
            for rule in line.receipt
        ]
        return format_html_join(SafeString("<br>"), "{} {}（{}）", rules) or "—"


class OrderEvents(Lines):
    model = OrderEvent
    verbose_name_plural = "经过"
    fields = ["at", "kind", "actor"]
    words = {"kind": EVENTS}


def can_cancel(order: Order) -> bool:
    shipped = any(line.is_shipped for line in order.lines.all())
    return actions(order.status, has_shipped_lines=shipped)["cancel"]


class OrderAdmin(Look):
    """Registered by `shop.fulfilment`, which adds the shipments and the way to send them."""

    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = "OPERATOR"
    colours = {"status": ORDER_COLOURS}
    list_display = ["number", "status", "goods", "total_fen", "buyer", "merchant", "placed_at"]
    list_select_related = ["buyer", "merchant"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("placed_at", DayFilter),
        ("paid_at", DayFilter),
        ("freeze_reason", ChoicesDropdownFilter),
    ]
    search_fields = ["number", "buyer__nickname", "buyer__phone", "lines__title"]
    search_help_text = "订单号、买家昵称、手机号或商品"
    ordering = ["-placed_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "status", "total_fen"),
                    ("buyer", "merchant", "guide"),
                    "address",
                    "remark",
                ]
            },
        ),
        (
            "时间",
            {
                "fields": [
                    ("placed_at", "pay_before", "paid_at"),
                    ("shipped_at", "receive_before", "received_at"),
                    ("finish_at", "done_at"),
                    ("closed_at", "close_reason"),
                    ("frozen_at", "freeze_reason"),
                ]
            },
        ),
    ]
    inlines = [OrderLines, OrderEvents]
    change_form_outer_before_template = "admin/shop/order_frozen.html"
    actions = ["close_overdue"]
    actions_detail = ["cancel", "unfreeze"]
    offered = {"cancel": can_cancel, "unfreeze": lambda order: order.frozen_at is not None}

    def get_queryset(self, request: HttpRequest) -> QuerySet[Order]:
        rows = super().get_queryset(request)
        return rows.select_related("buyer", "merchant", "guide__user").prefetch_related("lines")

    def named_fields(self, request: HttpRequest, obj: Any) -> list[tuple[Any, Any]]:
        named = list(super().named_fields(request, obj))
        if self.may(request, "FINANCE"):
            named.append(("资金", {"fields": ["payments"]}))
        return named

    @display(description="商品")
    def goods(self, order: Order) -> str:
        lines = list(order.lines.all())
        if not lines:
            return "—"
        pieces = sum(line.quantity for line in lines)
        return f"{lines[0].title} {lines[0].sku_name}" + (f" 等 {pieces} 件" if pieces > 1 else "")

    @display(description="收货信息")
    def address(self, order: Order) -> str:
        told = order.consignee
        place = "".join(told.get(name, "") for name in ("province", "city", "district", "detail"))
        return f"{told.get('name', '')} {told.get('phone', '')} {place}"

    @display(description="支付单")
    def payments(self, order: Order) -> str:
        url = reverse("admin:payments_payment_changelist")
        return format_html('<a href="{}?q={}" class="text-link">查看支付单</a>', url, order.number)

    @action(description="取消订单", icon="cancel", permissions=["act"])
    def cancel(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda order, _: services.cancel(order=order, actor=actor, at=now()),
            title="取消订单",
            lead="已付的款项立即原路退回，库存释放，导购佣金作废；此操作不能撤销。",
            outside=lambda order: lambda _: services.shut(order=order, at=now()),
        )

    @action(description="解冻", icon="lock_open", permissions=["act"])
    def unfreeze(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda order, told: freezing.unfreeze(
                order=order, reason=told["reason"], actor=actor, at=now()
            ),
            title="解冻订单",
            lead="订单继续履约。货款仍未到账的，差额由商家承担，记入应收商家款。",
        )

    @action(description="关闭超时未付订单", permissions=["act"])
    def close_overdue(self, request: HttpRequest, rows: QuerySet[Order]) -> None:
        at = now()
        mine = self.rows_of(rows, request, self.act_role)
        # Only these: payments of the others must stay open.
        due = list(mine.overdue(at).values_list("number", flat=True))  # type: ignore[attr-defined]
        closed = services.expire(order_numbers=due, at=at)
        if closed:
            self.message_user(request, f"已关闭 {closed} 单", messages.SUCCESS)
        if kept := len(rows) - closed:
            text = f"{kept} 单未到付款期限、已付款或在等银行流水，没有改变"
            self.message_user(request, text, messages.WARNING)

    def facts(self, row: Order) -> list[tuple[str, Any]]:
        return [
            ("订单号", row.number),
            ("状态", row.get_status_display()),
            ("商品", self.goods(row)),
            ("金额", in_yuan(row.total_fen)),
            ("买家", row.buyer),
            ("收货", self.address(row)),
            ("下单时间", in_shanghai(row.placed_at)),
        ]
