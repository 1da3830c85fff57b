from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter

from config.kit.admin import Edit
from payments.calendar import services
from payments.calendar.models import BankDay
from payments.calendar.rules import Kind


@admin.register(BankDay)
class BankDayAdmin(Edit):
    """The platform enters each year's arrangement; the admin's history says who did."""

    role = act_role = "PLATFORM"
    colours = {"kind": {Kind.REST: "success", Kind.WORK: "warning"}}
    list_display = ["day", "kind", "name"]
    list_filter = [("kind", ChoicesDropdownFilter)]
    fields = ["day", "kind", "name"]
    editable = ["kind", "name"]
    addable = ["day", "kind", "name"]
    ordering = ["-day"]

    def keep(self, request: HttpRequest, row: BankDay, values: dict[str, Any]) -> None:
        services.declare(day=row.day, **{"kind": row.kind, "name": row.name, **values})

    def add(self, request: HttpRequest, values: dict[str, Any]) -> BankDay:
        return services.declare(**values)
