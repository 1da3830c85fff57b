from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.forms.models import model_to_dict
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import now
from unfold.decorators import action, display
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
)

from config.kit.admin import Edit, viewer_of
from config.kit.columns import YuanField, in_yuan
from payments.receiving.models import ReceivingAccount
from payments.transfers import policies, trial
from payments.transfers.ladder.shadow import Comparison, Judged, Opinion, Score
from payments.transfers.models import Policy

_RUNGS = {"rungs_off": policies.AUTOMATIC, "rungs_on": policies.BY_HAND}
_LIMITS = ["automatic_up_to_fen", "fee_up_to_fen", "check_above_fen", "reopens_within_days"]
_FIELDS = ["rungs_off", "rungs_on", *_LIMITS]
ZERO = Decimal(0)
SHOWN = 200  # lines on which the versions differ
_UNTRIED = "untried"
# Which ladder is in force is the platform's word.
_VERSIONS = ["version", "shadow", _UNTRIED]


class PolicyForm(forms.ModelForm):
    untried = forms.CharField(
        label="未经试运行直接启用的原因",
        max_length=200,
        required=False,
        help_text="换规则版本要先试运行；确须直接启用时填写，与这次修改一起留存",
        widget=UnfoldAdminTextInputWidget,
    )


@admin.register(Policy)
class PolicyAdmin(Edit):
    form = PolicyForm
    tenant_path = "merchant"
    role = act_role = "FINANCE"
    tenant_columns = ()
    list_display = ["whose", "off", "automatic_up_to_fen", "check_above_fen", "version", "shadow"]
    list_display_links = ["whose"]
    editable = [*_FIELDS, *_VERSIONS]
    addable = ["merchant", *_FIELDS, *_VERSIONS]
    fields = ["merchant", *_FIELDS, *_VERSIONS]
    ordering = ["merchant"]
    actions_list = ["trial"]

    class Media:
        css = {"all": ["payments/workbench.css"]}

    @display(description="商家")
    def whose(self, policy: Policy) -> str:
        return str(policy)

    @display(description="停用的规则")
    def off(self, policy: Policy) -> str:
        return "、".join(policy.rungs_off) or "—"

    def typed(self, request: HttpRequest, obj: Any) -> list[str]:
        names = super().typed(request, obj)
        is_platform = viewer_of(request).is_platform
        return [name for name in names if is_platform or name not in _VERSIONS]

    def named_fields(self, request: HttpRequest, obj: Any) -> Any:
        named = super().named_fields(request, obj)
        if obj is None:
            return [(None, {"fields": self.typed(request, obj)})]
        if _UNTRIED in self.typed(request, obj):
            return named
        return [
            (title, {**more, "fields": [name for name in more["fields"] if name != _UNTRIED]})
            for title, more in named
        ]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **more: Any) -> Any:
        if db_field.name in _RUNGS:
            rungs = _RUNGS[db_field.name]
            return forms.MultipleChoiceField(
                label=db_field.verbose_name,
                choices=[(rung, f"{rung}　{name}") for rung, name in rungs.items()],
                required=False,
                help_text="勾选的规则不再自动核销，只给出建议"
                if db_field.name == "rungs_off"
                else "勾选的规则可以自动核销",
                widget=UnfoldAdminCheckboxSelectMultipleWidget,
            )
        if db_field.name == "merchant":
            return forms.ChoiceField(
                label=db_field.verbose_name,
                choices=self._whose_choices(request),
                required=not viewer_of(request).is_platform,
                widget=UnfoldAdminSelectWidget,
            )
        field = super().formfield_for_dbfield(db_field, request, **more)
        if isinstance(field, YuanField):  # zero is a limit too
            title = str(field.label)
            first = db_field.get_default() if db_field.has_default() else None
            return YuanField(label=title, required=field.required, min_value=ZERO, initial=first)
        return field

    def _whose_choices(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Merchants with a receiving account; for the platform also everybody else's row."""
        accounts = ReceivingAccount.objects.seen_by(viewer_of(request)).exclude(merchant="")
        merchants = accounts.order_by("merchant").values_list("merchant", flat=True).distinct()
        default = [("", "默认（其他所有商家）")] if viewer_of(request).is_platform else []
        return [*default, *((number, number) for number in merchants)]

    def keep(self, request: HttpRequest, row: Policy, values: dict[str, Any]) -> None:
        untried = values.pop(_UNTRIED, "")
        if values:
            policies.change(merchant=row.merchant, values=values, untried=untried, at=now())

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Policy:
        merchant, untried = values.pop("merchant", ""), values.pop(_UNTRIED, "")
        if not values.get("version"):
            values.pop("version", None)  # everybody's
        return policies.change(merchant=merchant, values=values, untried=untried, at=now())

    def construct_change_message(
        self, request: HttpRequest, form: Any, formsets: Any, add: bool = False
    ) -> str:
        """Old and new values: this log is the policy's history."""
        if add:
            now_set = model_to_dict(form.instance, fields=form.changed_data)
            if _UNTRIED in form.changed_data:
                now_set[_UNTRIED] = form.cleaned_data[_UNTRIED]
            return "新增：" + _told({name: (None, value) for name, value in now_set.items()})
        changed = form.changed_data
        return _told({name: (form.initial.get(name), form.cleaned_data[name]) for name in changed})

    @action(description="试运行对比", icon="science", permissions=["act"])
    def trial(self, request: HttpRequest) -> HttpResponse:
        """What another version of the rules would have done, beside what was done."""
        viewer = viewer_of(request)
        versions = trial.versions(viewer)
        version = request.GET.get("version", "")
        if version not in versions:
            version = versions[0] if versions else ""
        context = {
            **self.admin_site.each_context(request),
            "title": "试运行对比",
            "is_fullwidth": "1",
            "versions": versions,
            "version": version,
            "queue": reverse("admin:payments_statementline_queue"),
            **(_report(trial.report(viewer, version)) if version else {}),
        }
        return TemplateResponse(request, "admin/payments/trial.html", context)


# --- the report in words ------------------------------------------------------------------------


def _report(compared: Comparison) -> dict[str, Any]:
    rules = sorted({*compared.live.by_rule, *compared.shadow.by_rule} - {""})
    pairs = [
        (rule, compared.live.by_rule.get(rule, Score()), compared.shadow.by_rule.get(rule, Score()))
        for rule in rules
    ]
    total = {"title": "合计", "is_total": True}
    return {
        "rows": [
            *(
                {"title": rule, "scores": [_score(live), _score(shadow)]}
                for rule, live, shadow in pairs
            ),
            total | {"scores": [_score(compared.live.all), _score(compared.shadow.all)]},
        ],
        "differ_count": len(compared.differ),
        "differ": [
            {
                "line": one.line,
                "live": _opinion(one.live),
                "shadow": _opinion(one.shadow),
                "paid": "尚未确定" if one.paid is None else "、".join(sorted(one.paid)) or "无",
                "colour": _colour(one),
            }
            for one in compared.differ[:SHOWN]
        ],
    }


def _score(score: Score) -> dict[str, Any]:
    return {
        **score._asdict(),
        "precision": _per_cent(score.precision),
        "recall": _per_cent(score.recall),
    }


def _per_cent(part: float | None) -> str:
    """Never rounded up to 100 %: one wrong match in a million is still one."""
    return "—" if part is None else f"{int(part * 10_000) / 100:g}%"


def _opinion(opinion: Opinion) -> str:
    if not opinion.is_automatic:
        return " ".join(part for part in (opinion.rule, "交给人工") if part)
    return f"{opinion.rule} 自动核销 {'、'.join(sorted(opinion.payments))}".strip()


def _colour(one: Judged) -> str:
    """Against the trial where it would have paid wrongly, for it where it alone was right."""
    if one.paid is None or not one.shadow.is_automatic:
        return ""
    return "wb-good" if one.shadow.payments == one.paid else "wb-against"


# --- a change in words --------------------------------------------------------------------------


def _told(changes: dict[str, tuple[Any, Any]]) -> str:
    titles = {field.name: str(field.verbose_name) for field in Policy._meta.fields}
    titles[_UNTRIED] = str(PolicyForm.base_fields[_UNTRIED].label)
    return "；".join(
        f"{titles[name]} {_read(name, old)} → {_read(name, new)}"
        for name, (old, new) in changes.items()
    ).replace("(分)", "")


def _read(name: str, value: Any) -> str:
    if name.endswith("_fen"):
        return in_yuan(value)
    return "、".join(value) if isinstance(value, list) and value else str(value or "—")
