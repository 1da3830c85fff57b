from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Edit, Look, Question, Reason, Sure, name_of, viewer_of
from config.kit.columns import YuanField, in_shanghai, in_yuan
from payments.deposits import queries, services
from payments.deposits.models import DepositMove, DepositPayment, DepositRule
from payments.deposits.rules import Status
from payments.settlement.viewing import is_merchant

COLOURS = {"ASKED": "warning", "DONE": "success", "DECLINED": "danger"}


class Violation(Question):
    merchant = forms.CharField(label="商家编号", max_length=24)
    amount_fen = YuanField(label="扣除金额(元)")
    reason = forms.CharField(label="违规原因", max_length=200)
    evidence = forms.CharField(
        label="证据", max_length=2000, widget=forms.Textarea({"rows": 4}),
        help_text="订单号、链接、截图存放处等，复核人据此决定",
    )  # fmt: skip

    def clean_merchant(self) -> str:
        number = str(self.cleaned_data["merchant"]).strip()
        if not is_merchant(number):
            raise forms.ValidationError("没有这个商家")
        return number


def _waits(row: DepositMove) -> bool:
    return row.status == Status.ASKED


@admin.register(DepositMove)
class DepositMoveAdmin(Look):
    tenant_path = tenant_name_path = "merchant"
    role = "FINANCE"
    colours = {"status": COLOURS}
    list_display = [
        "number", "kind", "status", "amount_fen", "merchant", "reason", "asker", "asked_at",
    ]  # fmt: skip
    list_filter = [("kind", ChoicesDropdownFilter), ("status", ChoicesDropdownFilter)]
    search_fields = ["number", "reason"]
    search_help_text = "单号或原因"
    ordering = ["-asked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "kind", "status"),
                    ("amount_fen", "merchant"),
                    "reason",
                    "evidence",
                    ("asker", "asked_at", "source"),
                    ("checker", "checked_at", "said"),
                ]
            },
        )
    ]
    actions_list = ["punish"]
    actions_detail = ["approve", "decline"]
    offered = {"approve": _waits, "decline": _waits}

    def get_queryset(self, request: HttpRequest) -> QuerySet[DepositMove]:
        rows = super().get_queryset(request)
        return rows.annotate(asker_name=name_of("asked_by"), checker_name=name_of("checked_by"))

    @display(description="申请人")
    def asker(self, row: DepositMove) -> str:
        return getattr(row, "asker_name", None) or row.asked_by

    @display(description="复核人")
    def checker(self, row: DepositMove) -> str:
        return getattr(row, "checker_name", None) or row.checked_by or "—"

    def facts(self, row: DepositMove) -> Sequence[tuple[str, Any]]:
        return [
            ("事项", row.get_kind_display()),
            ("金额", in_yuan(row.amount_fen)),
            ("商家", row.merchant),
            ("保证金余额（不含冻结）", in_yuan(queries.deposit_fen(row.merchant))),
            ("原因", row.reason or "—"),
            ("证据", row.evidence or "—"),
            ("申请人", self.asker(row)),
            ("申请时间", in_shanghai(row.asked_at)),
        ]

    @action(description="登记违规扣除", icon="gavel", permissions=["act"])
    def punish(self, request: HttpRequest) -> HttpResponse:
        actor = viewer_of(request).number

        def act(said: dict[str, Any]) -> str:
            made = services.punish(actor=actor, at=now(), **said)
            return self.url_of("change", made.pk)

        return self.ask(
            request,
            Violation,
            act,
            title="登记违规扣除",
            lead="登记后冻结这笔保证金，由另一人复核后扣除。",
            back=self.url_of("changelist"),
        )

    @action(description="同意", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = (
            "违规扣除：扣给平台，不能撤回。退还：回到商家的可用余额；"
            "请先确认该类目商品已下架、没有未了结的违规。"
        )
        return self._check(request, object_id, Sure, title="同意", lead=lead)

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._check(
            request, object_id, Reason, title="不同意", lead="解除冻结，保证金不变。"
        )

    def _check(
        self, request: HttpRequest, object_id: str, question: type[Question], **page: Any
    ) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: DepositMove, answers: dict[str, Any]) -> None:
            reason = answers.get("reason", "")
            approve = question is Sure
            services.check(asked=row, approve=approve, actor=actor, at=now(), reason=reason)

        return self.ask_about(request, object_id, question, act, **page)


@admin.register(DepositPayment)
class DepositPaymentAdmin(Look):
    tenant_path = tenant_name_path = "merchant"
    role = "FINANCE"
    colours = {"status": {"OPEN": "warning", "PAID": "success", "CLOSED": ""}}
    list_display = ["number", "status", "amount_fen", "merchant", "payer", "opened_at", "paid_at"]
    list_select_related = ["payer"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["number"]
    search_help_text = "缴纳单号"
    ordering = ["-opened_at", "-pk"]
    fields = [
        ("number", "status"),
        ("amount_fen", "owed_fen"),
        ("merchant", "payer"),
        ("opened_at", "pay_before"),
        ("paid_at", "closed_at"),
    ]


@admin.register(DepositRule)
class DepositRuleAdmin(Edit):
    is_shared = True
    role = "FINANCE"
    list_display = ["category", "required_fen"]
    fields = ["category", "required_fen"]
    ordering = ["category"]
    editable = ["required_fen"]
    addable = ["category", "required_fen"]

    def keep(self, request: HttpRequest, row: DepositRule, values: dict[str, Any]) -> None:
        services.set_rule(category=row.category, required_fen=values["required_fen"])

    def add(self, request: HttpRequest, values: dict[str, Any]) -> DepositRule:
        return services.set_rule(**values)
