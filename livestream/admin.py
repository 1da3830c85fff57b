from typing import Any, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Lines, Look, Question, Sure, viewer_of
from config.kit.columns import DayFilter, YuanField, in_shanghai, in_yuan, label
from livestream import services
from livestream.models import Claim, Lot, RoomEvent, Session
from livestream.rules import LOT_MOVES, SESSION_MOVES, ClaimStatus, LotStatus, SessionStatus
from members.accounts.models import User
from members.merchants import queries as merchants
from members.merchants.models import Merchant

OPERATOR = "OPERATOR"
SESSION_COLOURS = {
    SessionStatus.SCHEDULED: "info",
    SessionStatus.LIVE: "danger",
    SessionStatus.ENDED: "",
}
LOT_COLOURS = {LotStatus.READY: "info", LotStatus.DROPPED: "danger", LotStatus.CLOSED: ""}
# Codes of refusals that a claim's row may keep.
REFUSED = {
    "SOLD_OUT": "库存不足",
    "OFFER_GONE": "已抢光或已结束",
    "LOT_CLOSED": "抢购已结束",
    "OVER_LIMIT": "超过每人限购",
    "ADDRESS_GONE": "收货地址已删除",
    "NOT_FOR_SALE": "商品已下架",
    "TRY_AGAIN": "系统繁忙",
}


class NewSession(Question):
    merchant = forms.ModelChoiceField(Merchant.objects.none(), label="商家", empty_label=None)
    title = forms.CharField(label="标题", max_length=60)
    starts_at = forms.DateTimeField(
        label="开始时间", widget=forms.DateTimeInput({"type": "datetime-local"})
    )
    ends_at = forms.DateTimeField(
        label="结束时间", widget=forms.DateTimeInput({"type": "datetime-local"})
    )

    def prepare(self) -> None:
        mine = merchants.for_staff(viewer_of(self.request), OPERATOR).order_by("name")
        self.fields["merchant"].queryset = mine  # type: ignore[attr-defined]


class NewLot(Question):
    sku = forms.CharField(label="规格编号", max_length=24)
    price_fen = YuanField(label="直播价（元）")
    quota = forms.IntegerField(label="件数", min_value=1, max_value=1_000_000)
    per_buyer_limit = forms.IntegerField(
        label="每人限购", min_value=1, max_value=1_000_000, initial=1
    )


class Lots(Lines):
    model = Lot
    fields = ["sku", "status", "price_fen", "quota", "per_buyer_limit", "dropped_at", "closed_at"]
    colours = {"status": LOT_COLOURS}
    with_related = ["sku__product"]
    show_change_link = True


class RoomEvents(Lines):
    model = RoomEvent
    verbose_name_plural = "直播间播报"
    fields = ["seq", "type", "at"]
    in_order = ["-seq"]


@admin.register(Session)
class SessionAdmin(Look):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = OPERATOR
    colours = {"status": SESSION_COLOURS}
    list_display = ["title", "status", "merchant", "host", "starts_at", "ends_at"]
    list_select_related = ["merchant", "host"]
    list_filter = [("status", ChoicesDropdownFilter), ("starts_at", DayFilter)]
    search_fields = ["title", "number"]
    search_help_text = "标题或编号"
    ordering = ["-starts_at", "-pk"]
    fields = [
        ("number", "title", "status"),
        ("merchant", "host"),
        ("starts_at", "ends_at"),
        ("started_at", "ended_at"),
    ]
    inlines = [Lots, RoomEvents]
    actions_list = ["schedule"]
    actions_detail = ["start", "add_lot", "end"]
    offered = {
        "start": lambda session: SessionStatus.LIVE in SESSION_MOVES[session.status],
        "add_lot": lambda session: session.status != SessionStatus.ENDED,
        "end": lambda session: SessionStatus.ENDED in SESSION_MOVES[session.status],
    }

    @action(description="安排直播", icon="add", permissions=["act"])
    def schedule(self, request: HttpRequest) -> HttpResponse:
        return self.ask(
            request,
            NewSession,
            lambda told: self._schedule(request, told),
            title="安排直播",
            lead="您就是这场直播的主播。",
            back=self.url_of("changelist"),
        )

    def _schedule(self, request: HttpRequest, told: dict[str, Any]) -> str:
        host = cast(User, request.user)
        session = services.create_session(host=host, at=now(), **told)
        return self.url_of("change", session.pk)

    @action(description="开播", icon="play_arrow", permissions=["act"])
    def start(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda session, _: services.start(session=session, at=now()),
            title="开播",
        )

    @action(description="添加商品", icon="add", permissions=["act"])
    def add_lot(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            NewLot,
            lambda session, told: services.create_lot(session=session, **told) and None,
            title="添加直播商品",
        )

    @action(description="下播", icon="stop", permissions=["act"])
    def end(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda session, _: services.end(session=session, at=now()),
            title="下播",
            lead="所有直播商品同时下架，没有人拿到的件数回到普通库存。",
        )

    def facts(self, row: Session) -> list[tuple[str, Any]]:
        return [
            ("场次", row.title),
            ("状态", row.get_status_display()),
            ("开始时间", in_shanghai(row.starts_at)),
            ("结束时间", in_shanghai(row.ends_at)),
        ]


