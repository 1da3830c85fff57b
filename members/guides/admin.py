from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Question, Sure, each
from config.kit.columns import DayFilter, in_shanghai
from members.accounts.models import User
from members.guides import services
from members.guides.models import BondEvent, Commission, CustomerBond, Guide, ShareCode
from members.guides.rules import GuideStatus, Status
from members.merchants.models import Merchant

COMMISSION_COLOURS = {
    Status.PENDING: "warning",
    Status.EARNED: "success",
    Status.VOID: "",
    Status.REVERSED: "danger",
}


class NewGuides(Question):
    merchant = forms.ModelChoiceField(Merchant.objects.none(), label="商家", empty_label=None)
    people = forms.CharField(
        label="用户编号或手机号",
        help_text="每行一个，最多 50 人",
        max_length=1500,
        widget=forms.Textarea({"rows": 6}),
    )

    def prepare(self) -> None:
        merchants = Merchant.objects.order_by("name")
        tenants = self.request.user.tenants("OPERATOR")  # type: ignore[union-attr]
        if tenants is not None:
            merchants = merchants.filter(number__in=tenants)
        self.fields["merchant"].queryset = merchants  # type: ignore[attr-defined]

    def clean_people(self) -> list[User]:
        told = [line.strip() for line in self.cleaned_data["people"].splitlines() if line.strip()]
        if len(told) > 50:
            raise forms.ValidationError("一次最多 50 人")
        by_number = User.objects.filter(number__in=told)
        by_phone = User.objects.filter(phone__in=told)
        found = {name: user for user in by_number | by_phone for name in (user.number, user.phone)}
        if unknown := [name for name in told if name not in found]:
            raise forms.ValidationError(f"没有这些用户：{'、'.join(unknown[:5])}")
        return [found[name] for name in told]


class ShareCodes(Lines):
    model = ShareCode
    fields = ["code", "target_kind", "target", "created_at"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShareCode]:
        return super().get_queryset(request).defer("qr")


@admin.register(Guide)
class GuideAdmin(Look):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = "OPERATOR"
    colours = {"status": {GuideStatus.ACTIVE: "success", GuideStatus.CLOSED: ""}}
    list_display = ["user", "status", "merchant", "opened_at", "closed_at"]
    list_select_related = ["user", "merchant"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["user__nickname", "user__number", "user__phone"]
    search_help_text = "昵称、用户编号或手机号"
    ordering = ["-opened_at", "-pk"]
    fields = [("user", "status"), ("merchant", "opened_at", "closed_at")]
    inlines = [ShareCodes]
    actions = ["close_chosen"]
    actions_list = ["enrol"]
    actions_detail = ["close"]
    offered = {"close": lambda guide: guide.status == GuideStatus.ACTIVE}

    @action(description="招募导购", icon="person_add", permissions=["act"])
    def enrol(self, request: HttpRequest) -> HttpResponse:
        return self.ask(
            request,
            NewGuides,
            lambda told: services.enrol(merchant=told["merchant"], users=told["people"], at=now()),
            title="招募导购",
            lead="离岗后再次招募的人恢复原来的身份。",
            back=self.url_of("changelist"),
        )

    @action(description="离岗", icon="logout", permissions=["act"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda guide, _: services.close(guide=guide, at=now()),
            title="离岗",
            lead="分享码不再归属新客户，已有的佣金照常结算。",
        )

    @action(description="离岗", permissions=["act"])
    def close_chosen(self, request: HttpRequest, rows: QuerySet[Guide]) -> None:
        each(self, request, rows, lambda guide: services.close(guide=guide, at=now()), "离岗")

    def facts(self, row: Guide) -> list[tuple[str, Any]]:
        return [
            ("导购", row.user),
            ("商家", row.merchant),
            ("入职时间", in_shanghai(row.opened_at)),
        ]


@admin.register(ShareCode)
class ShareCodeAdmin(Look):
    tenant_path = "guide__merchant__number"
    tenant_name_path = "guide__merchant__name"
    list_display = ["code", "guide", "target_kind", "target", "created_at"]
    list_select_related = ["guide__user"]
    list_filter = [("target_kind", ChoicesDropdownFilter)]
    search_fields = ["code", "target", "guide__user__nickname"]
    fields = [("code", "guide"), ("target_kind", "target"), "created_at"]
    ordering = ["-pk"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[ShareCode]:
        return super().get_queryset(request).select_related("guide__user").defer("qr")


@admin.register(CustomerBond)
class CustomerBondAdmin(Look):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    list_display = ["customer", "guide", "merchant", "bonded_at"]
    list_select_related = ["customer", "guide__user", "merchant"]
    list_filter = [("bonded_at", DayFilter)]
    search_fields = ["customer__nickname", "customer__phone", "guide__user__nickname"]
    search_help_text = "客户昵称、手机号或导购昵称"
    fields = [("customer", "guide"), ("merchant", "bonded_at")]
    ordering = ["-bonded_at", "-pk"]


@admin.register(BondEvent)
class BondEventAdmin(Look):
    tenant_path = "guide__merchant__number"
    tenant_name_path = "guide__merchant__name"
    list_display = ["customer", "guide", "share_code", "at"]
    list_select_related = ["customer", "guide__user", "share_code"]
    list_filter = [("at", DayFilter)]
    search_fields = ["customer__nickname", "customer__phone", "share_code__code"]
    fields = [("customer", "guide"), ("share_code", "at")]
    ordering = ["-at", "-pk"]


@admin.register(Commission)
class CommissionAdmin(Look):
    tenant_path = "guide__merchant__number"
    tenant_name_path = "guide__merchant__name"
    colours = {"status": COMMISSION_COLOURS}
    list_display = [
        "order_line", "guide", "status", "amount_fen", "base_fen", "percent", "created_at",
    ]  # fmt: skip
    list_select_related = ["guide__user"]
    list_filter = [("status", ChoicesDropdownFilter), ("created_at", DayFilter)]
    search_fields = ["order_number", "guide__user__nickname"]
    search_help_text = "订单号或导购昵称"
    ordering = ["-created_at", "-pk"]
    fields = [
        ("order_line", "guide", "status"),
        ("amount_fen", "base_fen", "percent"),
        ("created_at", "settled_at"),
    ]

    @display(description="订单行", ordering="order_number")
    def order_line(self, commission: Commission) -> str:
        return f"{commission.order_number} 第 {commission.line} 行"

    @display(description="比例", ordering="rate")
    def percent(self, commission: Commission) -> str:
        return f"{commission.rate.normalize():f}%"
