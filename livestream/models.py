from collections.abc import Collection
from datetime import datetime
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Exists, F, OuterRef, Q

from config.kit.numbers import fresh
from config.kit.states import known
from livestream.rules import ClaimStatus, EventType, LotStatus, SessionStatus
from members.merchants.models import Merchant
from shop.catalog.models import Sku
from shop.offers.models import Offer
from shop.orders.models import Order


def session_number() -> str:
    return fresh("H")


def lot_number() -> str:
    return fresh("K")


class SessionQuerySet(models.QuerySet["Session"]):
    def visible_to(self, members_of: Collection[int], works_for: Collection[str] | None) -> Self:
        """Sessions of trading merchants; one with a private product only for members and staff.

        `members_of`: merchants by key; `works_for`: merchants by number, None for all of them.
        The one place that decides it: for lists, pages, events, claims and the room.
        """
        if works_for is None:
            return self.all()
        secret = Lot.objects.filter(session=OuterRef("pk"), sku__product__is_private=True)
        is_open = Q(merchant__status="ACTIVE") & (
            Q(merchant__in=list(members_of)) | ~Exists(secret)
        )
        return self.filter(is_open | Q(merchant__number__in=list(works_for)))

    def overdue(self, at: datetime) -> Self:
        return self.exclude(status=SessionStatus.ENDED).filter(ends_at__lte=at)


class Session(models.Model):
    """One live broadcast of a merchant."""

    number = models.CharField(
        "编号", max_length=16, unique=True, default=session_number, editable=False
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="sessions", verbose_name="商家", db_index=False
    )
    host = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="主播"
    )
    title = models.CharField("标题", max_length=60)
    status = models.CharField(
        "状态", max_length=16, choices=SessionStatus, default=SessionStatus.SCHEDULED
    )
    starts_at = models.DateTimeField("开始时间")
    ends_at = models.DateTimeField("结束时间")
    started_at = models.DateTimeField("实际开播", null=True, blank=True)
    ended_at = models.DateTimeField("实际下播", null=True, blank=True)
    last_seq = models.PositiveBigIntegerField("最后事件序号", default=0)

    objects = SessionQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "直播场次"
        constraints = [
            models.CheckConstraint(
                name="session_status_known", condition=known("status", SessionStatus.values)
            ),
            models.CheckConstraint(
                name="session_has_time", condition=Q(starts_at__lt=F("ends_at"))
            ),
            models.CheckConstraint(
                name="session_live_has_started",
                condition=~Q(status="LIVE") | Q(started_at__isnull=False),
            ),
            models.CheckConstraint(
                name="session_ended_has_time",
                condition=~Q(status="ENDED") | Q(ended_at__isnull=False),
            ),
        ]
        indexes = [
            # The list of sessions, newest first, and that of one merchant.
            models.Index(fields=["-starts_at", "-id"], name="session_by_time"),
            models.Index(fields=["merchant", "-starts_at"], name="session_of_merchant"),
            # The sweep that ends what is over.
            models.Index("ends_at", name="session_to_end", condition=~Q(status="ENDED")),
        ]

    def __str__(self) -> str:
        return self.title


class LotQuerySet(models.QuerySet["Lot"]):
    def to_serve(self) -> Self:
        """Lots whose gate may hold claims that nobody has answered yet."""
        return self.filter(
            Q(status=LotStatus.DROPPED) | Q(status=LotStatus.CLOSED, settled_at=None)
        ).exclude(offer=None)


