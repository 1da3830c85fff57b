from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.deposits.rules import Kind, PaymentStatus, Status


class DepositRule(models.Model):
    """How much a category, and all below it, asks for."""

    category = models.CharField("类目代码", max_length=32, unique=True)
    required_fen = models.PositiveBigIntegerField("应缴(分)")

    class Meta:
        verbose_name = verbose_name_plural = "保证金标准"

    def __str__(self) -> str:
        return self.category


class DepositMoveQuerySet(models.QuerySet["DepositMove"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(merchant__in=tenants)


class DepositMove(models.Model):
    """A deposit is paid, deducted for a violation, or given back; never deleted."""

    number = models.CharField("单号", max_length=24, unique=True)
    merchant = models.CharField("商家", max_length=24, db_index=True)
    kind = models.CharField("事项", max_length=12, choices=Kind)
    status = models.CharField("状态", max_length=12, choices=Status)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    reason = models.CharField("原因", max_length=200, blank=True)
    evidence = models.TextField("证据", max_length=2000, blank=True)
    asked_by = models.CharField("申请人", max_length=24)
    asked_at = models.DateTimeField("申请时间")
    checked_by = models.CharField("复核人", max_length=24, blank=True)
    checked_at = models.DateTimeField("复核时间", null=True, blank=True)
    said = models.CharField("复核说明", max_length=200, blank=True)
    source = models.CharField(
        "缴纳单号", max_length=24, blank=True, db_default="", help_text="空为从可用余额缴纳"
    )

    objects = DepositMoveQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "保证金"
        constraints = [
            models.CheckConstraint(
                name="deposit_move_kind_known", condition=known("kind", Kind.values)
            ),
            models.CheckConstraint(
                name="deposit_move_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(name="deposit_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="deposit_penalty_says_why",
                condition=~Q(kind="PENALTY") | ~Q(reason="") & ~Q(evidence=""),
            ),
            models.CheckConstraint(
                name="deposit_move_checked_by_another",
                condition=Q(kind__in=["TOP_UP", "REVERSED"], checked_by="", status="DONE")
                | Q(status="ASKED", checked_by="", checked_at=None)
                | Q(status__in=["DONE", "DECLINED"], checked_at__isnull=False)
                & ~Q(checked_by="")
                & ~Q(checked_by=F("asked_by")),
            ),
            models.CheckConstraint(
                name="deposit_reversed_was_paid_in", condition=~Q(kind="REVERSED") | ~Q(source="")
            ),
        ]

    def __str__(self) -> str:
        return self.number


class DepositPaymentQuerySet(models.QuerySet["DepositPayment"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(merchant__in=tenants)


class DepositPayment(models.Model):
    """A deposit that somebody pays for his merchant, collected like any other payment."""

    number = models.CharField("缴纳单号", max_length=24)
    merchant = models.CharField("商家", max_length=24)
    payer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        verbose_name="付款人",
        db_index=False,
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField(
        "状态", max_length=16, choices=PaymentStatus, default=PaymentStatus.OPEN
    )
    times_paid = models.PositiveSmallIntegerField("入账次数", default=0)
    owed_fen = models.PositiveBigIntegerField(
        "转欠款(分)", default=0, help_text="付款被银行撤回时，保证金里已不够、记为商家应付的部分"
    )
    opened_at = models.DateTimeField("发起时间")
    pay_before = models.DateTimeField("付款期限")
    look_at = models.DateTimeField("下次查看", help_text="到期后可能已付而尚未得知")
    paid_at = models.DateTimeField("到账时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)

    objects = DepositPaymentQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "保证金缴纳"
        constraints = [
            models.UniqueConstraint("number", name="deposit_payment_number_once"),
            models.CheckConstraint(
                name="deposit_payment_status_known",
                condition=known("status", PaymentStatus.values),
            ),
            models.CheckConstraint(
                name="deposit_payment_moves_money", condition=Q(amount_fen__gt=0)
            ),
            models.CheckConstraint(
                name="deposit_payment_paid_has_time",
                condition=Q(status="PAID", paid_at__isnull=False)
                | ~Q(status="PAID") & Q(paid_at=None),
            ),
            models.CheckConstraint(
                name="deposit_payment_closed_has_time",
                condition=Q(status="CLOSED", closed_at__isnull=False)
                | ~Q(status="CLOSED") & Q(closed_at=None),
            ),
        ]
        indexes = [
            # The expiry sweep reads what waits.
            models.Index("look_at", name="deposit_payment_to_close", condition=Q(status="OPEN")),
            models.Index("merchant", "opened_at", name="deposit_payment_by_merchant"),
        ]

    def __str__(self) -> str:
        return self.number
