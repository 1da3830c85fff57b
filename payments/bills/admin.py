from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter, RangeDateFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Reason, Sure, viewer_of
from config.kit.columns import NOTHING, DayFilter, in_yuan, label
from payments.bills import services
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import DayStatus, Kind
from payments.cashier.rules import PartStatus
from payments.wechat_pay.rules import RefundState
from payments.wechat_pay.rules import Status as TradeStatus

FINANCE = "FINANCE"
DAY_COLOURS = {
    DayStatus.WAITING: "warning",
    DayStatus.EVEN: "success",
    DayStatus.DIFFERS: "danger",
    DayStatus.SETTLED: "info",
}
KIND_COLOURS = {
    Kind.MISSING_HERE: "danger",
    Kind.MISSING_THERE: "danger",
    Kind.AMOUNT: "danger",
    Kind.FEE: "warning",
    Kind.STATE: "warning",
    Kind.BALANCE: "danger",
}


# Ours, and the bills' own words for how a refund ended.
STATES = {
    **dict(TradeStatus.choices),
    **dict(RefundState.choices),
    **dict(PartStatus.choices),
    "SUCCESS": "成功",
    "FAIL": "已关闭",
    "CHANGE": "退款异常",
}


class SideBySide:
    """How a difference is shown: what we have, what the channel has, and the difference."""

    @display(description="本店单号 / 渠道单号、子账户")
    def numbers(self, row: ChannelDifference) -> SafeString:
        return format_html("{}<br>{}", row.our_number or NOTHING, row.their_number or NOTHING)

    @display(description="本店")
    def ours(self, row: ChannelDifference) -> str:
        return NOTHING if row.kind == Kind.MISSING_HERE else _side(row.our_fen, row.our_state)

    @display(description="渠道")
    def theirs(self, row: ChannelDifference) -> str:
        if row.kind == Kind.MISSING_THERE:
            return NOTHING
        return _side(row.their_fen, row.their_state)

    @display(description="渠道比本店多")
    def differs(self, row: ChannelDifference) -> str:
        return in_yuan(row.their_fen - row.our_fen)

    @display(description="处理")
    def outcome(self, row: ChannelDifference) -> SafeString | str:
        if row.closed_at is None:
            return label("未处理", "danger")
        who = "" if row.closed_by else "（系统）"
        return format_html("{} {}{}", label("已关闭", "success"), row.reason, who)


class Differences(SideBySide, Lines):
    model = ChannelDifference
    verbose_name_plural = "差异"
    colours = {"kind": KIND_COLOURS}
    fields = [
        "subject", "kind", "numbers", "ours", "theirs", "differs", "outcome", "onward",
    ]  # fmt: skip
    in_order = ["-closed_at", "pk"]  # open ones first

    @display(description="详情")
    def onward(self, row: ChannelDifference) -> SafeString:
        address = reverse("admin:payments_channeldifference_change", args=[row.pk])
        return format_html('<a class="text-link" href="{}">查看</a>', address)


@admin.register(ChannelDay)
class ChannelDayAdmin(Look):
    """Of the platform only: a channel's account is many merchants' at once."""

    role = act_role = FINANCE
    colours = {"status": DAY_COLOURS}
    list_display = [
        "on", "channel", "status", "open", "took", "gave_back", "fee_fen", "closing_fen", "problem",
    ]  # fmt: skip
    list_filter = [
        ("status", ChoicesDropdownFilter),
        ("channel", ChoicesDropdownFilter),
        ("day", RangeDateFilter),
    ]
    ordering = ["-day", "channel"]
    fieldsets = [
        (
            None,
            {
                "fields": [
                    ("on", "channel", "status"),
                    ("took", "gave_back", "fee_fen"),
                    ("opening_fen", "closing_fen", "account"),
                    ("fetched_at", "tried_at", "problem"),
                ]
            },
        ),
    ]
    inlines = [Differences]
    actions_detail = ["compare_again"]
    offered = {"compare_again": lambda day: day.status != DayStatus.WAITING}

    def get_queryset(self, request: HttpRequest) -> QuerySet[ChannelDay]:
        is_open = Q(differences__isnull=False, differences__closed_at=None)
        return super().get_queryset(request).annotate(open=Count("differences", filter=is_open))

    @display(description="日期", ordering="day")
    def on(self, day: ChannelDay) -> str:
        return f"{day.day}"

    @display(description="收款", ordering="trades_fen")
    def took(self, day: ChannelDay) -> str:
        return _sum(day.trades, day.trades_fen)

    @display(description="退款", ordering="refunds_fen")
    def gave_back(self, day: ChannelDay) -> str:
        return _sum(day.refunds, day.refunds_fen)

    @display(description="未处理差异", ordering="open")
    def open(self, day: ChannelDay) -> str:
        count: int = day.open  # type: ignore[attr-defined]
        return str(count) if count else NOTHING

    @action(description="重新核对", icon="refresh", permissions=["act"])
    def compare_again(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Its bills are fetched anew at the next round."""
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda day, _: services.compare_again(day=day),
            title="重新核对",
        )


def _sum(count: int, fen: int) -> str:
    return f"{count} 笔 {in_yuan(fen)}" if count else NOTHING


def _side(fen: int, state: str) -> str:
    return f"{in_yuan(fen)} {STATES.get(state, state)}".strip()


class Why(Reason):
    reason = forms.CharField(
        label="原因",
        max_length=200,
        widget=forms.Textarea({"rows": 3}),
        help_text="查到了什么、怎么处理的；关闭不动任何款项",
    )


@admin.register(ChannelDifference)
class ChannelDifferenceAdmin(SideBySide, Look):
    role = act_role = FINANCE
    colours = {"kind": KIND_COLOURS}
    list_display = [
        "on", "channel", "subject", "kind", "numbers", "ours", "theirs", "differs", "outcome",
    ]  # fmt: skip
    list_select_related = ["channel_day"]
    list_filter = [
        ("closed_at", admin.EmptyFieldListFilter),
        ("channel_day__channel", ChoicesDropdownFilter),
        ("kind", ChoicesDropdownFilter),
        ("subject", ChoicesDropdownFilter),
        ("found_at", DayFilter),
    ]
    search_fields = ["our_number", "their_number"]
    search_help_text = "商户单号、渠道单号或存管子账户"
    ordering = ["-found_at", "-pk"]
    fields = [
        ("channel_day", "subject", "kind"),
        ("our_number", "their_number"),
        ("ours", "theirs", "differs"),
        ("found_at", "seen_at"),
        ("closed_at", "closed_by", "reason"),
    ]
    actions_detail = ["close_difference"]
    offered = {"close_difference": lambda row: row.closed_at is None}

    @display(description="日期", ordering="channel_day__day")
    def on(self, row: ChannelDifference) -> str:
        return f"{row.channel_day.day}"

    @display(description="渠道")
    def channel(self, row: ChannelDifference) -> str:
        return row.channel_day.get_channel_display()

    @action(description="关闭差异", icon="task_alt", permissions=["act"])
    def close_difference(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Why,
            lambda row, said: services.close(
                difference=row, reason=said["reason"], actor=viewer_of(request).number, at=now()
            ),
            title="关闭差异",
        )

    def facts(self, row: ChannelDifference) -> list[tuple[str, object]]:
        return [
            ("日期", row.channel_day),
            ("差异", f"{row.get_subject_display()} {row.get_kind_display()}"),
            ("商户单号", row.our_number or NOTHING),
            ("渠道单号", row.their_number or NOTHING),
            ("本店", self.ours(row)),
            ("渠道", self.theirs(row)),
        ]
