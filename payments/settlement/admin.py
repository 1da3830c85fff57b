from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.timezone import now
from unfold.decorators import display

from config.kit.admin import Edit, viewer_of
from payments.settlement import services
from payments.settlement.models import FeeRate


class RateForm(forms.ModelForm):
    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        if "since_at" in self.fields:  # not where it is only read
            self.fields["since_at"].required = False
            self.fields["since_at"].help_text = "留空为立即生效；只管之后下的订单"

    def clean_merchant(self) -> str:
        return self._of_somebody("merchant", "没有这个商家编号，请核对")

    def clean_category(self) -> str:
        return self._of_somebody("category", "没有这个类目代码，请核对")

    def _of_somebody(self, name: str, unknown: str) -> str:
        """A mistyped rate would hold for nothing."""
        typed = str(self.cleaned_data[name]).strip()
        if typed and not cast(str, import_string(settings.RULES_ARE_ABOUT[name])(typed)):
            raise forms.ValidationError(unknown)
        return typed


@admin.register(FeeRate)
class FeeRateAdmin(Edit):
    """Rates are only added, by the platform; a merchant's finance reads its own."""

    form = RateForm
    tenant_path = "merchant"
    role = "FINANCE"
    act_role = "PLATFORM"
    tenant_columns = ()
    list_display = ["whose", "about", "per_cent", "since_at", "note", "actor"]
    fields = [("merchant", "category"), ("ppm", "since_at"), "note", ("actor", "made_at")]
    editable = ()
    addable = ["merchant", "category", "ppm", "since_at", "note"]
    search_fields = ["merchant", "category", "note"]
    ordering = ["merchant", "category", "-since_at"]

    @display(description="商家")
    def whose(self, rate: FeeRate) -> str:
        return rate.merchant or "全部商家"

    @display(description="类目")
    def about(self, rate: FeeRate) -> str:
        return rate.category or "全部类目"

    @display(description="费率")
    def per_cent(self, rate: FeeRate) -> str:
        if rate.ppm is None:
            return "不再单独规定"
        return f"{rate.ppm // 10_000}.{rate.ppm % 10_000:04d}%"

    def keep(self, request: HttpRequest, row: FeeRate, values: dict[str, Any]) -> None:
        raise NotImplementedError("rates are only added")

    def add(self, request: HttpRequest, values: dict[str, Any]) -> FeeRate:
        actor = viewer_of(request).number
        return services.set_rate(**values, actor=actor, at=now())
