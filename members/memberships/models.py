from django.conf import settings
from django.db import models
from django.db.models import Q

from config.kit.numbers import fresh
from config.kit.states import known
from members.memberships.rules import Audience, Kind, Status
from members.merchants.models import Merchant


class Level(models.Model):
    """A step of a merchant's member ladder; a higher rank is a better customer."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="levels", verbose_name="商家", db_index=False
    )
    rank = models.PositiveSmallIntegerField("级别")
    name = models.CharField("名称", max_length=32)

    class Meta:
        verbose_name = verbose_name_plural = "会员等级"
        constraints = [
            models.UniqueConstraint("merchant", "rank", name="level_rank_once_per_merchant"),
        ]

    def __str__(self) -> str:
        return self.name


def card_number() -> str:
    return fresh("C")


class Membership(models.Model):
    """A person joined a merchant with its member number (会员号)."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="memberships", verbose_name="商家"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="memberships",
        verbose_name="用户",
        db_index=False,
    )
    card_no = models.CharField(
        "会员卡号", max_length=16, unique=True, default=card_number, editable=False
    )
    level = models.ForeignKey(
        Level,
        models.PROTECT,
        related_name="memberships",
        verbose_name="等级",
        null=True,
        blank=True,
    )
    status = models.CharField("状态", max_length=16, choices=Status)
    joined_at = models.DateTimeField("加入时间")

    class Meta:
        verbose_name = verbose_name_plural = "会员"
        constraints = [
            models.UniqueConstraint("user", "merchant", name="membership_once_per_merchant"),
            models.CheckConstraint(
                name="membership_status_known", condition=known("status", Status.values)
            ),
        ]
        indexes = [
            # Read on every request that shows a price; the answer is in the index.
            models.Index(
                fields=["user"],
                name="membership_standing",
                condition=Q(status="ACTIVE"),
                include=["merchant", "level"],
            ),
        ]

    def __str__(self) -> str:
        return self.card_no


class MembershipEvent(models.Model):
    """What happened to a membership, by whom.  Rows are only added."""

    membership = models.ForeignKey(
        Membership, models.PROTECT, related_name="events", verbose_name="会员"
    )
    kind = models.CharField("事项", max_length=16, choices=Kind)
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="操作人"
    )
    at = models.DateTimeField("时间")
    facts = models.JSONField("说明", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "会员记录"
        constraints = [
            models.CheckConstraint(
                name="membership_event_kind_known", condition=known("kind", Kind.values)
            ),
        ]

    def __str__(self) -> str:
        return self.get_kind_display()


def post_number() -> str:
    return fresh("N")


class Post(models.Model):
    """An update (动态) of a merchant; one with a future time shows by itself when it comes."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="posts", verbose_name="商家", db_index=False
    )
    number = models.CharField(
        "编号", max_length=16, unique=True, default=post_number, editable=False
    )
    title = models.CharField("标题", max_length=64)
    body = models.TextField("正文", max_length=5000)
    audience = models.CharField(
        "可见范围", max_length=16, choices=Audience, default=Audience.PUBLIC
    )
    is_pinned = models.BooleanField("置顶", default=False)
    published_at = models.DateTimeField("发布时间")

    class Meta:
        verbose_name = verbose_name_plural = "动态"
        constraints = [
            models.CheckConstraint(
                name="post_audience_known", condition=known("audience", Audience.values)
            ),
        ]
        indexes = [
            # A merchant's feed.
            models.Index(fields=["merchant", "-published_at"], name="post_of_merchant"),
        ]

    def __str__(self) -> str:
        return self.title
