from collections import Counter
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Question, Reason, viewer_of
from config.kit.columns import DayFilter, YuanField, in_shanghai, in_yuan, label
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount
from payments.transfers import desk, parsers, queries, returns, services
from payments.transfers.ladder.facts import Candidate
from payments.transfers.models import Allocation, LineEvent, Statement, StatementLine
from payments.transfers.rules import OPEN, StatementStatus, Verdict

FINANCE = "FINANCE"
VERDICT_COLOURS = {
    Verdict.MATCHED: "success",
    Verdict.SUGGESTED: "info",
    Verdict.UNMATCHED: "warning",
    Verdict.CONFLICT: "danger",
    Verdict.RETURNING: "info",
}
STATEMENT_COLOURS = {
    StatementStatus.RUNNING: "info",
    StatementStatus.DONE: "success",
    StatementStatus.REFUSED: "danger",
}
EVENTS = {
    **dict(Verdict.choices),
    "UNDONE": "撤销",
    "RETURN_ASKED": "申请退回",
    "RETURN_DECLINED": "退回未获同意",
    "RETURN_FAILED": "退回失败",
    "CONTRADICTED": "内容矛盾",
    "CONFIRMED": "流水已确认",
}
FACTS = {
    "rule": "规则", "version": "规则版本", "reason": "原因", "why": "原因", "was": "原结论",
    "serial": "银行流水号", "return": "退回单", "amount_fen": "金额", "left_fen": "还剩",
    "statement": "流水文件",
}  # fmt: skip


# --- statements ---------------------------------------------------------------------------------


class Upload(Question):
    file = forms.FileField(
        label="流水文件",
        help_text="银行 CSV、xlsx、xls、MT940、CAMT，微信与支付宝账单；最大 512 MB",
    )
    account_no = forms.ChoiceField(
        label="收款账户", required=False, help_text="文件里写明账号时不必选择"
    )

    def prepare(self) -> None:
        accounts = ReceivingAccount.objects.seen_by(viewer_of(self.request)).filter(is_active=True)
        self.fields["account_no"].choices = [  # type: ignore[attr-defined]
            ("", "由文件内容判断"),
            *((one.account_no, f"{one.account_no} {one.account_name}") for one in accounts),
        ]

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > parsers.MAX_BYTES:
            raise forms.ValidationError(str(parsers.FileTooLarge()))
        return file


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
                    "reason",
                    ("uploader", "uploaded_at", "imported_at"),
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
    actions_list = ["upload"]

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
            lead="文件按内容识别；读不懂、不是本店账户或已经导入过的文件会被拒绝并说明原因。",
            back=self.url_of("changelist"),
        )

    def _take(self, request: HttpRequest, answers: dict[str, Any]) -> str:
        person = viewer_of(request)
        statement = services.upload(
            file=answers["file"],
            filename=answers["file"].name or "",
            account_no=answers["account_no"],
            tenants=person.tenants(FINANCE),
            uploaded_by_id=person.pk,
            at=now(),
        )
        self.log_addition(request, statement, "上传")
        return self.url_of("change", statement.pk)


# --- lines --------------------------------------------------------------------------------------

ROWS = 3  # payments that one line may be shared between on the page; the API takes more


class Assign(Question):
    """Payment numbers with amounts; the first one takes the whole line unless said otherwise."""

    def prepare(self) -> None:
        chosen = self.request.GET.get("payment", "")
        for n in range(1, ROWS + 1):
            number = forms.CharField(label=f"支付单 {n}", max_length=24, required=n == 1)
            yuan = YuanField(label=f"金额 {n}（元）", required=n == 1)
            if n == 1:
                number.initial, yuan.initial = chosen, queries.left_fen(self.row)
            self.fields[f"number_{n}"], self.fields[f"fen_{n}"] = number, yuan
        self.fields["reason"] = forms.CharField(label="说明", max_length=200, required=False)

    def clean(self) -> dict[str, Any]:
        given = [
            (self.cleaned_data.get(f"number_{n}"), self.cleaned_data.get(f"fen_{n}"))
            for n in range(1, ROWS + 1)
        ]
        shares = {number.strip().upper(): fen for number, fen in given if number and fen}
        if len(shares) != sum(bool(number or fen) for number, fen in given):
            raise forms.ValidationError("每张支付单填写一次，并填写金额")
        return {**self.cleaned_data, "shares": shares}


