from datetime import datetime
from typing import Self

from django.db import models
from django.db.models import Q

from payments.wechat_pay.models import WeChatTrade
from shop.orders.models import Order
from shop.wechat_shipping.rules import NOT_TOLD, TO_SEND, Kind, Status


class ReportQuerySet(models.QuerySet["ShippingReport"]):
    def to_send(self, at: datetime) -> Self:
        return self.filter(status__in=TO_SEND, next_try_at__lte=at)

    def to_compare(self, at: datetime) -> Self:
        return self.filter(compare_at__lte=at)

    def late(self, before: datetime) -> Self:
        """Not told, with their deadline before this moment."""
        return self.filter(status__in=NOT_TOLD, deadline__lte=before)

    def different(self) -> Self:
        return self.exclude(difference="")


class ShippingReport(models.Model):
    """What WeChat is to be told, or was told, of one payment that it took the money of."""

    trade = models.OneToOneField(
        WeChatTrade, models.PROTECT, related_name="shipping_report", verbose_name="微信支付交易"
    )
    order = models.ForeignKey(
        Order,
        models.PROTECT,
        null=True,
        related_name="shipping_reports",
        verbose_name="订单",
        help_text="没有订单的是充值等虚拟商品",
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.WAITING)
    kind = models.PositiveSmallIntegerField(
        "配送方式", choices=Kind, null=True, help_text="空：有运单号为快递，否则为用户自提"
    )
    deadline = models.DateTimeField("上报期限", help_text="付款后 48 小时")
    told = models.JSONField("微信已收下", default=dict)
    seen_shipment = models.BigIntegerField("已计入的发货单", default=0)
    # A worker's claim: its number makes the word of one that was too slow worthless.
    turn = models.PositiveIntegerField("上报批次", default=0)
    attempts = models.PositiveIntegerField("连续失败次数", default=0)
    next_try_at = models.DateTimeField("下次上报", null=True)
    last_error = models.CharField("最近一次问题", max_length=300, blank=True)
    reported_at = models.DateTimeField("上报时间", null=True)
    correction_asked_at = models.DateTimeField("更正时间", null=True, help_text="微信只允许一次")
    receipt_asked_at = models.DateTimeField(
        "已提醒买家确认", null=True, help_text="微信每笔订单只提醒一次"
    )
    confirmed_at = models.DateTimeField("买家收货时间", null=True)
    settled_at = models.DateTimeField("微信结算时间", null=True)
    compare_at = models.DateTimeField("下次核对", null=True)
    difference = models.CharField("与微信不一致", max_length=300, blank=True)
    alerted_at = models.DateTimeField("已告警", null=True)

    objects = ReportQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "微信发货信息"
        constraints = [
            models.CheckConstraint(
                name="shipping_report_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(
                name="shipping_report_told_has_time",
                condition=~Q(status__in=["REPORTED", "CORRECTING", "CORRECTED"])
                | Q(reported_at__isnull=False),
            ),
            models.CheckConstraint(
                name="shipping_report_corrected_was_asked",
                condition=~Q(status__in=["CORRECTING", "CORRECTED"])
                | Q(correction_asked_at__isnull=False),
            ),
            models.CheckConstraint(
                name="shipping_report_failed_says_why",
                condition=~Q(status="FAILED") | ~Q(last_error=""),
            ),
            models.CheckConstraint(
                name="shipping_report_tries_what_waits",
                condition=Q(next_try_at=None) | Q(status__in=["WAITING", "CORRECTING"]),
            ),
        ]
        indexes = [
            # The sweeps: what is to be sent, what may be compared, what is nearly too late.
            models.Index(
                "next_try_at",
                name="shipping_report_to_send",
                condition=Q(next_try_at__isnull=False),
            ),
            models.Index(
                "compare_at",
                name="shipping_report_to_compare",
                condition=Q(compare_at__isnull=False),
            ),
            models.Index(
                "deadline",
                name="shipping_report_not_told",
                condition=Q(status__in=["WAITING", "FAILED"]),
            ),
            models.Index("deadline", name="shipping_report_different", condition=~Q(difference="")),
        ]

    def __str__(self) -> str:
        return self.trade.out_trade_no


class ShippingEvent(models.Model):
    """What happened to a report, by whom; only ever added to."""

    report = models.ForeignKey(ShippingReport, models.PROTECT, related_name="events")
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, blank=True, help_text="用户编号；系统为空")
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "微信发货信息事件"

    def __str__(self) -> str:
        return self.kind


class WeChatPush(models.Model):
    """An event that WeChat pushed, once.  `problem`: what a person must look at."""

    key = models.CharField("事件指纹", max_length=64)
    event = models.CharField("事件", max_length=64)
    told = models.JSONField("内容", default=dict)
    problem = models.CharField("问题", max_length=300, blank=True)
    at = models.DateTimeField("收到时间")

    class Meta:
        verbose_name = verbose_name_plural = "微信推送"
        constraints = [models.UniqueConstraint("key", name="wechat_push_once")]
        indexes = [
            models.Index("at", name="wechat_push_problem", condition=~Q(problem="")),
        ]

    def __str__(self) -> str:
        return self.event
