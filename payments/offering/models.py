from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from payments.offering.rules import (
    ALIPAY,
    ALIPAY_OUTSIDE,
    NOT_INSIDE_WECHAT,
    Client,
    Status,
    title_of,
)

# What people may say in a rule; `MethodRuleEvent.facts` has the old and the new of each.
SETTABLE = (
    *("status", "clients", "from_fen", "to_fen", "limit_fen", "day_limit_fen"),
    *("text", "note"),
)


class MethodRule(models.Model):
    """To whom a way to pay is offered, and up to how much; see `rules.deciding`."""

    method = models.CharField("支付方式", max_length=16)
    merchant = models.CharField(
        "商家", max_length=24, blank=True, help_text="商家编号；留空为全部商家"
    )
    category = models.CharField(
        "类目", max_length=32, blank=True, help_text="类目代码，含其下级类目；留空为全部类目"
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.WITHHELD)
    clients = ArrayField(
        models.CharField(max_length=16, choices=Client),
        verbose_name="在哪里提供",
        default=list,
        blank=True,
    )
    from_fen = models.PositiveBigIntegerField(
        "金额从(分)", null=True, blank=True, help_text="含；留空不限"
    )
    to_fen = models.PositiveBigIntegerField(
        "金额到(分)", null=True, blank=True, help_text="含；留空不限"
    )
    limit_fen = models.PositiveBigIntegerField(
        "单笔限额(分)", null=True, blank=True, help_text="留空不限"
    )
    day_limit_fen = models.PositiveBigIntegerField(
        "每人每日限额(分)", null=True, blank=True, help_text="留空不限"
    )
    text = models.CharField("不提供时的说明", max_length=60, blank=True)
    note = models.TextField("合规说明", max_length=2000, blank=True)
    enabled_by = models.CharField("启用人", max_length=24, blank=True, help_text="用户编号")
    enabled_at = models.DateTimeField("启用时间", null=True, blank=True)
    changed_at = models.DateTimeField("修改时间")

    class Meta:
        verbose_name = verbose_name_plural = "收银台规则"
        constraints = [
            models.UniqueConstraint(
                "method",
                "merchant",
                "category",
                name="method_rule_once_per_scope",
                violation_error_message="这个支付方式、商家和类目已经有一条规则，请修改那一条",
            ),
            models.CheckConstraint(
                name="method_rule_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(
                name="method_rule_clients_known",
                condition=Q(clients__contained_by=list(Client.values)),
            ),
            models.CheckConstraint(
                name="method_rule_offered_has_compliance_note",
                condition=~Q(status="OFFERED") | Q(note__regex=r"\S"),
                violation_error_message="提供一种支付方式，必须写明合规说明",
            ),
            models.CheckConstraint(
                name="method_rule_offered_says_who_and_when",
                condition=~Q(status="OFFERED") | ~Q(enabled_by="") & Q(enabled_at__isnull=False),
            ),
            models.CheckConstraint(
                name="method_rule_offered_somewhere",
                condition=~Q(status="OFFERED") | ~Q(clients=[]),
                violation_error_message="请选择在哪里提供",
            ),
            # S002.37: inside WeChat only what leads out of it.
            models.CheckConstraint(
                name="method_rule_no_alipay_inside_wechat",
                condition=~Q(method__startswith=ALIPAY)
                | Q(method__in=ALIPAY_OUTSIDE)
                | ~Q(clients__contains=[Client.MINI_PROGRAM]),
                violation_error_message=NOT_INSIDE_WECHAT,
            ),
            models.CheckConstraint(
                name="method_rule_amounts_in_order",
                condition=Q(from_fen=None) | Q(to_fen=None) | Q(to_fen__gte=F("from_fen")),
                violation_error_message="金额“到”不能小于“从”",
            ),
            models.CheckConstraint(
                name="method_rule_limits_let_something_through",
                condition=(Q(limit_fen=None) | Q(limit_fen__gt=0))
                & (Q(day_limit_fen=None) | Q(day_limit_fen__gt=0)),
            ),
        ]

    def __str__(self) -> str:
        about = [title_of(self.method), self.merchant or "全部商家", self.category]
        return " ".join(part for part in about if part)


class MethodRuleEvent(models.Model):
    """What was changed of a rule, by whom; only ever added to."""

    rule = models.ForeignKey(MethodRule, models.PROTECT, related_name="events")
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, help_text="用户编号")
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict, help_text="字段：[原来, 现在]")

    class Meta:
        verbose_name = verbose_name_plural = "收银台规则变更"

    def __str__(self) -> str:
        return self.kind
