from django.db import models
from django.db.models import F, Q

from payments.cashier.models import Payment
from payments.wechat_pay.rules import RefundState, Status


class WeChatTrade(models.Model):
    """One attempt to collect a payment by WeChat Pay: one number for life, one amount, one payer.

    Other facts need another number: WeChat refuses the same one with other facts.
    """

    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="wechat_trades", verbose_name="支付单"
    )
    out_trade_no = models.CharField("商户订单号", max_length=32)
    openid = models.CharField("付款人 openid", max_length=64)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.OPEN)
    prepay_id = models.CharField("预支付会话", max_length=128, blank=True)
    prepaid_at = models.DateTimeField("预支付时间", null=True, blank=True)
    transaction_id = models.CharField("微信支付订单号", max_length=64, null=True, blank=True)
    opened_at = models.DateTimeField("发起时间")
    ask_at = models.DateTimeField("下次查询", help_text="通知可能丢失，到时主动查询")
    paid_at = models.DateTimeField("得知时间", null=True, blank=True)
    success_at = models.DateTimeField(
        "支付时间", null=True, blank=True, help_text="微信支付记录的支付完成时间，账单按它分日"
    )
    billed_on = models.DateField("所在账单", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "微信支付交易"
        constraints = [
            models.UniqueConstraint("out_trade_no", name="wechat_trade_number_once"),
            models.UniqueConstraint("transaction_id", name="wechat_transaction_once"),
            models.UniqueConstraint(
                "payment", name="wechat_trade_one_open", condition=Q(status="OPEN")
            ),
            models.CheckConstraint(
                name="wechat_trade_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(name="wechat_trade_asks_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="wechat_trade_paid_has_proof",
                condition=~Q(status="PAID")
                | Q(transaction_id__isnull=False, paid_at__isnull=False),
            ),
            models.CheckConstraint(
                name="wechat_trade_paid_says_when",
                condition=~Q(status="PAID") | Q(success_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index("ask_at", name="wechat_trade_to_ask", condition=Q(status="OPEN")),
            # What no bill has had yet: the trades of the last days.
            models.Index(
                "success_at",
                name="wechat_trade_not_billed",
                condition=Q(status="PAID", billed_on=None),
            ),
            # Whoever has to tell WeChat something of what was paid looks at the newest.
            models.Index("paid_at", name="wechat_trade_by_payday", condition=Q(status="PAID")),
        ]

    def __str__(self) -> str:
        return self.out_trade_no


class WeChatRefund(models.Model):
    """What WeChat said of a refund; the part of the cashier's has the same number."""

    trade = models.ForeignKey(
        WeChatTrade, models.PROTECT, related_name="refunds", verbose_name="交易"
    )
    out_refund_no = models.CharField("商户退款单号", max_length=64)
    refund_id = models.CharField("微信退款单号", max_length=64)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=16, choices=RefundState)
    accepted_at = models.DateTimeField(
        "受理时间", null=True, blank=True, help_text="微信支付记录的受理时间，账单按它分日"
    )
    billed_on = models.DateField("所在账单", null=True, blank=True)
    heard_at = models.DateTimeField("最近一次答复")

    class Meta:
        verbose_name = verbose_name_plural = "微信退款"
        constraints = [
            models.UniqueConstraint("out_refund_no", name="wechat_refund_number_once"),
            models.UniqueConstraint("refund_id", name="wechat_refund_id_once"),
            models.CheckConstraint(
                name="wechat_refund_status_known", condition=Q(status__in=RefundState.values)
            ),
            models.CheckConstraint(name="wechat_refund_moves_money", condition=Q(amount_fen__gt=0)),
        ]
        indexes = [
            models.Index(
                "accepted_at", name="wechat_refund_not_billed", condition=Q(billed_on=None)
            ),
        ]

    def __str__(self) -> str:
        return self.out_refund_no


class WeChatNotice(models.Model):
    """What WeChat told us, once; only ever added to.  `problem` says what a person must look at."""

    event_id = models.CharField("通知号", max_length=64)
    kind = models.CharField("类型", max_length=40)
    told = models.JSONField("内容", default=dict)
    problem = models.CharField("问题", max_length=200, blank=True)
    at = models.DateTimeField("收到时间")

    class Meta:
        verbose_name = verbose_name_plural = "微信支付通知"
        constraints = [models.UniqueConstraint("event_id", name="wechat_notice_once")]
        indexes = [
            models.Index("at", name="wechat_notice_problem", condition=~Q(problem="")),
        ]

    def __str__(self) -> str:
        return self.event_id


class PlatformCertificate(models.Model):
    """A certificate of WeChat Pay's that it gave us itself; good until it expires."""

    serial = models.CharField("序列号", max_length=64)
    pem = models.TextField("证书")
    begins_at = models.DateTimeField("生效时间")
    ends_at = models.DateTimeField("失效时间")
    heard_at = models.DateTimeField("取得时间")

    class Meta:
        verbose_name = verbose_name_plural = "微信支付平台证书"
        constraints = [
            models.UniqueConstraint("serial", name="platform_certificate_serial_once"),
            models.CheckConstraint(
                name="platform_certificate_begins_before_it_ends",
                condition=Q(begins_at__lt=F("ends_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.serial
