from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action

from config.kit.admin import Edit, Lines, Look, Reason, Sure, viewer_of
from members.guarantee import services
from members.guarantee.models import Guarantee, GuaranteeCriterion, GuaranteeEvent
from members.guarantee.rules import TRANSITIONS, Status

COLOURS = {
    Status.APPLIED: "warning",
    Status.ACTIVE: "success",
    Status.SUSPENDED: "danger",
    Status.LEFT: "",
}


class CriterionForm(forms.ModelForm):
    def clean_code(self) -> str:
        """What is not counted would be met by nobody."""
        code = str(self.cleaned_data["code"])
        if code not in settings.GUARANTEE_COUNTERS:
            raise forms.ValidationError(f"可用的指标：{'、'.join(settings.GUARANTEE_COUNTERS)}")
        return code


@admin.register(GuaranteeCriterion)
class GuaranteeCriterionAdmin(Edit):
    """A row replaces the default of the same code; switched off, nothing is asked of it."""

    form = CriterionForm
    role = act_role = "PLATFORM"
    is_shared = True
    tenant_columns = ()
    list_display = ["name", "code", "least", "most", "is_on"]
    fields = ["code", "name", ("least", "most"), "is_on"]
    editable = ["name", "least", "most", "is_on"]
    addable = ["code", "name", "least", "most", "is_on"]
    search_fields = ["code", "name"]
    ordering = ["code"]

    def keep(self, request: HttpRequest, row: GuaranteeCriterion, values: dict[str, Any]) -> None:
        GuaranteeCriterion.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> GuaranteeCriterion:
        return GuaranteeCriterion.objects.create(**values)


class Events(Lines):
    model = GuaranteeEvent
    verbose_name_plural = "经过"
    fields = ["at", "status", "actor", "reason"]


@admin.register(Guarantee)
class GuaranteeAdmin(Look):
    """The platform decides; the merchant's people see how it stands."""

    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = "PLATFORM"
    colours = {"status": COLOURS}
    list_display = ["merchant", "status", "since_at"]
    list_select_related = ["merchant"]
    list_filter = [("status", ChoicesDropdownFilter)]
    search_fields = ["merchant__name", "merchant__number"]
    search_help_text = "商家名称或编号"
    ordering = ["-pk"]
    fields = [("merchant", "status", "since_at")]
    inlines = [Events]
    actions_detail = ["approve", "suspend", "leave"]
    offered = {
        "approve": lambda guarantee: Status.ACTIVE in TRANSITIONS[guarantee.status],
        "suspend": lambda guarantee: Status.SUSPENDED in TRANSITIONS[guarantee.status],
        "leave": lambda guarantee: Status.LEFT in TRANSITIONS[guarantee.status],
    }

    @action(description="同意", icon="verified", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda guarantee, _: services.approve(guarantee=guarantee, actor=actor, at=now()),
            title="同意加入担保",
            lead="商品、卡片和搜索立即显示担保标识。",
        )

    @action(description="暂停", icon="pause", permissions=["act"])
    def suspend(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda guarantee, told: services.suspend(
                guarantee=guarantee, reason=told["reason"], actor=actor, at=now()
            ),
            title="暂停担保",
            lead="担保标识立即消失，再次同意后恢复。",
        )

    @action(description="退出", icon="logout", permissions=["act"])
    def leave(self, request: HttpRequest, object_id: str) -> HttpResponse:
        actor = viewer_of(request).number
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda guarantee, told: services.leave(
                guarantee=guarantee, reason=told["reason"], actor=actor, at=now()
            ),
            title="退出担保",
            lead="只影响以后的订单；已在担保中的货款照常放款。",
        )
