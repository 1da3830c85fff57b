from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Question, Reason, Sure, name_of, viewer_of
from config.kit.columns import DayFilter, YuanField, in_shanghai, in_yuan
from payments.payouts import bounces, files, payees, queries, services
from payments.payouts.models import Payee, Payout, PayoutEvent, PayoutFile
from payments.payouts.rules import PayeeStatus, Road, Status
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import StatementLine

FINANCE = "FINANCE"
ZERO = Decimal(0)
FORMS = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
SHOWN = 50  # lines to choose from; the latest are the likeliest
PAYEE_COLOURS = {"ASKED": "warning", "ACTIVE": "success", "DECLINED": "danger"}
COLOURS = {
    "ASKED": "warning", "APPROVED": "info", "SENDING": "info", "DONE": "success",
    "FAILED": "danger", "DECLINED": "danger", "BOUNCED": "danger",
}  # fmt: skip
EVENTS = {
    "ASKED": "申请", "APPROVED": "同意", "SENDING": "提交银行", "DONE": "已付款",
    "FAILED": "付款失败", "DECLINED": "未通过", "BOUNCED": "退汇",
}  # fmt: skip


def _waits(row: Payee | Payout) -> bool:
    return row.status in {PayeeStatus.ASKED, Status.ASKED}


def _in_a_file(row: Payout) -> bool:
    return row.road == Road.FILE and row.status == Status.SENDING


class Serial(Question):
    serial = forms.CharField(label="银行流水号", max_length=64)


class CameBack(Question):
    """Which line brought it back, and what a bank kept of it on the way."""

    line = forms.ChoiceField(label="退汇来账", help_text="付款账户收到的退汇，还没有人认领的")
    fee_fen = YuanField(
        label="银行扣费(元)",
        required=False,
        initial=0,
        min_value=ZERO,
        help_text="付出比退回多的金额，没有就填 0",
    )
    reason = forms.CharField(
        label="依据",
        max_length=200,
        widget=forms.Textarea({"rows": 3}),
        help_text="例如银行回单注明",
    )

    def prepare(self) -> None:
        self.fields["line"].choices = [  # type: ignore[attr-defined]
            (one.number, f"{in_shanghai(one.booked_at)}　{in_yuan(one.amount_fen)}　{_of(one)}")
            for one in bounces.candidates(self.row)[:SHOWN]
        ]


def _of(line: StatementLine) -> str:
    return "　".join(filter(None, [line.payer_name, line.remark, line.number]))


class FromAccount(Question):
    account = forms.ModelChoiceField(label="付款账户", queryset=ReceivingAccount.objects.none())

    def prepare(self) -> None:
        own = ReceivingAccount.objects.filter(merchant="").order_by("pk")
        self.fields["account"].queryset = own  # type: ignore[attr-defined]


class Checked(Look):
    """What one person asks for and another checks."""

    tenant_path = tenant_name_path = "merchant"
    role = act_role = FINANCE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.annotate(asker_name=name_of("asked_by"), checker_name=name_of("checked_by"))

    @display(description="申请人")
    def asker(self, row: Any) -> str:
        return getattr(row, "asker_name", None) or row.asked_by or "系统"

    @display(description="复核人")
    def checker(self, row: Any) -> str:
        return getattr(row, "checker_name", None) or row.checked_by or "—"


@admin.register(Payee)
class PayeeAdmin(Checked):
    colours = {"status": PAYEE_COLOURS}
    list_display = [
        "number", "status", "account_name", "account_no", "bank_name", "merchant", "pays_from",
    ]  # fmt: skip
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["number", "account_name", "account_no"]
    search_help_text = "编号、户名或账号"
    ordering = ["-asked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "status"),
                    ("account_name", "account_no", "bank_name"),
                    ("merchant", "pays_from"),
                    ("asker", "asked_at"),
                    ("checker", "checked_at", "reason"),
                ]
            },
        )
    ]
    actions_detail = ["approve", "decline"]
    offered = {"approve": _waits, "decline": _waits}

    def facts(self, row: Payee) -> Sequence[tuple[str, Any]]:
        return [
            ("户名", row.account_name),
            ("账号", row.account_no),
            ("开户行", row.bank_name),
            ("商家", row.merchant),
            ("申请人", self.asker(row)),
            ("申请时间", in_shanghai(row.asked_at)),
        ]

    @action(description="同意更换", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "请先按商家留存的电话核实。同意后从等待期满起，结算款付到这个账户。"
        return self._check(request, object_id, Sure, title="同意更换", lead=lead)

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._check(
            request, object_id, Reason, title="不同意更换", lead="仍用原来的收款账户。"
        )

    def _check(
        self, request: HttpRequest, object_id: str, question: type[Question], **page: Any
    ) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: Payee, answers: dict[str, Any]) -> None:
            reason = answers.get("reason", "")
            approve = question is Sure
            payees.check(payee=row, approve=approve, actor=actor, at=now(), reason=reason)

        return self.ask_about(request, object_id, question, act, **page)


class Events(Lines):
    model = PayoutEvent
    verbose_name_plural = "经过"
    fields = ["at", "kind", "actor"]
    words = {"kind": EVENTS}


