from django.db import models
from django.db.models import Q

from config.kit.states import known
from members.guarantee.rules import Status
from members.merchants.models import Merchant


class Guarantee(models.Model):
    """A merchant's promise to its buyers, supervised by the platform (S002.21)."""

    merchant = models.OneToOneField(
        Merchant, models.PROTECT, related_name="guarantee", verbose_name="商家"
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.APPLIED)
    since_at = models.DateTimeField("现状态始于")

    class Meta:
        verbose_name = verbose_name_plural = "担保商家"
        constraints = [
            models.CheckConstraint(
                name="guarantee_status_known", condition=known("status", Status.values)
            ),
        ]

    def __str__(self) -> str:
        return str(self.merchant)


class GuaranteeEvent(models.Model):
    """The state that a merchant's guarantee came to, by whom; only ever added to."""

    guarantee = models.ForeignKey(Guarantee, models.PROTECT, related_name="events")
    status = models.CharField("状态", max_length=16, choices=Status)
    actor = models.CharField("操作者", max_length=24, blank=True, help_text="用户编号；系统为空")
    at = models.DateTimeField("时间")
    reason = models.CharField("原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "担保经过"
        constraints = [
            models.CheckConstraint(
                name="guarantee_event_status_known", condition=known("status", Status.values)
            ),
        ]

    def __str__(self) -> str:
        return self.status


class GuaranteeCriterion(models.Model):
    """What a merchant has to meet, beside or instead of `rules.DEFAULTS` (by code).

    The counters are settings.GUARANTEE_COUNTERS.
    """

    code = models.SlugField("指标", max_length=32, unique=True)
    name = models.CharField("名称", max_length=40)
    least = models.BigIntegerField("不少于", null=True, blank=True)
    most = models.BigIntegerField("不多于", null=True, blank=True)
    is_on = models.BooleanField("启用", default=True)

    class Meta:
        verbose_name = verbose_name_plural = "担保条件"
        constraints = [
            models.CheckConstraint(
                name="guarantee_criterion_has_a_bound",
                condition=Q(least__isnull=False) | Q(most__isnull=False),
                violation_error_message="请填写不少于或不多于",
            ),
        ]

    def __str__(self) -> str:
        return self.name
