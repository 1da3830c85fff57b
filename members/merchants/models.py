from decimal import Decimal

from django.conf import settings
from django.db import models
from django.db.models import Q

from config.kit.numbers import fresh
from config.kit.states import known
from members.merchants.rules import JoinPolicy, StaffRole, Status, fresh_member_no


def merchant_number() -> str:
    return fresh("M")


class Merchant(models.Model):
    """A seller and the terms on which it trades."""

    number = models.CharField(
        "商家编号", max_length=16, unique=True, default=merchant_number, editable=False
    )
    name = models.CharField("名称", max_length=64)
    member_no = models.CharField(
        "会员号", max_length=16, unique=True, default=fresh_member_no, editable=False
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.ACTIVE)
    join_policy = models.CharField(
        "入会方式", max_length=16, choices=JoinPolicy, default=JoinPolicy.OPEN
    )
    commission_rate = models.DecimalField(
        "佣金比例(%)", max_digits=5, decimal_places=2, default=Decimal(5)
    )
    bond_days = models.PositiveSmallIntegerField("客户保护期(天)", default=30)
    auto_receive_days = models.PositiveSmallIntegerField(
        "物流自动收货(天)", default=10, help_text="可以比平台的 10 天长，不会更短"
    )
    after_sale_days = models.PositiveSmallIntegerField("售后期(天)", default=7)
    pay_within_minutes = models.PositiveIntegerField("线上支付时限(分钟)", default=30)
    transfer_working_days = models.PositiveSmallIntegerField("银行转账时限(工作日)", default=3)
    created_at = models.DateTimeField("创建时间")

    class Meta:
        verbose_name = verbose_name_plural = "商家"
        constraints = [
            models.CheckConstraint(
                name="merchant_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(
                name="merchant_join_policy_known",
                condition=known("join_policy", JoinPolicy.values),
            ),
            models.CheckConstraint(
                name="merchant_commission_is_a_percentage",
                condition=Q(commission_rate__gte=0, commission_rate__lte=100),
            ),
            models.CheckConstraint(
                name="merchant_leaves_time_to_pay",
                condition=Q(pay_within_minutes__gte=1, transfer_working_days__gte=1),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class MemberNumber(models.Model):
    """Every member number ever given out.  A closed one admits nobody and never comes back."""

    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="member_numbers", verbose_name="商家"
    )
    number = models.CharField("会员号", max_length=16, unique=True)
    opened_at = models.DateTimeField("启用时间")
    closed_at = models.DateTimeField("停用时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "会员号记录"
        constraints = [
            models.UniqueConstraint(
                "merchant", name="member_number_one_open", condition=Q(closed_at=None)
            ),
        ]

    def __str__(self) -> str:
        return self.number


class Staff(models.Model):
    """A person's post at a merchant; one person may hold several."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="staff_of",
        verbose_name="用户",
        db_index=False,
    )
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="staff", verbose_name="商家"
    )
    role = models.CharField("职务", max_length=16, choices=StaffRole)
    since_at = models.DateTimeField("任职时间")

    class Meta:
        verbose_name = verbose_name_plural = "商家员工"
        constraints = [
            models.UniqueConstraint("user", "merchant", "role", name="staff_post_once"),
            models.CheckConstraint(
                name="staff_role_known", condition=known("role", StaffRole.values)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.merchant} {self.get_role_display()}"
