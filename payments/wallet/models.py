from django.conf import settings
from django.db import models
from django.db.models import Q

from config.kit.states import known
from payments.ledger.models import Account
from payments.wallet.rules import TopUpStatus


class TopUp(models.Model):
    """Money that a person puts into his wallet, collected like any other payment."""

    number = models.CharField("充值单号", max_length=24)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="top_ups",
        verbose_name="用户",
        db_index=False,
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=16, choices=TopUpStatus, default=TopUpStatus.OPEN)
    times_paid = models.PositiveSmallIntegerField(
        "入账次数", default=0, help_text="撤回后重新到账会再记一次"
    )
    opened_at = models.DateTimeField("发起时间")
    pay_before = models.DateTimeField("付款期限")
    look_at = models.DateTimeField("下次查看", help_text="到期后可能已付而尚未得知")
    paid_at = models.DateTimeField("到账时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "钱包充值"
        constraints = [
            models.UniqueConstraint("number", name="top_up_number_once"),
            models.CheckConstraint(
                name="top_up_status_known", condition=known("status", TopUpStatus.values)
            ),
            models.CheckConstraint(name="top_up_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="top_up_paid_has_time",
                condition=Q(status="PAID", paid_at__isnull=False)
                | ~Q(status="PAID") & Q(paid_at=None),
            ),
            models.CheckConstraint(
                name="top_up_closed_has_time",
                condition=Q(status="CLOSED", closed_at__isnull=False)
                | ~Q(status="CLOSED") & Q(closed_at=None),
            ),
        ]
        indexes = [
            # The expiry sweep reads what waits.
            models.Index("look_at", name="top_up_to_close", condition=Q(status="OPEN")),
            models.Index("user", "opened_at", name="top_up_by_user"),
        ]

    def __str__(self) -> str:
        return self.number


class Wallet(Account):
    """What a person may spend, for staff to look at."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "用户钱包"
