from datetime import datetime
from typing import Self

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from config.kit.viewer import Viewer
from members.guides.models import Guide
from members.merchants.models import Merchant
from shop.catalog.models import Sku
from shop.offers.models import Offer
from shop.orders.rules import CloseReason, FreezeReason, Status
from shop.pricing.rules import Kind


class OrderQuerySet(models.QuerySet["Order"]):
    def of(self, buyer: Viewer) -> Self:
        return self.filter(buyer_id=buyer.pk)

    def seen_by(self, viewer: Viewer, role: str) -> Self:
        """What staff of a role may look at: their merchants' orders, or all for the platform."""
        tenants = viewer.tenants(role)
        return self if tenants is None else self.filter(merchant__number__in=tenants)

    def overdue(self, at: datetime) -> Self:
        return self.filter(
            status=Status.UNPAID, pay_before__lte=at, shipped_at=None, closed_at=None
        )

    def to_expire(self, at: datetime) -> Self:
        """Overdue, and not held back for a bank's statement just now."""
        return self.overdue(at).filter(Q(held_until=None) | Q(held_until__lte=at))

    def frozen(self) -> Self:
        return self.filter(frozen_at__isnull=False)


class Order(models.Model):
    """What a buyer agreed to buy from one merchant, at prices frozen when it was placed."""

    number = models.CharField("订单号", max_length=24)
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="orders",
        verbose_name="买家",
        db_index=False,
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="orders", verbose_name="商家", db_index=False
    )
    guide = models.ForeignKey(
        Guide,
        models.PROTECT,
        null=True,
        blank=True,
        related_name="orders",
        verbose_name="导购",
        db_index=False,
    )
    commission_rate = models.DecimalField(
        "佣金比例(%)", max_digits=5, decimal_places=2, help_text="下单时冻结"
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.UNPAID)
    total_fen = models.PositiveBigIntegerField("合计(分)")
    consignee = models.JSONField("收货信息")
    remark = models.CharField("备注", max_length=200, blank=True)
    origin = models.CharField(
        "来源凭据", max_length=48, null=True, blank=True, help_text="同一凭据只下一单"
    )
    placed_at = models.DateTimeField("下单时间")
    pay_before = models.DateTimeField("付款期限")
    held_until = models.DateTimeField(
        "暂缓关闭到", null=True, blank=True, help_text="付款期限已过，等最后一天的银行流水"
    )
    paid_at = models.DateTimeField("付款时间", null=True, blank=True)
    shipped_at = models.DateTimeField("发货时间", null=True, blank=True)
    receive_before = models.DateTimeField("自动收货时间", null=True, blank=True)
    received_at = models.DateTimeField("收货时间", null=True, blank=True)
    finish_at = models.DateTimeField("售后截止", null=True, blank=True)
    done_at = models.DateTimeField("完成时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)
    close_reason = models.CharField("关闭原因", max_length=16, choices=CloseReason, blank=True)
    frozen_at = models.DateTimeField("冻结时间", null=True, blank=True)
    freeze_reason = models.CharField("冻结原因", max_length=16, choices=FreezeReason, blank=True)

    objects = OrderQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "订单"
        constraints = [
            models.UniqueConstraint("number", name="order_number_once"),
            models.UniqueConstraint(
                "origin", name="order_once_per_origin", condition=Q(origin__isnull=False)
            ),
            models.CheckConstraint(
                name="order_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(
                name="order_paid_has_time",
                condition=Q(status__in=["UNPAID", "CLOSED"]) | Q(paid_at__isnull=False),
            ),
            models.CheckConstraint(
                name="order_shipped_has_times",
                condition=~Q(status__in=["SHIPPED", "RECEIVED", "DONE"])
                | Q(shipped_at__isnull=False, receive_before__isnull=False),
            ),
            models.CheckConstraint(
                name="order_received_has_times",
                condition=~Q(status__in=["RECEIVED", "DONE"])
                | Q(received_at__isnull=False, finish_at__isnull=False),
            ),
            # The sweeps find orders by these times.
            models.CheckConstraint(
                name="order_unpaid_is_under_way",
                condition=~Q(status="UNPAID") | Q(shipped_at=None, closed_at=None),
            ),
            models.CheckConstraint(
                name="order_shipped_is_under_way",
                condition=~Q(status="SHIPPED") | Q(received_at=None, closed_at=None),
            ),
            models.CheckConstraint(
                name="order_received_is_under_way",
                condition=~Q(status="RECEIVED") | Q(closed_at=None),
            ),
            models.CheckConstraint(
                name="order_done_has_time",
                condition=Q(status="DONE", done_at__isnull=False)
                | ~Q(status="DONE") & Q(done_at=None),
            ),
            models.CheckConstraint(
                name="order_closed_has_reason",
                condition=~Q(status="CLOSED") | Q(closed_at__isnull=False) & ~Q(close_reason=""),
            ),
            models.CheckConstraint(
                name="order_frozen_has_reason",
                condition=Q(frozen_at=None, freeze_reason="")
                | Q(frozen_at__isnull=False) & ~Q(freeze_reason=""),
            ),
        ]
        # None mentions what paying changes, so that a paid order is rewritten in place (HOT).
        indexes = [
            # The dashboard's count of what staff must look at: hardly ever any.
            models.Index("merchant", name="order_frozen", condition=Q(frozen_at__isnull=False)),
            # The buyer's list, newest first.
            models.Index(F("buyer"), F("placed_at").desc(), name="order_by_buyer"),
            # The merchant's list, newest first.
            models.Index(F("merchant"), F("placed_at").desc(), name="order_by_merchant"),
            # The dashboard's takings by day; orders are paid about as they were placed.
            BrinIndex("paid_at", name="order_by_payday", pages_per_range=32, autosummarize=True),
            # The sweep reads only what is under way.
            models.Index(
                "pay_before",
                name="order_unpaid_due",
                condition=Q(shipped_at=None, closed_at=None),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class OrderLine(models.Model):
    """One SKU of an order, with the price, the reason and the receipt that gave it."""

    order = models.ForeignKey(Order, models.CASCADE, related_name="lines", db_index=False)
    line = models.PositiveSmallIntegerField("行")
    sku = models.ForeignKey(Sku, models.PROTECT, verbose_name="规格")
    offer = models.ForeignKey(
        Offer, models.PROTECT, null=True, blank=True, related_name="lines", verbose_name="活动"
    )
    title = models.CharField("商品", max_length=80)
    sku_name = models.CharField("规格名", max_length=40)
    quantity = models.PositiveIntegerField("数量")
    unit_price_fen = models.PositiveBigIntegerField("单价(分)")
    total_fen = models.PositiveBigIntegerField("小计(分)")
    price_reason = models.CharField("价格类型", max_length=16, choices=Kind)
    receipt = models.JSONField("价格依据", default=list)
    is_shipped = models.BooleanField("已发货", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "订单行"
        constraints = [
            models.UniqueConstraint("order", "line", name="orderline_numbered_once"),
            models.CheckConstraint(
                name="orderline_adds_up",
                condition=Q(total_fen=F("unit_price_fen") * F("quantity"), quantity__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} {self.sku_name}"


class HeldLine(models.Model):
    """The guarantee of a line that was sent: its money is held until receipt and after-sales.

    Money of a line that was not sent yet is held without a row.  Whoever changes a row holds its
    order.  `stopped_by` names what stops the clock (FROZEN, a case); the times stand still until
    the last of them is gone (`shop.orders.clock`).
    """

    line = models.OneToOneField(
        OrderLine, models.PROTECT, primary_key=True, related_name="held", verbose_name="订单行"
    )
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        related_name="held_lines",
        verbose_name="订单",
        db_constraint=False,  # orders are never deleted, and the line names it already
    )
    amount_fen = models.PositiveBigIntegerField("担保金额(分)")
    fee_ppm = models.PositiveIntegerField("平台费率(百万分之)", help_text="下单时的费率")
    fee_fen = models.PositiveBigIntegerField("平台手续费(分)")
    receive_before = models.DateTimeField("自动收货时间")
    received_at = models.DateTimeField("收货时间", null=True, blank=True)
    release_at = models.DateTimeField("售后截止", null=True, blank=True)
    released_at = models.DateTimeField("放款时间", null=True, blank=True)
    stopped_by = ArrayField(
        models.CharField(max_length=32), verbose_name="暂停原因", default=list, blank=True
    )
    stopped_at = models.DateTimeField("暂停时间", null=True, blank=True)
    posting = models.CharField("放款凭证号", max_length=96, blank=True, db_default="")

    class Meta:
        verbose_name = verbose_name_plural = "担保明细"
        constraints = [
            models.CheckConstraint(
                name="held_line_fee_within_amount", condition=Q(fee_fen__lte=F("amount_fen"))
            ),
            # S002.49: never before receipt, and the after-sale window is over.
            models.CheckConstraint(
                name="held_line_released_after_receipt_and_window",
                condition=Q(released_at=None, posting="")
                | Q(received_at__isnull=False, released_at__gte=F("release_at")) & ~Q(posting=""),
            ),
            models.CheckConstraint(
                name="held_line_received_has_window",
                condition=Q(received_at=None, release_at=None)
                | Q(received_at__isnull=False, release_at__isnull=False),
            ),
            models.CheckConstraint(
                name="held_line_stopped_has_reason_and_time",
                condition=Q(stopped_at=None, stopped_by=[])
                | Q(stopped_at__isnull=False) & ~Q(stopped_by=[]),
            ),
            models.CheckConstraint(
                name="held_line_stopped_is_not_released",
                condition=Q(stopped_at=None) | Q(released_at=None),
            ),
        ]
        indexes = [
            # Two sweeps, each reading only what is under way.
            models.Index(
                "receive_before",
                "line",
                name="held_line_receipt_due",
                condition=Q(received_at=None, stopped_at=None),
            ),
            models.Index(
                "release_at",
                "line",
                name="held_line_release_due",
                condition=Q(release_at__isnull=False, released_at=None, stopped_at=None),
            ),
            # What stands still; hardly ever any.
            models.Index("order", name="held_line_stopped", condition=Q(stopped_at__isnull=False)),
            # The audit compares a posting with its lines.
            models.Index("posting", name="held_line_by_posting", condition=~Q(posting="")),
        ]

    def __str__(self) -> str:
        return f"{self.order_id} {self.amount_fen}"


class OrderEvent(models.Model):
    """What happened to an order, by whom; only ever added to.

    Written by the statement that moved the order, which is never deleted (a trigger): looking it
    up again for every row would cost as much as writing the event.
    """

    order = models.ForeignKey(Order, models.PROTECT, related_name="events", db_constraint=False)
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, blank=True, help_text="用户编号；系统为空")
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "订单事件"

    def __str__(self) -> str:
        return self.kind
