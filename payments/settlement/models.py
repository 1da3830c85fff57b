from django.db import models
from django.db.models import Q

from payments.settlement.rules import MOST_PPM


class FeeRate(models.Model):
    """What the platform keeps of a merchant's sales from a moment on; rows are only added.

    The rate of an order is the one in force when it was placed, whatever is said later.
    """

    merchant = models.CharField(
        "商家", max_length=24, blank=True, help_text="商家编号；留空为全部商家"
    )
    category = models.CharField(
        "类目", max_length=32, blank=True, help_text="类目代码，含其下级类目；留空为全部类目"
    )
    ppm = models.PositiveIntegerField(
        "费率(百万分之)",
        null=True,
        blank=True,
        help_text="5000 即 0.5%；0 为免收；留空：不再单独规定，按更宽的执行",
    )
    since_at = models.DateTimeField("生效时间", help_text="之后下的订单")
    note = models.CharField("依据", max_length=200, help_text="合同或批准，必填")
    actor = models.CharField("操作者", max_length=24, help_text="用户编号")
    made_at = models.DateTimeField("登记时间")

    class Meta:
        verbose_name = verbose_name_plural = "平台费率"
        constraints = [
            models.UniqueConstraint(
                "merchant", "category", "since_at", name="fee_rate_once_per_scope_and_moment"
            ),
            models.CheckConstraint(
                name="fee_rate_is_no_robbery",
                condition=Q(ppm=None) | Q(ppm__lte=MOST_PPM),
                violation_error_message="费率不能超过百分之三十",
            ),
            models.CheckConstraint(name="fee_rate_has_reason", condition=~Q(note="")),
        ]

    def __str__(self) -> str:
        return f"{self.merchant or '全部商家'} {self.category or '全部类目'}"
