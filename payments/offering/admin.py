from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html_join
from django.utils.module_loading import import_string
from django.utils.safestring import SafeString
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminSelectWidget

from config.kit.admin import Edit, Lines, name_of, viewer_of
from config.kit.columns import in_yuan
from payments.offering import services
from payments.offering.models import SETTABLE, MethodRule, MethodRuleEvent
from payments.offering.rules import TITLES, Client, Status, title_of

COLOURS = {Status.OFFERED: "success", Status.WITHHELD: "warning", Status.VOID: ""}
KINDS = {
    "MADE": "新建",
    "CHANGED": "修改",
    Status.OFFERED: "启用",
    Status.WITHHELD: "停用",
    Status.VOID: "作废",
}
# What a person has to weigh before changing it.
HELP = {
    "status": "不提供：买家看得到，但不能选。作废：当作没有这条规则，按更宽的那条执行",
    "merchant": "商家编号；留空为全部商家。商家自己的规则优先于全部商家的规则",
    "category": "类目代码，含其下级；留空为全部类目。一单有几个类目时，每个类目的规则都要允许",
    "from_fen": "订单金额不低于；留空不限",
    "to_fen": "订单金额不高于；留空不限",
    "limit_fen": "一笔支付最多；留空不限",
    "day_limit_fen": "一位买家一天用这种方式最多付多少（含待支付）；留空不限。"
    "按类目的规则，当天用这种方式付的都计入",
    "text": "停用、金额不符或超过单笔限额时，原样显示给买家，"
    "如“超过微信支付单笔限额，请用银行转账”；留空自动生成",
    "note": "依据是什么、谁同意的、合同或牌照编号。提供时必填；每次修改都会留存",
}
_SEEN = "seen"
_CONDITIONS: list[tuple[str | None, dict[str, Any]]] = [
    ("提供给谁", {"fields": ["clients", ("from_fen", "to_fen")]}),
    ("限额", {"fields": [("limit_fen", "day_limit_fen"), "text"]}),
]


class RuleForm(forms.ModelForm):
    """`seen`: which state of the rule was on the page; another one since is not overwritten."""

    seen = forms.CharField(required=False, widget=forms.HiddenInput)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if self.instance.pk:
            self.initial[_SEEN] = self.instance.changed_at.isoformat()

    def clean_merchant(self) -> str:
        return self._of_somebody("merchant", "没有这个商家编号，请核对")

    def clean_category(self) -> str:
        return self._of_somebody("category", "没有这个类目代码，请核对")

    def _of_somebody(self, name: str, unknown: str) -> str:
        """A mistyped rule would hold for nothing, and what was to be withheld be offered."""
        typed = str(self.cleaned_data[name]).strip()
        if typed and not _called(name, typed):
            raise forms.ValidationError(unknown)
        return typed


class Changes(Lines):
    model = MethodRuleEvent
    verbose_name_plural = "变更记录"
    fields = ["at", "kind", "actor", "what"]
    words = {"kind": KINDS}
    in_order = ("-pk",)

    @display(description="改了什么")
    def what(self, event: MethodRuleEvent) -> str:
        lines = (
            (f"{_name(field)}：{' → '.join(_read(field, value) for value in event.facts[field])}",)
            for field in SETTABLE
            if field in event.facts
        )
        return format_html_join(SafeString("<br>"), "{}", lines) or "—"


def _called(kind: str, code: str) -> str:
    """The name of a merchant or category; empty when there is none."""
    return cast(str, import_string(settings.RULES_ARE_ABOUT[kind])(code))


