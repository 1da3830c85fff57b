from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from payments.ledger.models import Account
from payments.wallet.rules import LIVE, To, TopUpStatus, WithdrawalStatus


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


class Withdrawal(models.Model):
    """Money on its way out of a wallet, under one number for life, whatever the channel answers."""

    number = models.CharField("提现单号", max_length=24, help_text="也是渠道请求号")
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="withdrawals",
        verbose_name="用户",
        db_index=False,
    )
    owner = models.CharField("用户编号", max_length=24)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    to = models.CharField("提现到", max_length=16, choices=To)
    openid = models.CharField("收款人 openid", max_length=64, blank=True)
    account_no = models.CharField("收款账号", max_length=34, blank=True)
    account_name = models.CharField("收款人姓名", max_length=64, blank=True)
    status = models.CharField("状态", max_length=16, choices=WithdrawalStatus)
    paid_from = models.CharField("付款账号", max_length=34, blank=True, help_text="本店银行账号")
    package = models.TextField("确认收款参数", blank=True)
    is_known = models.BooleanField("渠道已受理", default=False)
    channel_no = models.CharField("渠道单号", max_length=64, blank=True)
    failure = models.CharField("失败原因", max_length=200, blank=True)
    asked_at = models.DateTimeField("申请时间")
    checked_by = models.CharField("审核人", max_length=24, blank=True)
    ask_at = models.DateTimeField("下次查询")
    silent_at = models.DateTimeField("最近一次无应答", null=True, blank=True)
    ended_at = models.DateTimeField("结束时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "钱包提现"
        constraints = [
            models.UniqueConstraint("number", name="withdrawal_number_once"),
            models.CheckConstraint(
                name="withdrawal_status_known", condition=known("status", WithdrawalStatus.values)
            ),
            models.CheckConstraint(
                name="withdrawal_goes_somewhere",
                condition=Q(to="WECHAT") & ~Q(openid="")
                | Q(to="BANK") & ~Q(account_no="") & ~Q(account_name="") & ~Q(paid_from=""),
            ),
            models.CheckConstraint(name="withdrawal_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="withdrawal_done_has_proof", condition=~Q(status="DONE") | ~Q(channel_no="")
            ),
            models.CheckConstraint(
                name="withdrawal_ended_has_time",
                condition=Q(status__in=LIVE, ended_at=None)
                | ~Q(status__in=LIVE) & Q(ended_at__isnull=False),
            ),
            models.CheckConstraint(
                name="withdrawal_checked_by_another", condition=~Q(checked_by=F("owner"))
            ),
        ]
        indexes = [
            models.Index("ask_at", name="withdrawal_to_ask", condition=Q(status="SENDING")),
            models.Index("user", "asked_at", name="withdrawal_by_user"),
            # A statement's payouts are known again by the bank's number.
            models.Index("channel_no", name="withdrawal_by_txn", condition=~Q(channel_no="")),
        ]

    def __str__(self) -> str:
        return self.number


class Wallet(Account):
    """What a person may spend, for staff to look at."""

    class Meta:
        proxy = True
        verbose_name = verbose_name_plural = "用户钱包"
