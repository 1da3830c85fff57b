from collections.abc import Sequence
from typing import Any, cast

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from config.kit.admin import Lines, Look, Question, viewer_of
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from config.kit.errors import Refusal
from payments.receiving.models import ReceivingAccount
from payments.transfers import admin_columns, parsers, queries, services, words, workbench
from payments.transfers.acts import ACTS
from payments.transfers.models import Allocation, LineEvent, Statement, StatementLine
from payments.transfers.sight import Sight
from payments.transfers.words import EVENTS, STATEMENT_COLOURS, VERDICT_COLOURS, told

FINANCE = "FINANCE"


# --- statements ---------------------------------------------------------------------------------


class Upload(Question):
    file = forms.FileField(
        label="流水文件",
        widget=UnfoldAdminFileFieldWidget,
        help_text="银行 CSV、xlsx、xls、MT940、CAMT，微信与支付宝账单；最大 512 MB",
    )
    account_no = forms.ChoiceField(
        label="收款账户", required=False, help_text="文件里写明账号时不必选择"
    )

    def prepare(self) -> None:
        accounts = ReceivingAccount.objects.seen_by(viewer_of(self.request)).order_by("account_no")
        self.fields["account_no"].choices = [  # type: ignore[attr-defined]
            ("", "由文件内容判断"),
            *((one.account_no, f"{one.account_no} {one.account_name}") for one in accounts),
        ]
        self.fields["account_no"].initial = self.request.GET.get("account_no", "")

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > parsers.MAX_BYTES:
            raise forms.ValidationError(str(parsers.FileTooLarge()))
        return file

    def clean(self) -> dict[str, Any]:
        """Examined here and not when it is kept: a file that is refused must leave its trace."""
        answers = super().clean() or self.cleaned_data
        if {"file", "account_no"} <= answers.keys():
            person, file = viewer_of(self.request), answers["file"]
            try:
                answers["account"] = services.examine(
                    file=file,
                    filename=file.name or "",
                    account_no=answers["account_no"],
                    tenants=person.tenants(FINANCE),
                    uploaded_by_id=person.pk,
                    at=now(),
                )
            except Refusal as refusal:
                left = refusal.details.get("statement")
                said = f"{refusal}（已记为被拒绝的流水文件 {left}）" if left else str(refusal)
                raise forms.ValidationError(said) from refusal
        return answers


@admin.register(Statement)
class StatementAdmin(Look):
    tenant_path = "receiving_account__merchant"
    role = act_role = FINANCE
    colours = {"status": STATEMENT_COLOURS}
    list_display = [
        "number", "status", "receiving_account", "credits_fen", "lines", "matched", "waiting",
        "duplicates", "uploaded_at",
    ]  # fmt: skip
    list_select_related = ["receiving_account"]
    list_filter = [("status", ChoicesDropdownFilter), ("uploaded_at", DayFilter)]
    search_fields = ["number", "filename", "receiving_account__account_no"]
    search_help_text = "文件号、文件名或账号"
    ordering = ["-uploaded_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "status"),
                    ("receiving_account", "filename"),
                    ("reason", "broken_row"),
                    ("uploader", "uploaded_at", "imported_at", "confirmed_at"),
                ]
            },
        ),
        (
            "结果",
            {
                "fields": [
                    ("lines", "credits", "credits_fen"),
                    ("matched", "suggested", "unmatched"),
                    ("duplicates", "ignored"),
                ]
            },
        ),
    ]
    change_form_outer_before_template = "admin/payments/statement_result.html"
    actions_list = ["upload", "map_columns"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Statement]:
        rows = super().get_queryset(request)
        return rows.select_related("receiving_account", "uploaded_by")

    @display(description="待人工")
    def waiting(self, statement: Statement) -> str:
        return str(statement.suggested + statement.unmatched)

    @display(description="上传人")
    def uploader(self, statement: Statement) -> str:
        return str(statement.uploaded_by or "银行接口")

    @action(description="上传银行流水", icon="upload_file", permissions=["act"])
    def upload(self, request: HttpRequest) -> HttpResponse:
        return self.ask(
            request,
            Upload,
            lambda answers: self._take(request, answers),
            title="上传银行流水",
            verb="上传",
            lead=format_html(
                "文件按内容识别；读不懂、不是本店账户或已经导入过的文件会被拒绝并说明原因。"
                '不认识的表格先做一次<a class="text-link" href="{}">列对照</a>。',
                reverse("admin:payments_statement_map_columns"),
            ),
            back=self.url_of("changelist"),
        )

    @action(description="列对照", icon="view_column", permissions=["act"])
    def map_columns(self, request: HttpRequest) -> HttpResponse:
        """What the columns of a table mean that no bank module knows."""
        return admin_columns.show(self, request)

    def _take(self, request: HttpRequest, answers: dict[str, Any]) -> str:
        statement = services.keep(
            file=answers["file"],
            filename=answers["file"].name or "",
            account=answers["account"],
            uploaded_by_id=viewer_of(request).pk,
            at=now(),
        )
        self.log_addition(request, statement, "上传")
        return self.url_of("change", statement.pk)


