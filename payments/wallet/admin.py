"""Of the platform only: a wallet is no merchant's."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Reason, Sure, viewer_of
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from payments.ledger.models import Entry
from payments.wallet import withdrawals
from payments.wallet.models import TopUp, Wallet, Withdrawal
from payments.wallet.rules import WORDS, TopUpStatus, WithdrawalStatus, named

WITHDRAWAL_COLOURS = {
    WithdrawalStatus.CHECKING: "warning",
    WithdrawalStatus.SENDING: "info",
    WithdrawalStatus.DONE: "success",
    WithdrawalStatus.FAILED: "danger",
    WithdrawalStatus.DECLINED: "",
    WithdrawalStatus.BOUNCED: "danger",
}

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


@admin.register(Withdrawal)
class WithdrawalAdmin(Look):
    role = act_role = "FINANCE"
    colours = {"status": WITHDRAWAL_COLOURS}
    list_display = ["number", "status", "amount_fen", "to", "user", "asked_at", "failure"]
    list_select_related = ["user"]
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("to", ChoicesDropdownFilter),
        ("asked_at", DayFilter),
    ]
    search_fields = ["number", "channel_no", "owner", "user__nickname", "user__phone"]
    search_help_text = "提现单号、渠道单号、用户编号、昵称或手机号"
    ordering = ["-asked_at", "-pk"]
    fields = [
        ("number", "status"),
        ("amount_fen", "user"),
        ("to", "account_name"),
        ("account_no", "paid_from"),
        ("openid", "channel_no"),
        ("asked_at", "checked_by"),
        ("ask_at", "ended_at"),
        "failure",
    ]
    actions_detail = ["approve", "decline"]
    offered = {
        "approve": lambda row: row.status == WithdrawalStatus.CHECKING,
        "decline": lambda row: row.status == WithdrawalStatus.CHECKING,
    }

    @action(description="同意提现", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda row, _: withdrawals.approve(
                withdrawal=row, actor=viewer_of(request).number, at=now()
            ),
            title="同意提现",
            lead="同意后立即提交渠道付款，不能撤回。",
        )

    @action(description="不同意", icon="close", permissions=["act"])
    def decline(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda row, answers: withdrawals.decline(
                withdrawal=row,
                actor=viewer_of(request).number,
                reason=answers["reason"],
                at=now(),
            ),
            title="不同意提现",
            lead="冻结的金额立即回到用户的钱包余额，原因会显示给用户。",
        )

    def facts(self, row: Any) -> list[tuple[str, str]]:
        return [
            ("提现单号", row.number),
            ("金额", in_yuan(row.amount_fen)),
            ("提现到", row.get_to_display()),
            ("收款人", row.account_name or "—"),
            ("收款账号", row.account_no or "—"),
            ("用户编号", row.owner),
            ("申请时间", in_shanghai(row.asked_at)),
        ]