@admin.register(Payout)
class PayoutAdmin(Checked):
    colours = {"status": COLOURS}
    list_display = [
        "number", "status", "amount_fen", "payee", "merchant", "asker", "asked_at", "failure",
    ]  # fmt: skip
    list_select_related = ["payee"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("road", ChoicesDropdownFilter),
        ("asked_at", DayFilter),
    ]
    search_fields = ["number", "serial", "payee__account_name", "file__number"]
    search_help_text = "付款单号、流水号、户名或文件编号"
    ordering = ["-asked_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "status", "amount_fen"),
                    ("payee", "merchant"),
                    ("asker", "asked_at"),
                    ("checker", "checked_at"),
                ]
            },
        ),
        (
            "付款",
            {
                "fields": [
                    ("road", "account_no", "file_no"),
                    ("sent_at", "chased_at"),
                    ("serial", "done_at", "failure"),
                ]
            },
        ),
    ]
    inlines = [Events]
    actions_detail = ["approve", "decline", "paid", "refused", "bounced"]
    offered = {
        "approve": _waits,
        "decline": _waits,
        "paid": _in_a_file,
        "refused": _in_a_file,
        "bounced": lambda row: row.status == Status.DONE,
    }

    @display(description="付款账户")
    def account_no(self, row: Payout) -> str:
        return row.account.account_no

    @display(description="批量付款文件")
    def file_no(self, row: Payout) -> str:
        return str(row.file or "—")

    def facts(self, row: Payout) -> Sequence[tuple[str, Any]]:
        standing = queries.standing(row.merchant)
        return [
            ("付款单", row.number),
            ("金额", in_yuan(row.amount_fen)),
            ("户名", row.payee.account_name),
            ("账号", row.payee.account_no),
            ("开户行", row.payee.bank_name),
            ("申请人", self.asker(row)),
            ("商家可用余额", in_yuan(standing.available_fen)),
        ]

    @action(description="同意付款", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "同意后立即提交银行（没有银行接口的进入下一个批量付款文件），不能撤回。"
        return self._check(request, object_id, Sure, title="同意付款", lead=lead)

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        lead = "这笔钱回到商家的可用余额。"
        return self._check(request, object_id, Reason, title="不同意付款", lead=lead)

    def _check(
        self, request: HttpRequest, object_id: str, question: type[Question], **page: Any
    ) -> HttpResponse:
        actor = viewer_of(request).number

        def act(row: Payout, answers: dict[str, Any]) -> None:
            reason = answers.get("reason", "")
            approve = question is Sure
            services.check(payout=row, approve=approve, actor=actor, at=now(), reason=reason)

        return self.ask_about(request, object_id, question, act, **page)

    @action(description="银行已付", icon="done_all", permissions=["platform"])
    def paid(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Serial,
            lambda row, said: files.confirm(
                payout=row, serial=said["serial"], actor=actor, at=now()
            ),
            title="银行已付",
            lead="按银行的付款结果填流水号。生成文件的人不能确认。",
        )

    @action(description="银行未付", icon="block", permissions=["platform"])
    def refused(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda row, said: files.refuse(
                payout=row, reason=said["reason"], actor=actor, at=now()
            ),
            title="银行未付",
            lead="银行的付款结果写明这一笔没有付出：钱回到商家的可用余额。生成文件的人不能确认。",
        )

    @action(description="已退汇", icon="undo", permissions=["platform"])
    def bounced(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The payee's bank sent it back: which of the lines that nobody has claimed brought it."""
        actor = viewer_of(request).number

        def lead(row: Payout) -> str:
            if not bounces.candidates(row).exists():
                return "付款账户还没有收到可能是它的退汇：等银行推送，或先上传退回那天的流水。"
            return "这笔钱回到商家的可用余额；银行扣的手续费由平台承担。"

        return self.ask_about(
            request,
            object_id,
            CameBack,
            lambda row, said: bounces.link(
                payout=row,
                line=StatementLine.objects.get(number=said["line"]),
                fee_fen=said["fee_fen"] or 0,
                reason=said["reason"],
                actor=actor,
                at=now(),
            ),
            title="已退汇",
            lead=lead,
        )

    def has_platform_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """A merchant's own finance does not say what the platform's bank did."""
        return viewer_of(request).is_platform


@admin.register(PayoutFile)
class PayoutFileAdmin(Look):
    """The platform's; a file is downloaded as often as it is wanted, and says always the same."""

    list_display = ["number", "account", "payouts_count", "total_fen", "made_at"]
    list_select_related = ["account"]
    list_filter = [("made_at", DayFilter)]
    search_fields = ["number"]
    ordering = ["-made_at", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("number", "account"),
                    ("payouts_count", "total_fen"),
                    ("made_by", "made_at"),
                ]
            },
        )
    ]
    actions_list = ["export"]
    actions_detail = ["download_xlsx", "download"]

    @action(description="生成付款文件", icon="upload_file", permissions=["act"])
    def export(self, request: HttpRequest) -> HttpResponse:
        return self.ask(
            request,
            FromAccount,
            lambda said: self.url_of("change", self._made(request, said["account"]).pk),
            title="生成付款文件",
            lead="待付款的单进入一个新文件，每笔只进一个文件。下载后在网银批量付款，付款结果由另一人确认。",
            back=self.url_of("changelist"),
        )

    def _made(self, request: HttpRequest, account: ReceivingAccount) -> PayoutFile:
        return files.export(account=account, actor=viewer_of(request).number, at=now())

    @action(description="下载 xlsx", icon="download", permissions=["act"])
    def download_xlsx(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._given(request, object_id, "xlsx", files.workbook)

    @action(description="下载 CSV", icon="csv", permissions=["act"])
    def download(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self._given(request, object_id, "csv", files.content)

    def _given(
        self, request: HttpRequest, object_id: str, form: str, made: Callable[[PayoutFile], bytes]
    ) -> HttpResponse:
        row = self.row_to_act_on(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)
        answer = HttpResponse(made(row), content_type=FORMS[form])
        answer["Content-Disposition"] = f'attachment; filename="payouts-{row.number}.{form}"'
        return answer