# --- lines --------------------------------------------------------------------------------------


class Allocations(Lines):
    model = Allocation
    verbose_name_plural = "核销到"
    fields = ["payment", "order", "amount_fen", "made_at", "undone_at"]
    with_related = ["payment"]

    @display(description="业务单号")
    def order(self, allocation: Allocation) -> str:
        return allocation.payment.reference


class Events(Lines):
    model = LineEvent
    verbose_name_plural = "经过"
    fields = ["at", "kind", "actor", "told"]
    words = {"kind": EVENTS}

    @display(description="内容")
    def told(self, event: LineEvent) -> str:
        return told(event)


def _sight(line: StatementLine) -> Sight:
    """What `get_object` found that the person on this page may read."""
    return cast(Sight, line.sight)  # type: ignore[attr-defined]


@admin.register(StatementLine)
class StatementLineAdmin(Look):
    tenant_path = "receiving_account__merchant"
    role = act_role = FINANCE
    colours = {"verdict": VERDICT_COLOURS}
    list_display = [
        "number", "verdict", "amount_fen", "payer_name", "short_remark", "rule", "booked_at",
        "receiving_account",
    ]  # fmt: skip
    list_select_related = ["receiving_account"]
    list_filter = [("verdict", ChoicesDropdownFilter), ("booked_at", DayFilter)]
    search_fields = ["number", "serial", "payer_name", "payer_account", "remark"]
    search_help_text = "来账编号、流水号、付款人、账号或附言"
    ordering = ["-booked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "verdict"),
                    ("rule", "rule_version"),
                    ("amount_fen", "currency", "booked_at"),
                    ("payer_name", "payer_account", "payer_bank"),
                    "remark",
                    "why",
                    "basis",
                    "caution",
                ]
            },
        ),
        (
            "银行记录",
            {
                "fields": [
                    ("receiving_account", "virtual_account", "serial"),
                    ("statement", "is_posted", "is_reversal"),
                    ("returned_fen", "set_aside_fen"),
                    ("reverses", "stored_at"),
                ]
            },
        ),
    ]
    inlines = [Allocations, Events]
    change_form_outer_before_template = "admin/payments/line_ahead.html"
    actions_list = ["queue"]
    actions_detail = ["assign", "give_back", "ignore", "take_in", "undo", "note"]
    offered = {
        "assign": lambda line: queries.actions(line)["match"],
        "give_back": lambda line: queries.actions(line)["return"],
        "ignore": lambda line: queries.actions(line)["ignore"],
        "undo": lambda line: queries.actions(line)["undo"],
        "take_in": lambda line: queries.actions(line)["take_in"],
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[StatementLine]:
        return super().get_queryset(request).select_related("receiving_account")

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> StatementLine | None:
        """With `sight`: what this person may read of it."""
        line = super().get_object(request, object_id, from_field)
        if line is not None:
            line.sight = queries.sight([line], viewer_of(request))
        return line

    @display(description="理由")
    def why(self, line: StatementLine) -> str:
        return "；".join(_sight(line).reasons(line)) or "—"

    @display(description="依据")
    def basis(self, line: StatementLine) -> str:
        seen = words.basis(_sight(line).facts(line))
        return "，".join(f"{name} {value}" for name, value in seen) or "—"

    @display(description="附言")
    def short_remark(self, line: StatementLine) -> str:
        return line.remark if len(line.remark) <= 24 else f"{line.remark[:24]}…"

    def facts(self, row: StatementLine) -> Sequence[tuple[str, Any]]:
        return [
            ("来账编号", row.number),
            ("结论", workbench.verdict_label(row)),
            ("金额", in_yuan(row.amount_fen)),
            ("付款人", row.payer_name or "—"),
            ("付款账号", row.payer_account or "—"),
            ("附言", row.remark or "—"),
            ("入账时间", in_shanghai(row.booked_at)),
            ("收款账户", row.receiving_account.account_no),
            *(("理由", reason) for reason in _sight(row).reasons(row)),
        ]

    # --- what a person decides ------------------------------------------------------------------

    @action(description="核销", icon="done_all", permissions=["act"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "split", template="admin/payments/assign.html")

    @action(description="原路退回", icon="undo", permissions=["act"])
    def give_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "return")

    @action(description="不处理", icon="block", permissions=["act"])
    def ignore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "ignore")

    @action(description="撤销", icon="history", permissions=["act"])
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "undo")

    @action(description="作为来账处理", icon="add_card", permissions=["act"])
    def take_in(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "take_in")

    @action(description="备注", icon="edit_note", permissions=["act"])
    def note(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._decide(request, object_id, "note")

    def _decide(self, request: HttpRequest, object_id: str, name: str, **page: Any) -> HttpResponse:
        act, person = ACTS[name], viewer_of(request)
        return self.ask_about(
            request,
            object_id,
            act.question,
            lambda line, answers: act.do(line, answers, person, now()),
            title=act.title,
            verb=act.verb,
            lead=act.lead,
            **page,
        )

    @action(description="待处理流水", icon="inbox", permissions=["act"])
    def queue(self, request: HttpRequest) -> HttpResponse:
        return workbench.show(self, request)
