from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.validators import MaxValueValidator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminSelectWidget

from config.kit.admin import Edit, Look, name_of
from config.kit.columns import in_shanghai
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.receiving.rules import CODES, CODES_HALF_USED, COLUMN_ROLES, VirtualState

FINANCE = "FINANCE"
MOST_MISSING = 20  # days told on an account's page
LONGEST_REST = 3_650  # days
# What a person has to weigh before changing it.
HELP = {
    "gives": "每笔支付一个：金额与订单一一对应，号码用得快。"
    "每位买家一个：老客户总用同一个账号，须按金额区分订单",
    "quarantine_days": "支付结束后，这个号码多少天内不给别人；期间迟到的款仍归原订单。建议 180",
    "is_capped": "请银行拒收超过应付金额的转账。需要银行支持，没有银行接口时不起作用",
    "is_payer_bound": "老客户一直只用一个账户付款的，请银行这次也只收那个账户的钱；"
    "买家在支付单上看得到尾号，要换账户可自己放开。只用于“每笔支付一个”的专属账号；需要银行支持，没有银行接口时不起作用",
    "is_active": "取消后新的支付单不再用这个账户；已开的支付单、买家存下的专属账号仍会来钱，"
    "所以流水照常上传、推送和取回",
    "merchant": "商家编号；留空为平台账户",
}


def _in_words(names: Any) -> Any:
    if isinstance(names, tuple):
        return tuple(_in_words(name) for name in names)
    return "interface" if names == "provider" else names


def _end(lost: Any) -> str:
    """What became of a missing day; with `person`, the name of who closed it."""
    if lost.fetched_at is None:
        return f"最近尝试 {in_shanghai(lost.tried_at)}"
    when = in_shanghai(lost.fetched_at)
    return f"{lost.person or lost.closed_by}上传的流水 {lost.statement} 已补上，{when}"


