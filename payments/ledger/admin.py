from functools import reduce
from operator import or_
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum
from django.http import HttpRequest
from unfold.contrib.filters.admin import DropdownFilter
from unfold.decorators import display

from config.kit.admin import Lines, Look
from config.kit.columns import DayFilter, in_shanghai, in_yuan
from payments.ledger.models import Account, Entry, Posting
from payments.ledger.queries import on_normal_side
from payments.ledger.rules import CHART, Side, kind_of

KINDS = {
    "INTAKE": "来账入账",
    "ELSEWHERE_IN": "非买家收入",
    "ELSEWHERE_OUT": "非买家支出",
    "TAKEN_IN": "作为来账处理",
    "TAKEN_OUT": "撤销作为来账处理",
    "SET_ASIDE": "来账不处理",
    "SET_ASIDE_UNDONE": "撤销不处理",
    "REVERSAL": "银行冲正",
    "OPENING": "期初余额",
    "CHANNEL_DAY": "渠道资金账单",
    "RECEIPT": "收款",
    "RECEIPT_UNDONE": "撤销收款",
    "RECEIPT_REVERSED": "收款被银行冲正",
    "COVER": "商家承担（解冻）",
    "UNCOVER": "商家承担的订单取消",
    "OWED_KEPT": "应退转为收款",
    "OWE_BACK": "转为应退",
    "REFUND_PAID": "退款付出",
    "REFUND_WRITTEN_OFF": "退款作废（已冲正、未退出）",
    "REFUND_BOUNCED": "退款被退汇",
    "BOUNCE_FEE": "退汇扣费",
    "HELD_BACK": "重复收录退出记账",
    "RETURN": "原路退回",
    "OWED_TO_WALLET": "应退款转入余额",
    "WITHDRAW": "提现冻结",
    "WITHDRAWN": "提现付出",
    "WITHDRAW_VOID": "提现退回",
    "WITHDRAW_BOUNCED": "提现退汇",
    "TOPUP": "钱包充值",
    "TOPUP_UNDONE": "充值撤回",
    "GIFT_CARD_PAID": "购买礼品卡",
    "GIFT_CARD_TAKEN": "购卡款撤回",
    "GIFT_CARD_REFUNDED": "退礼品卡",
    "RELEASE": "放款给商家",
    "DEBT_PAID": "商家偿还应收款",
    "DEBT_OVERPAID": "应收款多收退还商家",
    "PAYOUT_HELD": "商家付款冻结",
    "PAYOUT_PAID": "商家付款付出",
    "PAYOUT_VOIDED": "商家付款作废",
    "PAYOUT_BOUNCED": "商家付款被退汇",
    "DEPOSIT_PAID": "缴纳保证金",
    "DEPOSIT_REVERSED": "保证金付款被撤回",
    "DEPOSIT_FROZEN": "冻结保证金",
    "DEPOSIT_THAWED": "解冻保证金",
    "DEPOSIT_DEDUCTED": "违规扣除保证金",
    "DEPOSIT_RETURNED": "退还保证金",
    "COMMISSION": "导购佣金",
    "COMMISSION_REVERSAL": "佣金冲回",
}


def codes_of(tenants: frozenset[str]) -> list[str]:
    """A merchant's own accounts; bank and suspense accounts are many merchants' at once."""
    return [
        code
        for number in tenants
        for code in (
            f"held:{number}",
            f"merchant:{number}:available",
            f"paying_out:{number}",
            f"receivable:{number}",
            f"deposit:{number}",
            f"deposit_frozen:{number}",
        )
    ]


def debit_or_credit(entry: Entry) -> str:
    """Debit is +, credit is −."""
    side = Side.DEBIT if entry.amount_fen > 0 else Side.CREDIT
    return f"{side.label} {in_yuan(abs(entry.amount_fen))}"


class KindFilter(DropdownFilter):
    """Accounts by their kind in the chart; several, with commas between, in an address."""

    title = "科目"
    parameter_name = "kind"
    path = "code"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(kind, what.title) for kind, what in CHART.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        kinds = (self.value() or "").split(",")
        asked = [Q(**{f"{self.path}__startswith": f"{kind}:"}) for kind in kinds if kind in CHART]
        return queryset.filter(reduce(or_, asked)) if asked else queryset


class EntryKindFilter(KindFilter):
    path = "account__code"


@admin.register(Account)
class AccountAdmin(Look):
    tenant_path = "code"
    role = "FINANCE"
    list_display = ["code", "kind", "balance", "is_guarded"]
    fields = ["code", "kind", "balance", "is_guarded"]
    list_filter = [KindFilter]
    search_fields = ["code"]
    ordering = ["code"]

    def owned_by(self, tenants: frozenset[str]) -> Q:
        return Q(code__in=codes_of(tenants))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        entries = Entry.objects.filter(account=OuterRef("pk")).order_by().values("account")
        return (
            super()
            .get_queryset(request)
            .annotate(signed_fen=Subquery(entries.annotate(fen=Sum("amount_fen")).values("fen")))
        )

    @display(description="科目")
    def kind(self, account: Account) -> str:
        return kind_of(account.code).title

    @display(description="余额")
    def balance(self, account: Any) -> str:
        return in_yuan(on_normal_side(account.code, int(account.signed_fen or 0)))


class Entries(Lines):
    model = Entry
    verbose_name_plural = "分录"
    fields = ["account", "side"]
    with_related = ["account"]

    @display(description="借贷")
    def side(self, entry: Entry) -> str:
        return debit_or_credit(entry)


@admin.register(Posting)
class PostingAdmin(Look):
    """A posting between several merchants' accounts does not exist: its legs are one story."""

    tenant_path = "entries"
    role = "FINANCE"
    words = {"kind": KINDS}
    list_display = ["reference", "kind", "at"]
    fields = ["kind", "reference", "at"]
    list_filter = [("at", DayFilter)]
    search_fields = ["reference"]
    ordering = ["-pk"]
    inlines = [Entries]

    def owned_by(self, tenants: frozenset[str]) -> Q:
        mine = Entry.objects.filter(account__code__in=codes_of(tenants))
        return Q(pk__in=mine.values("posting"))


@admin.register(Entry)
class EntryAdmin(Look):
    tenant_path = "account"
    role = "FINANCE"
    list_display = ["account", "side", "posting_kind", "posting", "at"]
    list_select_related = ["account", "posting"]
    fields = ["account", "side", "posting"]
    list_filter = [EntryKindFilter, ("posting__at", DayFilter)]
    search_fields = ["account__code", "posting__reference"]
    ordering = ["-pk"]

    def owned_by(self, tenants: frozenset[str]) -> Q:
        return Q(account__code__in=codes_of(tenants))

    @display(description="借贷", ordering="amount_fen")
    def side(self, entry: Entry) -> str:
        return debit_or_credit(entry)

    @display(description="事项")
    def posting_kind(self, entry: Entry) -> str:
        return KINDS.get(entry.posting.kind, entry.posting.kind)

    @display(description="时间", ordering="posting__at")
    def at(self, entry: Entry) -> str:
        return in_shanghai(entry.posting.at)
