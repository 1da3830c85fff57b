from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.timezone import now
from unfold.contrib.filters.admin import BooleanRadioFilter, ChoicesDropdownFilter
from unfold.decorators import action, display

from config.kit.admin import Edit, Lines, Look, Question, Reason, Sure, each
from config.kit.columns import DayFilter, in_shanghai
from members.accounts.models import User
from members.memberships import services
from members.memberships.models import Level, Membership, MembershipEvent, Post
from members.memberships.rules import TRANSITIONS, Audience, Status

OPERATOR = "OPERATOR"


def me(request: HttpRequest) -> User:
    assert isinstance(request.user, User)
    return request.user


@admin.register(Level)
class LevelAdmin(Edit):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = OPERATOR
    list_display = ["name", "rank", "merchant"]
    list_select_related = ["merchant"]
    fields = ["merchant", "rank", "name"]
    editable = ["rank", "name"]
    addable = ["merchant", "rank", "name"]
    search_fields = ["name"]
    ordering = ["merchant", "rank"]

    def keep(self, request: HttpRequest, row: Level, values: dict[str, Any]) -> None:
        Level.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Level:
        return Level.objects.create(**values)


class Events(Lines):
    model = MembershipEvent
    verbose_name_plural = "经过"
    fields = ["at", "kind", "actor_person", "facts"]
    with_related = ["actor"]
    words = {"facts": {"reason": "原因", "level": "等级"}}

    @display(description="操作人")
    def actor_person(self, event: MembershipEvent) -> str:
        return str(event.actor)


class NewLevel(Question):
    level = forms.ModelChoiceField(
        Level.objects.none(), label="等级", required=False, empty_label="无等级"
    )

    def prepare(self) -> None:
        levels = Level.objects.filter(merchant=self.row.merchant_id).order_by("rank")
        self.fields["level"].queryset = levels  # type: ignore[attr-defined]
        self.initial["level"] = self.row.level_id


def _may(target: str, *sources: str) -> Any:
    """Whether the table allows it from this row's state (or only from `sources`)."""
    return lambda row: target in TRANSITIONS[row.status] and (not sources or row.status in sources)


@admin.register(Membership)
class MembershipAdmin(Look):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = OPERATOR
    colours = {
        "status": {
            Status.PENDING: "warning",
            Status.ACTIVE: "success",
            Status.BLOCKED: "danger",
            Status.LEFT: "",
        }
    }
    list_display = ["user", "card_no", "status", "level", "merchant", "joined_at"]
    list_select_related = ["user", "level", "merchant"]
    list_filter = [("status", ChoicesDropdownFilter), ("joined_at", DayFilter)]
    search_fields = ["card_no", "user__nickname", "user__phone"]
    search_help_text = "会员卡号、昵称或手机号"
    ordering = ["-joined_at", "-pk"]
    fields = [("user", "status"), ("card_no", "level"), ("merchant", "joined_at")]
    inlines = [Events]
    actions = ["approve_chosen"]
    actions_detail = ["approve", "change_level", "block", "unblock"]
    offered = {
        "approve": _may(Status.ACTIVE, Status.PENDING),
        "block": _may(Status.BLOCKED),
        "unblock": _may(Status.ACTIVE, Status.BLOCKED),
    }

    @action(description="通过申请", icon="check", permissions=["act"])
    def approve(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda row, _: services.approve(membership=row, actor=me(request), at=now()),
            title="通过申请",
        )

    @action(description="通过申请", permissions=["act"])
    def approve_chosen(self, request: HttpRequest, rows: QuerySet[Membership]) -> None:
        each(
            self,
            request,
            rows,
            lambda row: services.approve(membership=row, actor=me(request), at=now()),
            "通过申请",
        )

    @action(description="屏蔽会员", icon="block", permissions=["act"])
    def block(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Reason,
            lambda row, told: services.block(
                membership=row, actor=me(request), at=now(), reason=told["reason"]
            ),
            title="屏蔽会员",
            lead="屏蔽后看不到会员价与私密商品。",
        )

    @action(description="解除屏蔽", icon="check", permissions=["act"])
    def unblock(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            Sure,
            lambda row, _: services.unblock(membership=row, actor=me(request), at=now()),
            title="解除屏蔽",
        )

    @action(description="调整等级", icon="military_tech", permissions=["act"])
    def change_level(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return self.ask_about(
            request,
            object_id,
            NewLevel,
            lambda row, told: services.set_level(
                membership=row, level=told["level"], actor=me(request), at=now()
            ),
            title="调整等级",
        )

    def facts(self, row: Membership) -> list[tuple[str, Any]]:
        return [
            ("会员", row.user),
            ("会员卡号", row.card_no),
            ("等级", row.level or "—"),
            ("状态", row.get_status_display()),
            ("加入时间", in_shanghai(row.joined_at)),
        ]


@admin.register(Post)
class PostAdmin(Edit):
    tenant_path = "merchant__number"
    tenant_name_path = "merchant__name"
    act_role = OPERATOR
    colours = {"audience": {Audience.PUBLIC: "", Audience.MEMBERS: "info"}}
    list_display = ["title", "audience", "is_pinned", "merchant", "published_at"]
    list_select_related = ["merchant"]
    list_filter = [
        ("audience", ChoicesDropdownFilter),
        ("is_pinned", BooleanRadioFilter),
        ("published_at", DayFilter),
    ]
    search_fields = ["title", "number"]
    search_help_text = "标题或编号"
    ordering = ["-published_at", "-pk"]
    fields = ["merchant", "title", "body", ("audience", "is_pinned"), "published_at"]
    editable = ["title", "body", "audience", "is_pinned", "published_at"]
    addable = ["merchant", *editable]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"published_at": now(), **super().get_changeform_initial_data(request)}

    def keep(self, request: HttpRequest, row: Post, values: dict[str, Any]) -> None:
        Post.objects.filter(pk=row.pk).update(**values)

    def add(self, request: HttpRequest, values: dict[str, Any]) -> Post:
        return services.publish(at=values.pop("published_at"), **values)
