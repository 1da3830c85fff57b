"""Of the platform only: a gift card is no merchant's."""

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, Concat
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Reason, viewer_of
from config.kit.columns import DayFilter, in_yuan
from payments.gift_cards import buying
from payments.gift_cards.models import Gift, GiftCard, GiftCardEvent
from payments.gift_cards.rules import Status
from payments.ledger.models import Account

COLOURS = {
    Status.OPEN: "warning",
    Status.HELD: "info",
    Status.GIVING: "primary",
    Status.ACTIVE: "success",
    Status.REFUNDED: "",
    Status.CLOSED: "",
}
EVENTS = {
    "PAID": "到账",
    "TAKEN": "购卡款撤回",
    "GIVEN": "送出",
    "TAKEN_BACK": "撤回赠送",
    "LINK_EXPIRED": "赠送过期",
    "CLAIMED": "被领取",
    "REDEEMED": "兑换",
    "REFUNDED": "退卡",
    "FROZEN": "冻结",
    "THAWED": "解冻",
}


class Gifts(Lines):
    model = Gift
    verbose_name_plural = "赠送"
    fields = ["number", "status", "giver", "taker", "message", "made_at", "expires_at"]
    with_related = ["giver", "taker"]
    in_order = ["-pk"]


class Events(Lines):
    model = GiftCardEvent
    verbose_name_plural = "经过"
    words = {"kind": EVENTS, "facts": {"fen": "金额(分)", "reason": "原因", "gift": "赠送单号"}}
    fields = ["at", "kind", "actor", "facts"]
    in_order = ["pk"]


@admin.register(GiftCard)
class GiftCardAdmin(Look):
    role = act_role = "FINANCE"
    colours = {"status": COLOURS}
    list_display = [
        "number", "status", "face_fen", "left", "buyer", "holder", "frozen_why", "opened_at",
    ]  # fmt: skip
    list_select_related = ["buyer", "holder"]
    list_filter = [("status", ChoicesDropdownFilter), ("opened_at", DayFilter)]
    search_fields = ["number", "holder__nickname", "holder__number", "buyer__number"]
    search_help_text = "卡号、用户编号或持卡人昵称"
    ordering = ["-opened_at", "-pk"]
    fields = [
        ("number", "status"),
        ("face_fen", "left"),
        ("refunded_fen", "unpaid_fen"),
        ("buyer", "holder"),
        ("opened_at", "paid_at"),
        ("given_at", "redeemed_at"),
        ("frozen_why", "frozen_at"),
        "closed_at",
    ]
    inlines = [Gifts, Events]
    actions_detail = ["freeze", "thaw"]
    offered = {
        "freeze": lambda card: not card.frozen_why,
        "thaw": lambda card: bool(card.frozen_why),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[GiftCard]:
        account = Account.objects.filter(
            code=Concat(Value("gift_card:"), OuterRef("number"))
        ).values("balance_fen")
        return super().get_queryset(request).annotate(left_fen=Coalesce(Subquery(account), 0))

    @display(description="卡内余额", ordering="left_fen")
    def left(self, card: Any) -> str:
        return in_yuan(card.left_fen)

    @action(description="冻结", icon="ac_unit", permissions=["act"])
    def freeze(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda card, answers: buying.freeze(
                card=card, reason=answers["reason"], actor=viewer_of(request).number, at=now()
            ),
            title="冻结礼品卡",
            lead="冻结后不能支付、赠送、领取、兑换或退卡，卡里的钱不动。",
        )

    @action(description="解冻", icon="sunny", permissions=["act"])
    def thaw(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda card, answers: buying.thaw(
                card=card, reason=answers["reason"], actor=viewer_of(request).number, at=now()
            ),
            title="解冻礼品卡",
            lead="持卡人立即可以继续使用。",
        )

    def facts(self, row: Any) -> Sequence[tuple[str, Any]]:
        return [
            ("卡号", row.number),
            ("面值", in_yuan(row.face_fen)),
            ("卡内余额", in_yuan(row.left_fen)),
            ("购卡人", row.buyer),
            ("持卡人", row.holder),
            ("冻结原因", row.frozen_why or "—"),
        ]
