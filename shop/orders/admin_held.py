from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from unfold.decorators import action, display

from config.kit.admin import Look, tenants_of
from config.kit.columns import DayFilter, in_yuan
from shop.orders import queries
from shop.orders.models import HeldLine


@admin.register(HeldLine)
class HeldLineAdmin(Look):
    """What is held of each line that was sent, and when it was or will be released."""

    tenant_path = "order__merchant__number"
    tenant_name_path = "order__merchant__name"
    role = act_role = "FINANCE"
    list_display = [
        "order", "goods", "amount_fen", "fee_fen", "receive_before", "received_at", "release_at",
        "released_at", "stopped_at",
    ]  # fmt: skip
    list_select_related = ["order", "line"]
    list_filter = [("release_at", DayFilter), ("released_at", DayFilter)]
    search_fields = ["order__number", "posting"]
    search_help_text = "订单号或放款凭证号"
    ordering = ["-pk"]
    fields = [
        ("order", "goods"),
        ("amount_fen", "fee_ppm", "fee_fen"),
        ("receive_before", "received_at"),
        ("release_at", "released_at", "posting"),
        ("stopped_at", "stopped_by"),
    ]
    actions_list = ["statistics"]

    @display(description="商品")
    def goods(self, held: HeldLine) -> str:
        return str(held.line)

    @action(description="担保统计", icon="bar_chart", permissions=["act"])
    def statistics(self, request: HttpRequest) -> HttpResponse:
        """S002.27: by year, of what this person may see."""
        years = [
            (year.year, year.orders, year.merchants, in_yuan(year.fen))
            for year in queries.guaranteed_by_year(tenants_of(request, self.role))
        ]
        context = {
            **self.admin_site.each_context(request),
            "title": "担保统计",
            "years": years,
        }
        return TemplateResponse(request, "admin/shop/guarantee_statistics.html", context)