@admin.register(Lot)
class LotAdmin(Look):
    tenant_path = "session__merchant__number"
    tenant_name_path = "session__merchant__name"
    act_role = OPERATOR
    colours = {"status": LOT_COLOURS}
    list_display = ["number", "status", "sku", "price_fen", "sold", "session", "dropped_at"]
    list_select_related = ["sku__product", "session", "offer"]
    list_filter = [("status", ChoicesDropdownFilter), ("dropped_at", DayFilter)]
    search_fields = ["number", "sku__number", "sku__product__title", "session__title"]
    search_help_text = "编号、商品或场次"
    ordering = ["-pk"]
    fields = [
        ("number", "status", "session"),
        ("sku", "price_fen"),
        ("sold", "per_buyer_limit", "is_paused"),
        ("dropped_at", "closed_at", "settled_at"),
    ]
    actions_detail = ["drop", "pause", "go_on", "close"]
    offered = {
        "drop": lambda lot: lot.status == LotStatus.READY,
        "pause": lambda lot: lot.status == LotStatus.DROPPED and not lot.is_paused,
        "go_on": lambda lot: lot.status == LotStatus.DROPPED and lot.is_paused,
        "close": lambda lot: LotStatus.CLOSED in LOT_MOVES[lot.status],
    }

    @display(description="已售/件数")
    def sold(self, lot: Lot) -> str:
        return f"{lot.offer.taken if lot.offer else 0}/{lot.quota}"

    @action(description="上架开抢", icon="bolt", permissions=["act"])
    def drop(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda lot, _: services.drop(lot=lot, at=now()),
            title="上架开抢",
            lead="件数从普通库存划出，直播间立即可以抢购。",
        )

    @action(description="暂停抢购", icon="pause", permissions=["act"])
    def pause(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda lot, _: services.pause(lot=lot, is_paused=True),
            title="暂停抢购",
        )

    @action(description="继续抢购", icon="play_arrow", permissions=["act"])
    def go_on(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda lot, _: services.pause(lot=lot, is_paused=False),
            title="继续抢购",
        )

    @action(description="下架", icon="stop", permissions=["act"])
    def close(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda lot, _: services.close(lot=lot, at=now()),
            title="下架",
            lead="排队中还没有下单的抢购会被拒绝，剩余件数回到普通库存。",
        )

    def facts(self, row: Lot) -> list[tuple[str, Any]]:
        return [
            ("商品", row.sku),
            ("直播价", in_yuan(row.price_fen)),
            ("已售/件数", self.sold(row)),
            ("场次", row.session),
        ]


@admin.register(Claim)
class ClaimAdmin(Look):
    tenant_path = "lot__session__merchant__number"
    tenant_name_path = "lot__session__merchant__name"
    colours = {"status": {ClaimStatus.ORDERED: "success", ClaimStatus.REFUSED: ""}}
    list_display = ["ticket", "status", "why", "buyer", "quantity", "lot", "order", "at"]
    list_select_related = ["buyer", "lot", "order"]
    list_filter = [("status", ChoicesDropdownFilter), ("at", DayFilter)]
    search_fields = ["ticket", "lot__number", "buyer__nickname", "order__number"]
    search_help_text = "抢购凭证、直播商品、买家昵称或订单号"
    ordering = ["-pk"]
    fields = [("ticket", "status", "why"), ("buyer", "quantity"), ("lot", "order"), "at"]

    @display(description="未抢到原因")
    def why(self, claim: Claim) -> str:
        return label(REFUSED.get(claim.code, claim.code)) if claim.code else "—"