class Optional(Question):
    reason = forms.CharField(label="说明", max_length=200, required=False)


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
        facts = dict(event.facts)
        shares = [f"{number} {in_yuan(fen)}" for number, fen in facts.pop("payments", {}).items()]
        others = [
            f"{FACTS.get(key, key)} {in_yuan(x) if key.endswith('_fen') else EVENTS.get(x, x)}"
            for key, x in facts.items()
            if x
        ]
        return "，".join([*shares, *others]) or "—"


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
                    ("number", "verdict", "rule"),
                    ("amount_fen", "currency", "booked_at"),
                    ("payer_name", "payer_account", "payer_bank"),
                    "remark",
                    "reasons",
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
                    ("reverses", "returned_fen", "stored_at"),
                ]
            },
        ),
    ]
    inlines = [Allocations, Events]
    change_form_outer_before_template = "admin/payments/line_candidates.html"
    actions_list = ["queue"]
    actions_detail = ["assign", "give_back", "ignore", "undo"]
    offered = {
        "assign": lambda line: queries.actions(line)["match"],
        "give_back": lambda line: queries.actions(line)["return"],
        "ignore": lambda line: queries.actions(line)["ignore"],
        "undo": lambda line: queries.actions(line)["undo"],
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[StatementLine]:
        return super().get_queryset(request).select_related("receiving_account")

    @display(description="附言")
    def short_remark(self, line: StatementLine) -> str:
        return line.remark if len(line.remark) <= 24 else f"{line.remark[:24]}…"

    def facts(self, row: StatementLine) -> Sequence[tuple[str, Any]]:
        return [
            ("来账编号", row.number),
            ("结论", _verdict(row)),
            ("金额", in_yuan(row.amount_fen)),
            ("付款人", row.payer_name or "—"),
            ("付款账号", row.payer_account or "—"),
            ("附言", row.remark or "—"),
            ("入账时间", in_shanghai(row.booked_at)),
            ("收款账户", row.receiving_account.account_no),
            *(("理由", reason) for reason in row.reasons),
        ]

    # --- what a person decides ------------------------------------------------------------------

    @action(description="核销", icon="done_all", permissions=["act"])
    def assign(self, request: HttpRequest, object_id: str) -> HttpResponse:
        person = viewer_of(request)
        return self.ask_about(
            request,
            object_id,
            Assign,
            lambda line, answers: desk.assign(
                line=line,
                shares=answers["shares"],
                payments=queries.assignable(person),
                actor=person.number,
                at=now(),
            ),
            title="核销来账",
            lead="可以只分配一部分，余下的继续等待；超出应付的部分自动转为应退款。",
            template="admin/payments/assign.html",
            candidates=lambda line: ranked(request, [line], live=True)[line.pk],
            line=lambda line: line,
            may=queries.actions,
            live=True,
        )

    @action(description="原路退回", icon="undo", permissions=["act"])
    def give_back(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda line, answers: returns.give_back(
                line=line, reason=answers["reason"], actor=actor, at=now()
            ),
            title="原路退回",
            lead="款项退回付款人的原账户，提交银行后不能撤回。",
        )

    @action(description="不处理", icon="block", permissions=["act"])
    def ignore(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda line, answers: desk.ignore(
                line=line, reason=answers["reason"], actor=actor, at=now()
            ),
            title="标记为不处理",
            lead="这笔钱不是买家付款；已记账的金额留在待核销科目，可以撤销。",
        )

    @action(description="撤销", icon="history", permissions=["act"])
    def undo(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda line, _: desk.undo(line=line, actor=actor, at=now()),
            title="撤销处理",
            lead="核销会用相反的分录冲回，订单回到待付款；已发货或已退款的不能撤销。",
        )

    # --- what waits for a person ----------------------------------------------------------------

    @action(description="待处理流水", icon="inbox", permissions=["act"])
    def queue(self, request: HttpRequest) -> HttpResponse:
        """The oldest first, each beside the payments that it may be for."""
        waiting = self.rows_of(StatementLine.objects.filter(verdict__in=OPEN), request, FINANCE)
        counts = Counter(waiting.order_by().values_list("verdict", flat=True))
        chosen = request.GET.get("verdict", "")
        if chosen in OPEN:
            waiting = waiting.filter(verdict=chosen)
        rows = waiting.select_related("receiving_account").order_by("booked_at", "pk")
        page = Paginator(rows, 20).get_page(request.GET.get("page"))
        lines = list(page.object_list)
        candidates = ranked(request, lines)
        context = {
            **self.admin_site.each_context(request),
            "title": "待处理流水",
            "page": page,
            "chosen": chosen,
            "tabs": [(verdict, verdict.label, counts[verdict]) for verdict in OPEN],
            "total": sum(counts.values()),
            "waiting": [
                {
                    "line": one,
                    "amount": in_yuan(one.amount_fen),
                    "booked": in_shanghai(one.booked_at),
                    "verdict": _verdict(one),
                    "may": queries.actions(one),
                    "candidates": candidates[one.pk],
                }
                for one in lines
            ],
        }
        return TemplateResponse(request, "admin/payments/queue.html", context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        line = self.get_object(request, object_id) if object_id else None
        extra = dict(extra_context or {})
        if line is not None and line.verdict in OPEN:
            may_act = self.rows_of(StatementLine.objects.filter(pk=line.pk), request, FINANCE)
            extra |= {
                "line": line,
                "live": True,
                "may": queries.actions(line) if may_act.exists() else {},
                "candidates": ranked(request, [line], live=True)[line.pk],
            }
        return super().changeform_view(request, object_id, form_url, extra)


def _verdict(line: StatementLine) -> str:
    return label(line.get_verdict_display(), VERDICT_COLOURS.get(Verdict(line.verdict), ""))


def ranked(
    request: HttpRequest, lines: Sequence[StatementLine], *, live: bool = False
) -> dict[int, list[dict[str, Any]]]:
    """By line key, the payments it may be for that this person may see, the likeliest first.

    `live` asks anew what is unpaid now (a few queries a line), else what the judge noted (one).
    """
    found = {
        line.pk: queries.candidates(line) if live else [Candidate(**one) for one in line.candidates]
        for line in lines
    }
    numbers = {one.payment for candidates in found.values() for one in candidates}
    seen = queries.assignable(viewer_of(request)).filter(number__in=numbers).select_related("payer")
    payments: dict[str, Payment] = {row.number: row for row in seen}
    return {
        pk: [
            {
                "payment": payments[one.payment],
                "left": in_yuan(payments[one.payment].outstanding_fen),
                "score": one.score,
                "why": "；".join(filter(None, (one.why, one.why_not))),
            }
            for one in sorted(candidates, key=lambda one: -one.score)
            if one.payment in payments
        ]
        for pk, candidates in found.items()
    }