@admin.register(MethodRule)
class MethodRuleAdmin(Edit):
    """The platform decides; a merchant's finance reads what holds for it alone."""

    form = RuleForm
    tenant_path = "merchant"
    role = "FINANCE"
    act_role = "PLATFORM"
    tenant_columns = ()
    colours = {"status": COLOURS}
    words = {"method": TITLES}
    list_display = [
        "method", "whose", "about", "status", "places", "limit_fen", "day_limit_fen",
        "enabler", "enabled_at",
    ]  # fmt: skip
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["method", "merchant", "category", "note"]
    search_help_text = "支付方式、商家编号、类目代码或合规说明"
    ordering = ["method", "merchant", "category"]
    editable = [*SETTABLE, _SEEN]
    addable = ["method", "merchant", "category", *SETTABLE]
    inlines = [Changes]

    @display(description="商家")
    def whose(self, rule: MethodRule) -> str:
        return rule.merchant or "全部商家"

    @display(description="类目")
    def about(self, rule: MethodRule) -> str:
        return rule.category or "全部类目"

    @display(description="商家")
    def whose_name(self, rule: MethodRule) -> str:
        return f"{_called('merchant', rule.merchant)} {rule.merchant}".strip() or "全部商家"

    @display(description="类目")
    def about_name(self, rule: MethodRule) -> str:
        return f"{_called('category', rule.category)} {rule.category}".strip() or "全部类目"

    @display(description="在哪里提供")
    def places(self, rule: MethodRule) -> str:
        return _read("clients", rule.clients)

    @display(description="启用人", ordering="enabled_by")
    def enabler(self, rule: MethodRule) -> str:
        return getattr(rule, "enabler_name", None) or rule.enabled_by or "—"

    def get_queryset(self, request: HttpRequest) -> QuerySet[MethodRule]:
        return super().get_queryset(request).annotate(enabler_name=name_of("enabled_by"))

    def named_fields(self, request: HttpRequest, obj: Any) -> Any:
        if obj is None:
            about = {"fields": [("method", "status"), ("merchant", "category")]}
            return [(None, about), *_CONDITIONS, ("合规", {"fields": ["note"]})]
        fieldsets = [
            (None, {"fields": [("method", "status"), ("whose_name", "about_name")]}),
            *_CONDITIONS,
            ("合规", {"fields": ["note", ("enabler", "enabled_at"), _SEEN]}),
        ]
        if self.typed(request, obj):
            return fieldsets
        return [(title, {**more, "fields": _to_read(more["fields"])}) for title, more in fieldsets]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        name = db_field.name
        if name == "method":
            return forms.ChoiceField(
                label=db_field.verbose_name,
                choices=[(one, title_of(one)) for one in sorted(settings.PAYMENT_METHODS)],
                widget=UnfoldAdminSelectWidget,
            )
        if name == "clients":
            return forms.MultipleChoiceField(
                label=db_field.verbose_name,
                choices=Client.choices,
                required=False,
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
            )
        field = super().formfield_for_dbfield(db_field, request, **more)
        if name in HELP:
            field.help_text = HELP[name]
        return field

    def keep(self, request: HttpRequest, row: MethodRule, values: dict[str, Any]) -> None:
        seen = values.pop(_SEEN, "")
        self._set(request, row, values, seen_at=_moment(seen) if seen else row.changed_at)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> MethodRule:
        about = {name: values.pop(name) for name in ("method", "merchant", "category")}
        return self._set(request, MethodRule(**about), values, seen_at=None)

    def _set(
        self, request: HttpRequest, rule: MethodRule, values: Mapping[str, Any], **more: Any
    ) -> MethodRule:
        return services.set_rule(
            method=rule.method,
            merchant=rule.merchant,
            category=rule.category,
            values=values,
            actor=viewer_of(request).number,
            at=now(),
            **more,
        )


def _to_read(names: Any) -> Any:
    shown = ["places" if name == "clients" else name for name in names if name != _SEEN]
    return tuple(shown) if isinstance(names, tuple) else [
        _to_read(name) if isinstance(name, tuple) else name for name in shown
    ]  # fmt: skip


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


# --- a change in words --------------------------------------------------------------------------


def _name(field: str) -> str:
    return str(MethodRule._meta.get_field(field).verbose_name).replace("(分)", "")  # type: ignore[union-attr]


def _read(field: str, value: Any) -> str:
    if field.endswith("_fen"):
        return "不限" if value is None else in_yuan(value)
    if field == "status":
        return str(Status(value).label)
    if field == "clients":
        return "、".join(str(Client(one).label) for one in value) or "—"
    return str(value or "—")
