from typing import Self

from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.deposits.rules import Kind, Status


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
                condition=Q(kind="TOP_UP", checked_by="", status="DONE")
                | Q(status="ASKED", checked_by="", checked_at=None)
                | Q(status__in=["DONE", "DECLINED"], checked_at__isnull=False)
                & ~Q(checked_by="")
                & ~Q(checked_by=F("asked_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.number