@admin.register(ReceivingAccount)
class ReceivingAccountAdmin(Edit):
    """Which accounts are ours is the platform's word."""

    tenant_path = "merchant"
    role = FINANCE
    list_display = ["account_no", "account_name", "bank_name", "provider", "merchant", "is_active"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("account_no", "account_name"),
                    ("bank_name", "provider"),
                    ("merchant", "is_active"),
                ]
            },
        ),
        ("专属账号", {"fields": [("gives", "quarantine_days"), ("is_capped", "is_payer_bound")]}),
        ("核对码", {"fields": ["codes"]}),
        ("流水", {"fields": ["pulled_until", "missing", "mapped"]}),
    ]
    editable = [
        *("account_name", "bank_name", "provider", "is_active"),
        *("gives", "quarantine_days", "is_capped", "is_payer_bound"),
    ]
    addable = [
        *("account_no", "account_name", "bank_name", "provider", "merchant"),
        *("gives", "quarantine_days", "is_capped", "is_payer_bound"),
    ]
    tenant_columns = ()
    search_fields = ["account_no", "account_name"]
    ordering = ["account_no"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        field = super().formfield_for_dbfield(db_field, request, **more)
        if db_field.name == "provider":
            known = [(name, name) for name in sorted(settings.BANK_PROVIDERS)]
            choices = [("", "无（只导入流水）"), *known]
            return forms.ChoiceField(
                label="银行接口",
                choices=choices,
                required=False,
                widget=UnfoldAdminSelectWidget,
            )
        if db_field.name in HELP:
            field.help_text = HELP[db_field.name]
        if db_field.name == "gives":
            field.label = "分配方式"
        if db_field.name == "quarantine_days":
            field.validators.append(MaxValueValidator(LONGEST_REST))
        return field

    def get_form(self, request: HttpRequest, obj: Any = None, **more: Any) -> Any:
        """An interface that is not configured here stays: leaving the page must not drop it."""
        form = super().get_form(request, obj, **more)
        field = form.base_fields.get("provider")
        if field is not None and obj is not None and obj.provider not in dict(field.choices):
            field.choices = [*field.choices, (obj.provider, f"{obj.provider}（未配置）")]
        return form

    def named_fields(self, request: HttpRequest, obj: Any) -> Any:
        """Who only reads is told in words what the platform sets."""
        named = super().named_fields(request, obj)
        if "provider" in self.typed(request, obj):
            return named
        return [
            (title, {"fields": [_in_words(names) for names in options["fields"]]})
            for title, options in named
        ]

    @display(description="银行接口")
    def interface(self, account: ReceivingAccount) -> str:
        return account.provider or "无（只导入流水）"

    @display(description="在用核对码")
    def codes(self, account: ReceivingAccount) -> str:
        told = f"{account.codes_in_use:,} / {CODES:,}（每小时清点一次）"
        if account.codes_in_use < CODES_HALF_USED:
            return told
        return f"{told}　已过半：请增开收款账户，或开通银行专属账号"

    @display(description="未取到的流水")
    def missing(self, account: ReceivingAccount) -> str:
        """Days that the bank did not give, or gave in a way that we refused; newest first.

        Those that somebody's own upload has closed say whose.
        """
        lost = account.missing_days.filter(Q(fetched_at=None) | ~Q(closed_by=""))
        lost = lost.annotate(person=name_of("closed_by")).order_by("-day")[:MOST_MISSING]
        told = [(f"{one.day}", one.reason, _end(one)) for one in lost]
        if not told:
            return "没有"
        return format_html_join("", "<div>{}：{}（{}）</div>", told)

    @display(description="列对照")
    def mapped(self, account: ReceivingAccount) -> str:
        """Role and header text, as a person said it of a bank's table that we do not know."""
        said = [
            (COLUMN_ROLES.get(role.rstrip("0123456789"), role).partition("（")[0], name)
            for role, name in account.columns.items()
        ]
        told = format_html_join("，", "{} = {}", said) if said else "没有（已知格式不需要）"
        return format_html(
            '{}　<a class="text-link" href="{}?account_no={}">{}</a>',
            told,
            reverse("admin:payments_statement_map_columns"),
            account.account_no,
            "重新对照" if said else "设置",
        )

    def keep(self, request: HttpRequest, row: ReceivingAccount, values: dict[str, Any]) -> None:
        ReceivingAccount.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> ReceivingAccount:
        return ReceivingAccount.objects.create(**values)


@admin.register(VirtualAccount)
class VirtualAccountAdmin(Look):
    tenant_path = "receiving_account__merchant"
    role = FINANCE
    colours = {
        "state": {
            VirtualState.FREE: "",
            VirtualState.ASSIGNED: "info",
            VirtualState.RESTING: "warning",
        }
    }
    list_display = ["number", "state", "member", "rests_until", "cap_fen", "receiving_account"]
    list_select_related = ["receiving_account", "member"]
    list_filter = [("state", ChoicesDropdownFilter)]
    fields = [
        *("number", "state", "receiving_account", "member", "rests_until"),
        *("cap_fen", "payer_account", "limit_asked_at"),
    ]
    search_fields = ["number"]
    ordering = ["-pk"]


class SaidPaid(admin.SimpleListFilter):
    title = "买家称已转账"
    parameter_name = "said_paid"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("1", "未见来账")]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[TransferIntent]
    ) -> QuerySet[TransferIntent]:
        if self.value() != "1":
            return queryset
        said = TransferIntent.objects.said_paid(now())
        return queryset.filter(pk__in=said.values("pk"))


@admin.register(TransferIntent)
class TransferIntentAdmin(Look):
    tenant_path = "payment__merchant"
    role = FINANCE
    list_display = [
        *("code", "virtual_account", "payment", "receiving_account", "assigned_at", "hinted_at"),
    ]
    list_filter = [SaidPaid]
    list_select_related = ["payment", "virtual_account", "receiving_account"]
    fields = [
        *("code", "virtual_account", "payment", "receiving_account", "assigned_at"),
        *("is_shared", "released_at", "hinted_at", "payer_account"),
        *("code_released_at", "is_code_again"),
    ]
    search_fields = ["code", "virtual_account__number", "payment__number", "payment__reference"]
    search_help_text = "核对码、专属账号、支付单号或订单号"
    ordering = ["-pk"]
