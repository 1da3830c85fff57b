from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from payments.bills.rules import DayStatus, Kind, Name, Subject


class ChannelDay(models.Model):
    """A payment channel's bills of one day, and what came of comparing them with our trades.

    Trades, refunds and fees are as the trade bill says, the balances as the fund bill does; no
    balances where nothing moved.  Of the carrier: what came in and what left, and no balances.
    """

    channel = models.CharField("渠道", max_length=16, choices=Name)
    day = models.DateField("日期")
    account = models.CharField("渠道账户", max_length=64, blank=True)
    status = models.CharField("结果", max_length=8, choices=DayStatus, default=DayStatus.WAITING)
    trades = models.PositiveIntegerField("收款笔数", default=0)
    trades_fen = models.BigIntegerField("收款(分)", default=0)
    refunds = models.PositiveIntegerField("退款笔数", default=0)
    refunds_fen = models.BigIntegerField("退款(分)", default=0)
    fee_fen = models.BigIntegerField("手续费(分)", default=0)
    opening_fen = models.BigIntegerField("期初余额(分)", null=True, blank=True)
    closing_fen = models.BigIntegerField("账户结余(分)", null=True, blank=True)
    problem = models.CharField("未取到的原因", max_length=200, blank=True)
    tried_at = models.DateTimeField("最近尝试")
    fetched_at = models.DateTimeField("取得时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "渠道对账"
        constraints = [
            models.UniqueConstraint("channel", "day", name="channel_day_once"),
            models.CheckConstraint(
                name="channel_day_channel_known", condition=known("channel", Name.values)
            ),
            models.CheckConstraint(
                name="channel_day_status_known", condition=known("status", DayStatus.values)
            ),
            models.CheckConstraint(
                name="channel_day_compared_was_fetched",
                condition=Q(status="WAITING") | Q(fetched_at__isnull=False, problem=""),
            ),
            models.CheckConstraint(
                name="channel_day_has_both_balances_or_none",
                condition=Q(opening_fen=None, closing_fen=None)
                | Q(opening_fen__isnull=False, closing_fen__isnull=False),
            ),
        ]
        indexes = [
            # What is still to be fetched, or to be looked at by a person.
            models.Index(
                F("day").desc(),
                name="channel_day_to_look_at",
                condition=Q(status__in=["WAITING", "DIFFERS"]),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_channel_display()} {self.day}"


class ChannelDifference(models.Model):
    """Where a bill and our rows disagree; open until a person closes it, or the two have met.

    Of a `…_SUM` ours is the trade bill's, theirs the fund bill's.  A fee's `our_fen` is what the
    agreed rate makes.  0 fen where one side has no such row.  Of the carrier: our number of the
    move, none of a balance, and as theirs the sub-account.
    """

    channel_day = models.ForeignKey(
        ChannelDay, models.PROTECT, related_name="differences", verbose_name="日期"
    )
    subject = models.CharField("事项", max_length=12, choices=Subject)
    kind = models.CharField("差异", max_length=16, choices=Kind)
    our_number = models.CharField("商户单号", max_length=64, blank=True)
    their_number = models.CharField("渠道单号", max_length=64, blank=True)
    our_fen = models.BigIntegerField("本店(分)")
    their_fen = models.BigIntegerField("渠道(分)")
    our_state = models.CharField("本店状态", max_length=16, blank=True)
    their_state = models.CharField("渠道状态", max_length=16, blank=True)
    found_at = models.DateTimeField("发现时间")
    seen_at = models.DateTimeField("最近核对")
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)
    # Empty: the two have met.  A user's number, as everywhere.
    closed_by = models.CharField("关闭人", max_length=32, blank=True)
    reason = models.CharField("原因", max_length=200, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "渠道差异"
        constraints = [
            # Fetching again finds the same row; another amount is another difference.
            models.UniqueConstraint(
                "channel_day", "subject", "kind", "our_number", "their_number", "our_fen",
                "their_fen",
                name="channel_difference_once",
            ),
            models.CheckConstraint(
                name="channel_difference_subject_known",
                condition=known("subject", Subject.values),
            ),
            models.CheckConstraint(
                name="channel_difference_kind_known", condition=known("kind", Kind.values)
            ),
            models.CheckConstraint(
                name="channel_difference_closed_with_reason",
                condition=Q(closed_at=None, closed_by="", reason="")
                | Q(closed_at__isnull=False) & ~Q(reason=""),
            ),
        ]  # fmt: skip
        indexes = [
            models.Index(
                F("found_at").desc(), name="channel_difference_open", condition=Q(closed_at=None)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.our_number or self.their_number}"
