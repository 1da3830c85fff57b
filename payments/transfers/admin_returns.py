from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Look, Question, Reason, Sure, name_of, viewer_of
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from payments.transfers import returns
from payments.transfers.models import LineReturn
from payments.transfers.models_by_hand import ByHand
from payments.transfers.rules import ReturnStatus
from payments.transfers.words import RETURN_COLOURS
from payments.transfers.workbench import ago

FINANCE = "FINANCE"
SHOWN = 100  # returns on the page of those that wait; the oldest first


def _waits_here(row: LineReturn) -> bool:
    """What was paid in net banking is checked on its own page."""
    is_by_hand = ByHand.objects.filter(line_return=row)
    return row.status == ReturnStatus.ASKED and not is_by_hand.exists()


@admin.register(LineReturn)
class LineReturnAdmin(Look):
    """Money on its way back to a payer; large amounts wait for a second person."""

    tenant_path = "line__receiving_account__merchant"
    role = act_role = FINANCE
    colours = {"status": RETURN_COLOURS}
    list_display = ["number", "status", "amount_fen", "payer", "reason", "asker", "asked_at"]
    list_select_related = ["line"]
    list_filter = [("status", ChoicesDropdownFilter), ("asked_at", DayFilter)]
    search_fields = ["number", "serial", "line__number", "line__payer_name"]
    search_help_text = "退回单号、流水号、来账编号或付款人"
    ordering = ["-asked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "status", "amount_fen"),
                    ("line", "payer"),
                    "reason",
                    ("asker", "asked_at"),
                    ("checker", "sent_at", "chased_at"),
                    ("serial", "done_at", "failure"),
                ]
            },
        )
    ]
    actions_list = ["checks"]
    actions_detail = ["approve", "decline"]
    offered = {
        "approve": _waits_here,
        "decline": _waits_here,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[LineReturn]:
        rows = super().get_queryset(request).select_related("line")
        return rows.annotate(asker_name=name_of("asked_by"), checker_name=name_of("checked_by"))

    @display(description="付款人")
    def payer(self, row: LineReturn) -> str:
        return f"{row.line.payer_name} {row.line.payer_account}".strip()

    @display(description="申请人")
    def asker(self, row: LineReturn) -> str:
        return getattr(row, "asker_name", None) or row.asked_by

    @display(description="复核人")
    def checker(self, row: LineReturn) -> str:
        return getattr(row, "checker_name", None) or row.checked_by or "—"

    def facts(self, row: LineReturn) -> Sequence[tuple[str, Any]]:
        return [
            ("退回单", row.number),
            ("退回金额", in_yuan(row.amount_fen)),
            ("来账金额", in_yuan(row.line.amount_fen)),
            ("付款人", row.line.payer_name or "—"),
            ("退回账号", row.line.payer_account),
            ("附言", row.line.remark or "—"),
            ("原因", row.reason or "—"),
            ("申请人", self.asker(row)),
            ("申请时间", in_shanghai(row.asked_at)),
        ]

    @action(description="同意退回", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "同意后立即提交银行，款项退回付款人的原账户，不能撤回。"
        return self._check(request, object_id, Sure, title="同意退回", lead=lead)

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "这笔钱回到待处理流水，原因会写在来账上。"
        return self._check(request, object_id, Reason, title="不同意退回", lead=lead)

    def _check(
        self, request: HttpRequest, object_id: str, question: type[Question], **page: Any
    ) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: LineReturn, answers: dict[str, Any]) -> str:
            returns.check(
                asked=row,
                approve=question is Sure,
                actor=actor,
                at=now(),
                reason=answers.get("reason", ""),
            )
            return self.url_of("checks")

        return self.ask_about(request, object_id, question, act, **page)

    @action(description="待复核退回", icon="rule", permissions=["act"])
    def checks(self, request: HttpRequest) -> HttpResponse:
        """What waits for a second person; one's own is shown, and why it cannot be checked."""
        actor, at = viewer_of(request).number, now()
        rows = self.get_queryset(request).select_related("line__receiving_account")
        here = rows.filter(status=ReturnStatus.ASKED, by_hand=None)
        waiting = here.order_by("asked_at", "pk")[:SHOWN]
        context = {
            **self.admin_site.each_context(request),
            "title": "待复核退回",
            "is_fullwidth": "1",
            "waiting": [
                {
                    "row": row,
                    "line": row.line,
                    "amount": in_yuan(row.amount_fen),
                    "whole": in_yuan(row.line.amount_fen),
                    "is_part": row.amount_fen != row.line.amount_fen,
                    "asker": self.asker(row),
                    "asked": in_shanghai(row.asked_at),
                    "age": ago(row.asked_at, at),
                    "is_own": row.asked_by == actor,
                }
                for row in waiting
            ],
        }
        return TemplateResponse(request, "admin/payments/checks.html", context)
