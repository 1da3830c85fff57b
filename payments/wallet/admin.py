"""Of the platform only: a wallet is no merchant's."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import display

from config.kit.admin import Lines, Look
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from payments.ledger.models import Entry
from payments.wallet.models import TopUp, Wallet
from payments.wallet.rules import WORDS, TopUpStatus, named

TOP_UP_COLOURS = {TopUpStatus.OPEN: "warning", TopUpStatus.PAID: "success", TopUpStatus.CLOSED: ""}


class Movements(Lines):
    model = Entry
    verbose_name_plural = "收支"
    fields = ["at", "kind", "amount", "about"]
    with_related = ["posting"]
    in_order = ["-pk"]

    @display(description="时间")
    def at(self, entry: Entry) -> str:
        return in_shanghai(entry.posting.at)

    @display(description="事项")
    def kind(self, entry: Entry) -> str:
        return WORDS.get(entry.posting.kind, entry.posting.kind)

    @display(description="金额")
    def amount(self, entry: Entry) -> str:
        return in_yuan(-entry.amount_fen)

    @display(description="单号")
    def about(self, entry: Entry) -> str:
        return named(entry.posting.kind, entry.posting.reference)


@admin.register(Wallet)
class WalletAdmin(Look):
    role = "FINANCE"
    list_display = ["owner", "balance_fen"]
    search_fields = ["code"]
    search_help_text = "用户编号"
    ordering = ["-balance_fen", "-pk"]
    fields = [("owner", "balance_fen")]
    inlines = [Movements]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Wallet]:
        return super().get_queryset(request).filter(code__startswith="wallet:")

    @display(description="用户编号")
    def owner(self, wallet: Wallet) -> str:
        return wallet.code.partition(":")[2]


@admin.register(TopUp)
class TopUpAdmin(Look):
    role = "FINANCE"
    colours = {"status": TOP_UP_COLOURS}
    list_display = ["number", "status", "amount_fen", "user", "opened_at", "paid_at"]
    list_select_related = ["user"]
    list_filter = [("status", ChoicesDropdownFilter), ("opened_at", DayFilter)]
    search_fields = ["number", "user__nickname", "user__phone", "user__number"]
    search_help_text = "充值单号、用户编号、昵称或手机号"
    ordering = ["-opened_at", "-pk"]
    fields = [
        ("number", "status"),
        ("amount_fen", "user"),
        ("opened_at", "pay_before"),
        ("paid_at", "closed_at"),
    ]
