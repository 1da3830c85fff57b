from django.contrib import admin
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from unfold.contrib.filters.admin import ChoicesDropdownFilter
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
    list_filter = [("status", ChoicesDropdownFilter), ("made_at", DayFilter)]
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
        texts = [one["text"] for one in close.differences]
        more = f" 等 {len(texts)} 项" if len(texts) > 1 else ""
        return texts[0] + more if texts else "—"

    @display(description="逐笔说明（银行比账面多的金额）")
    def told(self, close: DayClose) -> SafeString:
        words = dict(Why.choices)
        rows = ((words[one["why"]], in_yuan(one["fen"]), one["text"]) for one in close.differences)
        return format_html_join("", "<p>{} {}：{}</p>", rows) or SafeString("没有差异")
