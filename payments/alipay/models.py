from django.db import models
from django.db.models import Q

from payments.alipay.rules import Status
from payments.cashier.models import Payment


class AlipayTrade(models.Model):
    """One attempt to collect a payment by Alipay: one number for life, one amount.

    At Alipay it begins only when a buyer opens the address, or scans the code, that we have given
    out; `offered_until` is written down before, and is how long one of those may begin it.
    """

    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="alipay_trades", verbose_name="支付单"
    )
    out_trade_no = models.CharField("商户订单号", max_length=32)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.OPEN)
    offered_until = models.DateTimeField(
        "付款入口有效期", null=True, blank=True, help_text="付款页面或付款码在此之前可以发起付款"
    )
    qr_code = models.CharField("付款码内容", max_length=512, blank=True)
    trade_no = models.CharField("支付宝交易号", max_length=64, null=True, blank=True)
    opened_at = models.DateTimeField("发起时间")
    ask_at = models.DateTimeField("下次查询", help_text="通知可能丢失，到时主动查询")
    paid_at = models.DateTimeField("入账时间", null=True, blank=True)
    success_at = models.DateTimeField(
        "支付时间", null=True, blank=True, help_text="支付宝记录的支付时间，账单按它分日"
    )
    billed_on = models.DateField("所在账单", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "支付宝交易"
        constraints = [
            models.UniqueConstraint("out_trade_no", name="alipay_trade_number_once"),
            models.UniqueConstraint("trade_no", name="alipay_trade_once"),
            models.UniqueConstraint(
                "payment", name="alipay_trade_one_open", condition=Q(status="OPEN")
            ),
            models.CheckConstraint(
                name="alipay_trade_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(name="alipay_trade_asks_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="alipay_trade_paid_has_proof",
                condition=~Q(status="PAID") | Q(trade_no__isnull=False, paid_at__isnull=False),
            ),
            models.CheckConstraint(
                name="alipay_trade_paid_says_when",
                condition=~Q(status="PAID") | Q(success_at__isnull=False),
            ),
            models.CheckConstraint(
                name="alipay_trade_closed_has_time",
                condition=~Q(status="CLOSED") | Q(closed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="alipay_trade_code_has_its_time",
                condition=Q(qr_code="") | Q(offered_until__isnull=False),
            ),
        ]
        indexes = [
            models.Index("ask_at", name="alipay_trade_to_ask", condition=Q(status="OPEN")),
            # What no bill has had yet: the trades of the last days.
            models.Index(
                "success_at",
                name="alipay_trade_not_billed",
                condition=Q(status="PAID", billed_on=None),
            ),
        ]

    def __str__(self) -> str:
        return self.out_trade_no


class AlipayLink(models.Model):
    """The address of our own cashier page for one payment, by a hash: the token is the buyer's."""

    payment = models.OneToOneField(Payment, models.PROTECT, related_name="alipay_link")
    token_hash = models.CharField(max_length=64)
    expires_at = models.DateTimeField("有效期")

    class Meta:
        verbose_name = verbose_name_plural = "支付宝付款链接"
        constraints = [models.UniqueConstraint("token_hash", name="alipay_link_of_one_payment")]

    def __str__(self) -> str:
        return str(self.payment)


class AlipayNotice(models.Model):
    """What Alipay told us, once; only ever added to.  `problem` says what a person must look at."""

    notify_id = models.CharField("通知号", max_length=128)
    kind = models.CharField("类型", max_length=64)
    told = models.JSONField("内容", default=dict)
    problem = models.CharField("问题", max_length=200, blank=True)
    at = models.DateTimeField("收到时间")

    class Meta:
        verbose_name = verbose_name_plural = "支付宝通知"
        constraints = [models.UniqueConstraint("notify_id", name="alipay_notice_once")]
        indexes = [
            models.Index("at", name="alipay_notice_problem", condition=~Q(problem="")),
        ]

    def __str__(self) -> str:
        return self.notify_id