class Lot(models.Model):
    """Pieces of one SKU that the host puts up during a session, at a price of their own."""

    number = models.CharField(
        "编号", max_length=16, unique=True, default=lot_number, editable=False
    )
    session = models.ForeignKey(Session, models.PROTECT, related_name="lots", verbose_name="场次")
    sku = models.ForeignKey(Sku, models.PROTECT, related_name="lots", verbose_name="规格")
    price_fen = models.PositiveBigIntegerField("直播价(分)")
    quota = models.PositiveIntegerField("件数")
    per_buyer_limit = models.PositiveIntegerField("每人限购", default=1)
    status = models.CharField("状态", max_length=16, choices=LotStatus, default=LotStatus.READY)
    is_paused = models.BooleanField("暂停抢购", default=False)
    offer = models.OneToOneField(
        Offer, models.PROTECT, null=True, blank=True, related_name="lot", verbose_name="活动价"
    )
    dropped_at = models.DateTimeField("上架时间", null=True, blank=True)
    closed_at = models.DateTimeField("下架时间", null=True, blank=True)
    # Closed, and every claim that the gate had admitted until then is answered.
    settled_at = models.DateTimeField("结清时间", null=True, blank=True)
    # Counts the lives of the gate: claims admitted by an earlier one are void.
    gate_epoch = models.PositiveIntegerField("闸口代次", default=0)
    # What the room was told last.
    told_left = models.PositiveIntegerField("已播报余量", null=True, blank=True)
    told_at = models.DateTimeField("播报时间", null=True, blank=True)

    objects = LotQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "直播商品"
        constraints = [
            models.CheckConstraint(
                name="lot_status_known", condition=known("status", LotStatus.values)
            ),
            models.CheckConstraint(
                name="lot_has_pieces_and_price",
                condition=Q(quota__gt=0, price_fen__gt=0, per_buyer_limit__gt=0),
            ),
            models.CheckConstraint(
                name="lot_dropped_has_offer",
                condition=~Q(status="DROPPED") | Q(offer__isnull=False, dropped_at__isnull=False),
            ),
            models.CheckConstraint(
                name="lot_closed_has_time",
                condition=~Q(status="CLOSED") | Q(closed_at__isnull=False),
            ),
        ]
        indexes = [
            # The sweep that serves the gates.
            models.Index("id", name="lot_to_serve", condition=Q(settled_at=None) & ~Q(offer=None)),
        ]

    def __str__(self) -> str:
        return self.number


class ClaimQuerySet(models.QuerySet["Claim"]):
    def counting(self) -> Self:
        """Claims whose pieces are the buyer's: towards the quota and towards the limit.

        An order that was closed gave its pieces back, so its buyer may try again.
        """
        return self.filter(status=ClaimStatus.ORDERED).exclude(order__status="CLOSED")


class Claim(models.Model):
    """What became of one admitted claim; written together with its order."""

    ticket = models.CharField("抢购凭证", max_length=40, unique=True)
    lot = models.ForeignKey(
        Lot, models.PROTECT, related_name="claims", verbose_name="直播商品", db_index=False
    )
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="claims", verbose_name="买家"
    )
    request_id = models.CharField("幂等键", max_length=36)
    quantity = models.PositiveIntegerField("件数")
    address = models.CharField("地址编号", max_length=24)
    position = models.PositiveIntegerField("入场次序")
    status = models.CharField("状态", max_length=16, choices=ClaimStatus)
    code = models.CharField("未抢到原因", max_length=32, blank=True)
    order = models.OneToOneField(
        Order, models.PROTECT, null=True, blank=True, related_name="claim", verbose_name="订单"
    )
    at = models.DateTimeField("处理时间")

    objects = ClaimQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "抢购记录"
        constraints = [
            models.UniqueConstraint("lot", "buyer", "request_id", name="claim_once_per_request"),
            models.CheckConstraint(
                name="claim_row_is_an_outcome",
                condition=Q(status="ORDERED", code="", order__isnull=False)
                | Q(status="REFUSED", order__isnull=True) & ~Q(code=""),
            ),
            models.CheckConstraint(name="claim_has_pieces", condition=Q(quantity__gt=0)),
        ]
        indexes = [
            # In the order in which the gate let them in.
            models.Index("lot", "position", name="claim_by_position"),
        ]

    def __str__(self) -> str:
        return self.ticket


class RoomEvent(models.Model):
    """What the room was told; only ever added to.  Numbered without gaps within a session."""

    session = models.ForeignKey(
        Session, models.PROTECT, related_name="events", verbose_name="场次", db_index=False
    )
    seq = models.PositiveBigIntegerField("序号")
    type = models.CharField("类型", max_length=24, choices=EventType)
    at = models.DateTimeField("时间")
    data = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "直播间事件"
        constraints = [
            models.UniqueConstraint("session", "seq", name="room_event_numbered_once"),
            models.CheckConstraint(
                name="room_event_type_known", condition=known("type", EventType.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
