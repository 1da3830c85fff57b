from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from members.guides.rules import GuideStatus, Status, TargetKind, fresh_code
from members.merchants.models import Merchant


class Guide(models.Model):
    """A person who sells for a merchant (导购)."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="guide_of",
        verbose_name="用户",
        db_index=False,
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="guides", verbose_name="商家"
    )
    status = models.CharField(
        "状态", max_length=16, choices=GuideStatus, default=GuideStatus.ACTIVE
    )
    opened_at = models.DateTimeField("入职时间")
    closed_at = models.DateTimeField("离岗时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "导购"
        constraints = [
            models.UniqueConstraint("user", "merchant", name="guide_once_per_merchant"),
            models.CheckConstraint(
                name="guide_status_known", condition=known("status", GuideStatus.values)
            ),
            models.CheckConstraint(
                name="guide_closed_has_time",
                condition=Q(status="ACTIVE", closed_at=None)
                | Q(status="CLOSED", closed_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return str(self.user)


class ShareCode(models.Model):
    """What a guide's poster or link carries; fits the 32 signs of a WeChat scene."""

    code = models.CharField(
        "分享码", max_length=10, unique=True, default=fresh_code, editable=False
    )
    guide = models.ForeignKey(
        Guide,
        models.PROTECT,
        related_name="share_codes",
        verbose_name="导购",
        db_index=False,
    )
    target_kind = models.CharField("目标类型", max_length=16, choices=TargetKind)
    target = models.CharField("目标编号", max_length=24)
    created_at = models.DateTimeField("创建时间")
    # WeChat's picture of the code, fetched once: it never changes and WeChat counts the calls.
    qr = models.BinaryField("小程序码", null=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "分享码"
        constraints = [
            models.UniqueConstraint(
                "guide", "target_kind", "target", name="share_code_once_per_target"
            ),
            models.CheckConstraint(
                name="share_code_target_kind_known",
                condition=known("target_kind", TargetKind.values),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class CustomerBond(models.Model):
    """The guide a customer belongs to at a merchant today."""

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="bonds",
        verbose_name="客户",
        db_index=False,
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="bonds", verbose_name="商家"
    )
    guide = models.ForeignKey(
        Guide, models.PROTECT, related_name="bonds", verbose_name="导购", db_index=False
    )
    bonded_at = models.DateTimeField("绑定时间")

    class Meta:
        verbose_name = verbose_name_plural = "客户归属"
        constraints = [
            models.UniqueConstraint("customer", "merchant", name="bond_once_per_merchant"),
        ]
        indexes = [
            # A guide's customers, newest first.
            models.Index(fields=["guide", "-bonded_at"], name="bond_of_guide"),
        ]

    def __str__(self) -> str:
        return f"{self.customer_id} → {self.guide_id}"


class BondEvent(models.Model):
    """A customer came to a guide.  Rows are only added; the latest one is the bond."""

    customer = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="客户"
    )
    guide = models.ForeignKey(
        Guide, models.PROTECT, related_name="bond_events", verbose_name="导购"
    )
    share_code = models.ForeignKey(
        ShareCode, models.PROTECT, related_name="+", verbose_name="分享码"
    )
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "归属记录"

    def __str__(self) -> str:
        return f"{self.customer_id} → {self.guide_id}"


class Commission(models.Model):
    """What a guide earns from one order line.  The order is named, not linked: shop is above."""

    guide = models.ForeignKey(
        Guide, models.PROTECT, related_name="commissions", verbose_name="导购", db_index=False
    )
    order_number = models.CharField("订单号", max_length=24)
    line = models.PositiveSmallIntegerField("行号")
    base_fen = models.PositiveBigIntegerField("计佣金额(分)")
    amount_fen = models.PositiveBigIntegerField("佣金(分)")
    rate = models.DecimalField("比例(%)", max_digits=5, decimal_places=2)
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField("产生时间")
    settled_at = models.DateTimeField("结算时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "佣金"
        constraints = [
            models.UniqueConstraint("order_number", "line", name="commission_once_per_line"),
            models.CheckConstraint(
                name="commission_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(
                name="commission_pending_until_settled",
                condition=Q(status="PENDING", settled_at=None)
                | (~Q(status="PENDING") & Q(settled_at__isnull=False)),
            ),
            models.CheckConstraint(
                name="commission_at_most_its_base", condition=Q(amount_fen__lte=F("base_fen"))
            ),
        ]
        indexes = [
            # A guide's list, newest first.
            models.Index(fields=["guide", "-created_at"], name="commission_of_guide"),
        ]

    def __str__(self) -> str:
        return f"{self.order_number}:{self.line}"
