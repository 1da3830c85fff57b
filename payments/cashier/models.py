from typing import Self

from django.conf import settings
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q

from config.kit.viewer import Viewer
from payments.cashier.rules import Locked, PartStatus, Reason, RefundStatus, Status


class PaymentQuerySet(models.QuerySet["Payment"]):
    def of(self, payer: Viewer) -> Self:
        return self.filter(payer_id=payer.pk)

    def seen_by(self, viewer: Viewer, role: str) -> Self:
        """What staff of a role may look at: their merchants' rows, or all for the platform."""
        tenants = viewer.tenants(role)
        return self if tenants is None else self.filter(merchant__in=tenants)

    def locked(self) -> list[Locked]:
        """These rows as they stand, locked in key order until the transaction ends."""
        rows = self.select_for_update(no_key=True).order_by("pk")
        return [Locked._make(row) for row in rows.values_list(*Locked._fields)]


class Payment(models.Model):
    """The collecting of one amount for something a folder above sells, perhaps in parts."""

    number = models.CharField("支付单号", max_length=24)
    payer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="payments",
        verbose_name="付款人",
        db_index=False,
    )
    merchant = models.CharField("商家", max_length=24, help_text="商家编号")
    purpose = models.CharField("用途", max_length=16, help_text="settings.PAYABLES 的键")
    reference = models.CharField("业务单号", max_length=24)
    method = models.CharField("支付方式", max_length=16)
    amount_fen = models.PositiveBigIntegerField("应付(分)")
    received_fen = models.PositiveBigIntegerField("实收(分)", default=0)
    refunded_fen = models.PositiveBigIntegerField("已退(分)", default=0, help_text="含待退")
    covered_fen = models.PositiveBigIntegerField(
        "商家垫付(分)", default=0, db_default=0, help_text="实收中被银行冲正、由商家承担的部分"
    )
    wallet_fen = models.PositiveBigIntegerField(
        "余额支付(分)",
        default=0,
        db_default=0,
        help_text="组合支付中由钱包余额支付的部分，在实收之内",
    )
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.WAITING)
    opened_at = models.DateTimeField("发起时间")
    pay_before = models.DateTimeField("付款期限")
    confirmed_at = models.DateTimeField("到账时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)

    objects = PaymentQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "支付单"
        constraints = [
            models.UniqueConstraint("number", name="payment_number_once"),
            models.CheckConstraint(
                name="payment_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(name="payment_asks_for_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="payment_received_within_amount",
                condition=Q(received_fen__lte=F("amount_fen")),
            ),
            models.CheckConstraint(
                name="payment_confirmed_when_full",
                condition=~Q(status="CONFIRMED")
                | Q(received_fen=F("amount_fen"), confirmed_at__isnull=False),
            ),
            models.CheckConstraint(
                name="payment_refunded_within_received",
                condition=Q(refunded_fen__lte=F("received_fen")),
            ),
            models.CheckConstraint(
                name="payment_covered_within_received",
                condition=Q(covered_fen__lte=F("received_fen")),
            ),
            models.CheckConstraint(
                name="payment_wallet_part_is_received",
                condition=Q(wallet_fen__lte=F("received_fen"), wallet_fen__lt=F("amount_fen")),
            ),
            models.CheckConstraint(
                name="payment_closed_has_time",
                condition=Q(status="CLOSED", closed_at__isnull=False)
                | ~Q(status="CLOSED") & Q(closed_at=None),
            ),
            # By closed_at, which stays when money comes: no index mentions what confirming
            # changes, so that the row is rewritten in place (HOT).
            models.UniqueConstraint(
                "purpose",
                "reference",
                "method",
                name="payment_one_open_per_method",
                condition=Q(closed_at=None),
            ),
        ]
        indexes = [
            # A payable's own payments: closing, cancelling, the order page.
            models.Index("purpose", "reference", name="payment_by_reference"),
            # Which open payment asks for an amount.  Without its state, which confirming changes;
            # what is left of one that was paid in part stands in PartPaid.
            models.Index("amount_fen", F("id").desc(), name="payment_by_amount"),
            # The list of a payer, newest first.
            models.Index(F("payer"), F("opened_at").desc(), name="payment_by_payer"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def outstanding_fen(self) -> int:
        return self.amount_fen - self.received_fen


class PartPaid(models.Model):
    """What a payment still asks for that waits and has had a part of its money; there are few.

    Kept by triggers on the payment, whoever changes it (the migration 0007_evidence), so that such
    payments are found by that amount without an index of payments that confirming would have to
    write.  Never written by hand; the audit compares it with the payments.
    """

    payment = models.OneToOneField(
        Payment, models.DO_NOTHING, primary_key=True, related_name="+", db_constraint=False
    )
    left_fen = models.BigIntegerField("还差(分)")

    class Meta:
        verbose_name = verbose_name_plural = "部分付款"
        indexes = [models.Index("left_fen", name="part_paid_by_left")]

    def __str__(self) -> str:
        return f"{self.payment_id} {self.left_fen}"


class Receipt(models.Model):
    """One arrival of money for a payment: what was kept for it and what is owed back."""

    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="receipts", verbose_name="支付单"
    )
    method = models.CharField("支付方式", max_length=16)
    channel_txn = models.CharField("渠道流水号", max_length=64)
    source = models.CharField("来源科目", max_length=64, help_text="到账时借记的账户")
    amount_fen = models.PositiveBigIntegerField("到账(分)")
    kept_fen = models.PositiveBigIntegerField("入账(分)")
    owed_fen = models.PositiveBigIntegerField("应退(分)")
    posting = models.CharField(
        "凭证号",
        max_length=96,
        blank=True,
        db_default="",
        help_text="RECEIPT 凭证；一批到账共用一张",
    )
    received_at = models.DateTimeField("到账时间")
    undone_at = models.DateTimeField("撤销时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "到账记录"
        constraints = [
            models.UniqueConstraint(
                "method",
                "channel_txn",
                name="receipt_once_per_channel_txn",
                condition=Q(undone_at=None),
            ),
            models.CheckConstraint(
                name="receipt_adds_up", condition=Q(amount_fen=F("kept_fen") + F("owed_fen"))
            ),
        ]
        indexes = [
            # What came within some days; written more or less in the order of its time.
            BrinIndex(
                "received_at", name="receipt_by_time", pages_per_range=32, autosummarize=True
            ),
        ]

    def __str__(self) -> str:
        return self.channel_txn


class Refund(models.Model):
    """Money to be given back to where it came from, whatever the reason."""

    number = models.CharField("退款单号", max_length=24)
    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="refunds", verbose_name="支付单"
    )
    receipt = models.ForeignKey(
        Receipt,
        models.PROTECT,
        related_name="refunds",
        null=True,
        blank=True,
        verbose_name="到账记录",
        help_text="多付或逾期的那一笔；整单退款为空",
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    reason = models.CharField("原因", max_length=16, choices=Reason)
    status = models.CharField("状态", max_length=16, choices=RefundStatus)
    channel_txn = models.CharField("渠道流水号", max_length=64, null=True, blank=True)
    failure = models.CharField("失败原因", max_length=200, blank=True)
    asked_by = models.CharField(
        "申请人", max_length=24, blank=True, help_text="超过限额须另一人同意"
    )
    way = models.CharField(
        "退款途径",
        max_length=16,
        blank=True,
        default="",
        db_default="",
        help_text="组合支付时只退以此方式到账的部分；空为全部",
    )
    hand_txn = models.CharField(
        "网银付出流水",
        max_length=64,
        blank=True,
        db_default="",
        help_text="登记为已在网银退款，等待复核；系统不再提交银行",
    )
    owed_at = models.DateTimeField("产生时间")
    sent_at = models.DateTimeField("退回发起时间", null=True, blank=True)
    chased_at = models.DateTimeField("最近催问时间", null=True, blank=True)
    done_at = models.DateTimeField("退回完成时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "退款单"
        constraints = [
            models.UniqueConstraint("number", name="refund_number_once"),
            models.CheckConstraint(
                name="refund_status_known", condition=Q(status__in=RefundStatus.values)
            ),
            models.CheckConstraint(
                name="refund_reason_known", condition=Q(reason__in=Reason.values)
            ),
            models.CheckConstraint(name="refund_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="refund_done_has_proof",
                condition=~Q(status="DONE") | Q(channel_txn__isnull=False, done_at__isnull=False),
            ),
            models.CheckConstraint(
                name="refund_by_hand_is_under_way", condition=Q(hand_txn="") | Q(status="SENDING")
            ),
        ]
        indexes = [
            # The sending sweep reads what is approved or under way.
            models.Index(
                "owed_at", name="refund_to_send", condition=Q(status__in=["APPROVED", "SENDING"])
            ),
        ]

    def __str__(self) -> str:
        return self.number


class RefundPart(models.Model):
    """What a refund gives back of one arrival; written before the channel is asked to send it.

    Whatever happens to the arrival meanwhile, what was asked for stays known, and is asked about
    again under the same number.
    """

    refund = models.ForeignKey(Refund, models.PROTECT, related_name="parts", verbose_name="退款单")
    receipt = models.ForeignKey(
        Receipt, models.PROTECT, related_name="refund_parts", verbose_name="到账记录"
    )
    number = models.CharField(
        "渠道请求号", max_length=32, help_text="每次提交一个，重复提交不会付两次"
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=16, choices=PartStatus, default=PartStatus.SENDING)
    channel_txn = models.CharField("渠道流水号", max_length=64, blank=True)
    failure = models.CharField("失败原因", max_length=200, blank=True)
    sent_at = models.DateTimeField("退回发起时间")
    done_at = models.DateTimeField("退回完成时间", null=True, blank=True)
    # Where the channel's bill knows a refund by our number only: Alipay's.
    billed_on = models.DateField("所在账单", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "退款明细"
        constraints = [
            models.UniqueConstraint("number", name="refund_part_number_once"),
            models.UniqueConstraint(
                "refund",
                "receipt",
                name="refund_part_once_per_receipt",
                condition=~Q(status="VOID"),
            ),
            models.CheckConstraint(
                name="refund_part_status_known", condition=Q(status__in=PartStatus.values)
            ),
            models.CheckConstraint(name="refund_part_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="refund_part_done_has_proof",
                condition=~Q(status="DONE") | ~Q(channel_txn="") & Q(done_at__isnull=False),
            ),
        ]
        indexes = [
            # A statement's payouts are known again by the channel's number.
            models.Index("channel_txn", name="refund_part_by_txn", condition=~Q(channel_txn="")),
            # A day's, for the channel's bill of it.
            models.Index("done_at", name="refund_part_by_day", condition=Q(status="DONE")),
        ]

    def __str__(self) -> str:
        return self.number


class PaymentEvent(models.Model):
    """What happened to a payment or its refunds, by whom; only ever added to.

    Written by the statement that moved the payment, which is never deleted (a trigger): looking
    it up again for every row would cost as much as writing the event.
    """

    payment = models.ForeignKey(Payment, models.PROTECT, related_name="events", db_constraint=False)
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, help_text="用户编号；系统为空", blank=True)
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "支付事件"

    def __str__(self) -> str:
        return self.kind
