from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Look, Question, Reason, Sure, name_of, viewer_of
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from payments.transfers import by_hand, queries
from payments.transfers.models_by_hand import ByHand
from payments.transfers.rules import HandStatus
from payments.transfers.words import HAND_COLOURS

FINANCE = "FINANCE"


class Entered(Question):
    """Which payout was made, and which booking proves it."""

    payout = forms.CharField(
        label="退款单、退回单或来账",
        max_length=24,
        help_text="退回失败的退款单（R…）或退回单（T…）；没法线上退回的，填来账编号（L…）",
    )
    booked = forms.CharField(
        label="付出的银行流水号",
        max_length=160,
        help_text="网银里那笔付出的流水号，或它在流水里的来账编号；流水要先上传",
    )
    reason = forms.CharField(
        label="说明", max_length=200, help_text="为什么不走系统退款，例如：客户已销户，改付新账户"
    )

    def prepare(self) -> None:
        self.fields["payout"].initial = self.request.GET.get("payout", "")
        for name in ("payout", "booked"):
            self.fields[name].widget.attrs |= {"autocomplete": "off"}


@admin.register(ByHand)
class ByHandAdmin(Look):
    """Money that clerks paid back in net banking; one says so, another confirms it."""

    tenant_path = "booking__receiving_account__merchant"
    role = act_role = FINANCE
    colours = {"status": HAND_COLOURS}
    list_display = ["payout", "status", "amount", "payee", "booking", "asker", "asked_at"]
    list_filter = [("status", ChoicesDropdownFilter), ("asked_at", DayFilter)]
    search_fields = ["line_return__number", "refund__number", "booking__number", "booking__serial"]
    search_help_text = "退款单号、退回单号、来账编号或银行流水号"
    ordering = ["-asked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("payout", "status", "amount"),
                    ("line_return", "refund"),
                    ("booking", "payee"),
                    "reason",
                    ("asker", "asked_at"),
                    ("checker", "checked_at"),
                ]
            },
        )
    ]
    actions_list = ["enter"]
    actions_detail = ["approve", "decline"]
    offered = {
        "approve": lambda row: row.status == HandStatus.ASKED,
        "decline": lambda row: row.status == HandStatus.ASKED,
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[ByHand]:
        rows = super().get_queryset(request)
        rows = rows.select_related("booking", "line_return__line", "refund__payment")
        return rows.annotate(asker_name=name_of("asked_by"), checker_name=name_of("checked_by"))

    @display(description="退款单号")
    def payout(self, row: ByHand) -> str:
        return row.payout

    @display(description="金额")
    def amount(self, row: ByHand) -> str:
        return in_yuan(-row.booking.amount_fen)

    @display(description="收款人")
    def payee(self, row: ByHand) -> str:
        return f"{row.booking.payer_name} {row.booking.payer_account}".strip() or "—"

    @display(description="登记人")
    def asker(self, row: ByHand) -> str:
        return getattr(row, "asker_name", None) or row.asked_by

    @display(description="复核人")
    def checker(self, row: ByHand) -> str:
        return getattr(row, "checker_name", None) or row.checked_by or "—"

    def facts(self, row: ByHand) -> Sequence[tuple[str, Any]]:
        of_line = row.line_return.line if row.line_return else None
        paid_by = f"{of_line.payer_name} {of_line.payer_account}".strip() if of_line else ""
        return [
            ("退款单号", row.payout),
            ("金额", self.amount(row)),
            ("付款人", paid_by or (row.refund.payment.reference if row.refund else "—")),
            ("付出流水", row.booking.serial or row.booking.number),
            ("付给", self.payee(row)),
            ("付出时间", in_shanghai(row.booking.booked_at)),
            ("附言", row.booking.remark or "—"),
            ("说明", row.reason or "—"),
            ("登记人", self.asker(row)),
        ]

    @action(description="登记已在网银退款", icon="add", permissions=["act"])
    def enter(self, request: HttpRequest) -> HttpResponse:
        person = viewer_of(request)

        def act(answers: dict[str, Any]) -> str:
            said = by_hand.Said(
                payout=answers["payout"].strip().upper(),
                booked=answers["booked"].strip(),
                lines=queries.lines(person),
                reason=answers["reason"],
                actor=person.number,
                at=now(),
            )
            made = by_hand.enter(
                said=said, returned=queries.returns(person), refunded=queries.refunds(person)
            )
            return self.url_of("change", made.pk)

        lead = "系统不会再向银行提交这笔退款。另一位同事确认后才算退回；不同意的回到登记前的样子。"
        back = self.url_of("changelist")
        return self.ask(request, Entered, act, title="登记已在网银退款", back=back, lead=lead)

    @action(description="确认已退", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "请在网银里看到这笔付出再确认。确认后退款完成，不能撤回。"
        return self._check(request, object_id, Sure, title="确认已在网银退款", lead=lead)

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "退款回到“退回失败”（来账回到待处理），这笔付出可以重新登记。"
        return self._check(request, object_id, Reason, title="不同意", lead=lead)

    def _check(
        self, request: HttpRequest, object_id: str, question: type[Question], **page: Any
    ) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: ByHand, answers: dict[str, Any]) -> None:
            by_hand.check(
                asked=row,
                approve=question is Sure,
                actor=actor,
                at=now(),
                reason=answers.get("reason", ""),
            )

        return self.ask_about(request, object_id, question, act, **page)
