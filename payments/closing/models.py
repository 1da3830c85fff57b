from typing import Self

from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.closing.rules import CloseStatus
from payments.receiving.models import ReceivingAccount


class DayCloseQuerySet(models.QuerySet["DayClose"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(receiving_account__merchant__in=tenants)


class DayClose(models.Model):
    """A receiving account at the end of one day: the bank's balance beside the ledger's.

    Made anew whenever a statement arrives and every night; what waits in suspense is as of then.
    """

    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="days",
        verbose_name="收款账户",
        db_index=False,
    )
    day = models.DateField("日期")
    bank_fen = models.BigIntegerField("银行余额(分)")
    ledger_fen = models.BigIntegerField("账面余额(分)")
    suspense_fen = models.BigIntegerField("待核销科目(分)")
    lines_fen = models.BigIntegerField("未处理来账(分)")
    status = models.CharField("结果", max_length=8, choices=CloseStatus)
    differences = models.JSONField("差异", default=list)
    made_at = models.DateTimeField("核对时间")

    objects = DayCloseQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "每日对账"
        constraints = [
            models.UniqueConstraint("receiving_account", "day", name="day_closed_once"),
            models.CheckConstraint(
                name="day_status_known", condition=known("status", CloseStatus.values)
            ),
            models.CheckConstraint(
                name="day_differs_with_reason",
                condition=Q(status="EVEN", suspense_fen=F("lines_fen"))
                | Q(status="DIFFERS") & ~Q(differences=[]),
            ),
        ]
        indexes = [
            # What a person has to look at, newest first; the audit asks for nothing else.
            models.Index(F("day").desc(), name="day_that_differs", condition=Q(status="DIFFERS")),
        ]

    def __str__(self) -> str:
        return f"{self.receiving_account} {self.day}"
