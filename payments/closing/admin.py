from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import display

from config.kit.admin import Look
from config.kit.columns import DayFilter, in_yuan
from payments.closing.models import DayClose
from payments.closing.rules import CloseStatus, Why

FINANCE = "FINANCE"


@admin.register(DayClose)
class DayCloseAdmin(Look):
    tenant_path = "receiving_account__merchant"
    role = FINANCE
    colours = {"status": {CloseStatus.EVEN: "success", CloseStatus.DIFFERS: "danger"}}
    list_display = [
        "day", "receiving_account", "status", "bank_fen", "ledger_fen", "differs", "first",
    ]  # fmt: skip
    list_select_related = ["receiving_account"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("day", RangeDateFilter),
        ("made_at", DayFilter),
    ]
    search_fields = ["receiving_account__account_no", "receiving_account__account_name"]
    search_help_text = "账号或户名"
    ordering = ["-day", "-pk"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("day", "receiving_account", "status"),
                    ("bank_fen", "ledger_fen", "differs"),
                    ("suspense_fen", "lines_fen", "made_at"),
                ]
            },
        ),
        ("差异", {"fields": ["told"]}),
    ]

    @display(description="差额")
    def differs(self, close: DayClose) -> str:
        return in_yuan(close.bank_fen - close.ledger_fen)

    @display(description="说明")
    def first(self, close: DayClose) -> str:
        if not close.differences:
            return "—"
        one, count = close.differences[0], len(close.differences)
        more = f" 等 {count} 项" if count > 1 else ""
        return f"{Why(one['why']).label} {in_yuan(one['fen'])}{more}"

    @display(description="逐笔说明（银行比账面多的金额）")
    def told(self, close: DayClose) -> SafeString:
        words = dict(Why.choices)
        rows = (
            (
                words[one["why"]],
                in_yuan(one["fen"]),
                one["text"],
                _onward(one["why"], one["number"]),
            )
            for one in close.differences
        )
        lines = format_html_join("", "<p><b>{} {}</b>：{}{}</p>", rows)
        return lines or SafeString("没有差异")


def _onward(why: str, number: str) -> SafeString | str:
    """To the line that it is about; other reasons name refunds and days."""
    if not number or why not in {Why.NOT_POSTED, Why.NOT_OURS_YET, Why.NOT_CONFIRMED}:
        return ""
    address = reverse("admin:payments_statementline_changelist")
    return format_html('　<a class="text-link" href="{}?q={}">查看来账</a>', address, number)
