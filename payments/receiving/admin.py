from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.widgets import UnfoldAdminSelectWidget

from config.kit.admin import Edit, Look
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.receiving.rules import VirtualState

FINANCE = "FINANCE"


@admin.register(ReceivingAccount)
class ReceivingAccountAdmin(Edit):
    """Which accounts are ours is the platform's word."""

    tenant_path = "merchant"
    role = FINANCE
    list_display = ["account_no", "account_name", "bank_name", "provider", "merchant", "is_active"]
    fields = [
        *("account_no", "account_name", "bank_name", "provider", "merchant", "is_active"),
        *("gives", "quarantine_days", "is_capped", "pulled_until"),
    ]
    editable = [
        *("account_name", "bank_name", "provider", "is_active"),
        *("gives", "quarantine_days", "is_capped"),
    ]
    addable = [
        *("account_no", "account_name", "bank_name", "provider", "merchant"),
        *("gives", "quarantine_days", "is_capped"),
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
        return field

    def keep(self, request: HttpRequest, row: ReceivingAccount, values: dict[str, Any]) -> None:
        ReceivingAccount.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> ReceivingAccount:
        return ReceivingAccount.objects.create(**values)


@admin.register(VirtualAccount)
class VirtualAccountAdmin(Look):
    tenant_path = "receiving_account__merchant"
    role = FINANCE
    colours = {"state": {VirtualState.FREE: "", VirtualState.ASSIGNED: "info"}}
    list_display = ["number", "state", "member", "rests_until", "cap_fen", "receiving_account"]
    list_select_related = ["receiving_account", "member"]
    list_filter = [("state", ChoicesDropdownFilter)]
    fields = [
        *("number", "state", "receiving_account", "member", "rests_until"),
        *("cap_fen", "payer_account", "limit_asked_at"),
    ]
    search_fields = ["number"]
    ordering = ["-pk"]


@admin.register(TransferIntent)
class TransferIntentAdmin(Look):
    tenant_path = "payment__merchant"
    role = FINANCE
    list_display = ["code", "virtual_account", "payment", "receiving_account", "assigned_at"]
    list_select_related = ["payment", "virtual_account", "receiving_account"]
    fields = [
        *("code", "virtual_account", "payment", "receiving_account", "assigned_at"),
        *("is_shared", "released_at", "hinted_at"),
    ]
    search_fields = ["code", "virtual_account__number", "payment__number", "payment__reference"]
    search_help_text = "核对码、专属账号、支付单号或订单号"
    ordering = ["-pk"]
