from dataclasses import fields, replace
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action

from config.kit.admin import Edit, Lines, Question, Sure
from config.kit.errors import NotFound
from members.accounts.models import User
from members.merchants import services
from members.merchants.models import MemberNumber, Merchant, Staff
from members.merchants.rules import StaffRole, Status, Terms

TERMS = [field.name for field in fields(Terms)]


class StaffLines(Lines):
    model = Staff
    fields = ["user", "role", "since_at"]
    colours = {"role": {StaffRole.OWNER: "primary"}}
    with_related = ["user"]


class MemberNumbers(Lines):
    model = MemberNumber
    fields = ["number", "opened_at", "closed_at"]


class Post(Question):
    person = forms.CharField(label="用户名、用户编号或手机号", max_length=150)
    role = forms.ChoiceField(label="职务", choices=StaffRole.choices)


def person_called(told: str) -> User:
    """By username, public number or mobile; NotFound otherwise."""
    told = told.strip()
    for field in ("username", "number", "phone"):
        found = User.objects.filter(**{field: told}).first()
        if found is not None:
            return found
    raise NotFound("没有这个用户")


@admin.register(Merchant)
class MerchantAdmin(Edit):
    """The owner changes the terms; who is a merchant, and who works there, is the platform's."""

    tenant_path = "number"
    act_role = "OWNER"
    tenant_columns = ()
    colours = {"status": {Status.ACTIVE: "success", Status.SUSPENDED: "danger"}}
    list_display = ["name", "number", "status", "member_no", "join_policy", "created_at"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["name", "number", "member_no"]
    search_help_text = "名称、商家编号或会员号"
    ordering = ["-pk"]
    fieldsets = [
        (None, {"fields": [("name", "status"), ("number", "member_no", "created_at")]}),
        (
            "交易条款（只影响之后的订单）",
            {
                "fields": [
                    ("join_policy", "commission_rate", "bond_days"),
                    ("auto_receive_days", "after_sale_days"),
                    ("pay_within_minutes", "transfer_working_days"),
                ]
            },
        ),
    ]
    editable = TERMS
    addable = ["name", *TERMS]
    inlines = [StaffLines, MemberNumbers]
    actions_detail = ["rotate", "appoint", "dismiss", "suspend", "resume"]
    offered = {
        "suspend": lambda merchant: merchant.status == Status.ACTIVE,
        "resume": lambda merchant: merchant.status == Status.SUSPENDED,
    }

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "PLATFORM")

    def has_platform_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return self.may(request, "PLATFORM")

    def keep(self, request: HttpRequest, row: Merchant, values: dict[str, Any]) -> None:
        held = Merchant.objects.values(*TERMS).get(pk=row.pk)
        services.change_terms(merchant=row, terms=replace(Terms(**held), **values))

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Merchant:
        name = values.pop("name")
        return services.open_merchant(name=name, terms=Terms(**values), at=now())

    @action(description="更换会员号", icon="autorenew", permissions=["act"])
    def rotate(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda merchant, _: services.rotate_member_no(merchant=merchant, at=now()) and None,
            title="更换会员号",
            lead="旧会员号立即失效，已加入的会员不受影响。",
        )

    @action(description="任命员工", icon="person_add", permissions=["platform"])
    def appoint(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Post,
            lambda merchant, told: services.appoint(
                user=person_called(told["person"]), merchant=merchant, role=told["role"], at=now()
            ),
            title="任命员工",
            lead="被任命的人可以登录本后台，看到这个商家的数据。",
        )

    @action(description="免去职务", icon="person_remove", permissions=["platform"])
    def dismiss(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Post,
            lambda merchant, told: services.dismiss(
                user=person_called(told["person"]), merchant=merchant, role=told["role"]
            ),
            title="免去职务",
        )

    @action(description="停业", icon="pause", permissions=["platform"])
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda merchant, _: services.suspend(merchant=merchant),
            title="停业",
            lead="停业后不能入会和下单，员工仍可处理未完成的订单。",
        )

    @action(description="恢复营业", icon="play_arrow", permissions=["platform"])
    def resume(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda merchant, _: services.resume(merchant=merchant),
            title="恢复营业",
        )
