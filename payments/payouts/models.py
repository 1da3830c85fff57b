from typing import Self

from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.payouts.rules import PayeeStatus, Road, Status
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import StatementLine


class PayeeQuerySet(models.QuerySet["Payee"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(merchant__in=tenants)


class Payee(models.Model):
    """Where a merchant's money goes.  A change is a new row that another person checks."""

    number = models.CharField("收款人编号", max_length=24, unique=True)
    merchant = models.CharField("商家", max_length=24)
    account_no = models.CharField("账号", max_length=34)
    account_name = models.CharField("户名", max_length=100)
    bank_name = models.CharField("开户行", max_length=100)
    status = models.CharField("状态", max_length=12, choices=PayeeStatus, default=PayeeStatus.ASKED)
    asked_by = models.CharField("申请人", max_length=24)
    asked_at = models.DateTimeField("申请时间")
    checked_by = models.CharField("复核人", max_length=24, blank=True)
    checked_at = models.DateTimeField("复核时间", null=True, blank=True)
    pays_from = models.DateTimeField(
        "可付款自", null=True, blank=True, help_text="更换收款账户后的等待期"
    )
    reason = models.CharField("说明", max_length=200, blank=True)

    objects = PayeeQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "商家收款人"
        constraints = [
            models.CheckConstraint(
                name="payee_status_known", condition=known("status", PayeeStatus.values)
            ),
            models.CheckConstraint(
                name="payee_account_is_whole", condition=Q(account_no__regex=r"^[0-9A-Z]{6,34}$")
            ),
            models.CheckConstraint(
                # Nor one that a spreadsheet takes for a formula: it goes into files.
                name="payee_has_a_name",
                condition=Q(account_name__regex=r"^[^=+@\t-]") & Q(bank_name__regex=r"^[^=+@\t-]"),
            ),
            models.UniqueConstraint(
                "merchant", name="payee_one_in_use", condition=Q(status="ACTIVE")
            ),
            models.UniqueConstraint(
                "merchant", name="payee_one_change_at_a_time", condition=Q(status="ASKED")
            ),
            models.CheckConstraint(
                name="payee_checked_by_another",
                condition=Q(status="ASKED", checked_by="", checked_at=None)
                | ~Q(status="ASKED")
                & ~Q(checked_by="")
                & ~Q(checked_by=F("asked_by"))
                & Q(checked_at__isnull=False),
            ),
            models.CheckConstraint(
                name="payee_in_use_pays_from_a_time",
                condition=Q(status__in=["ASKED", "DECLINED"]) | Q(pays_from__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account_name} {self.account_no}"


class PayoutFile(models.Model):
    """Payouts that finance pays by one file in net banking; made once, from its rows."""

    number = models.CharField("文件编号", max_length=24, unique=True)
    account = models.ForeignKey(
        ReceivingAccount, models.PROTECT, related_name="payout_files", verbose_name="付款账户"
    )
    payouts_count = models.PositiveIntegerField("笔数")
    total_fen = models.PositiveBigIntegerField("合计(分)")
    made_by = models.CharField("生成人", max_length=24)
    made_at = models.DateTimeField("生成时间")

    class Meta:
        verbose_name = verbose_name_plural = "批量付款文件"
        constraints = [
            models.CheckConstraint(
                name="payout_file_has_payouts", condition=Q(payouts_count__gt=0, total_fen__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return self.number


class PayoutQuerySet(models.QuerySet["Payout"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(merchant__in=tenants)


class Payout(models.Model):
    """Money of a merchant on its way to his bank account; its number is the bank's for life.

    The money has left `merchant:…:available` for `paying_out:` when the row is there.
    """

    number = models.CharField("付款单号", max_length=24, unique=True)
    merchant = models.CharField("商家", max_length=24)
    payee = models.ForeignKey(Payee, models.PROTECT, related_name="payouts", verbose_name="收款人")
    account = models.ForeignKey(
        ReceivingAccount, models.PROTECT, related_name="payouts", verbose_name="付款账户"
    )
    file = models.ForeignKey(
        PayoutFile,
        models.PROTECT,
        related_name="payouts",
        verbose_name="批量付款文件",
        null=True,
        blank=True,
    )
    road = models.CharField("付款方式", max_length=8, choices=Road)
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=12, choices=Status)
    asked_by = models.CharField("申请人", max_length=24, blank=True, help_text="空为按时结算")
    asked_at = models.DateTimeField("申请时间")
    checked_by = models.CharField("复核人", max_length=24, blank=True)
    checked_at = models.DateTimeField("复核时间", null=True, blank=True)
    sent_at = models.DateTimeField("提交银行时间", null=True, blank=True)
    chased_at = models.DateTimeField("最近一次询问", null=True, blank=True)
    serial = models.CharField("银行流水号", max_length=64, blank=True)
    done_at = models.DateTimeField("结束时间", null=True, blank=True)
    failure = models.CharField("未付原因", max_length=200, blank=True)
    booking = models.OneToOneField(
        StatementLine,
        models.PROTECT,
        related_name="merchant_payout",
        verbose_name="银行流水",
        null=True,
        blank=True,
        help_text="证明已付的那一笔",
    )

    objects = PayoutQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "商家付款"
        constraints = [
            models.CheckConstraint(
                name="payout_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(name="payout_road_known", condition=known("road", Road.values)),
            models.CheckConstraint(name="payout_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="payout_checked_by_another",
                condition=Q(checked_by="") | ~Q(checked_by=F("asked_by")),
            ),
            models.CheckConstraint(
                name="payout_done_has_proof",
                condition=~Q(status__in=["DONE", "BOUNCED"])
                | ~Q(serial="") & Q(done_at__isnull=False),
            ),
            models.CheckConstraint(
                name="payout_not_paid_says_why",
                condition=~Q(status__in=["FAILED", "DECLINED", "BOUNCED"]) | ~Q(failure=""),
            ),
            models.CheckConstraint(
                name="payout_sent_has_time",
                condition=~Q(status__in=["SENDING", "DONE", "FAILED", "BOUNCED"])
                | Q(sent_at__isnull=False),
            ),
            models.CheckConstraint(
                name="payout_by_file_is_in_one",
                condition=~Q(road="FILE", status__in=["SENDING", "DONE", "FAILED", "BOUNCED"])
                | Q(file__isnull=False),
            ),
            models.UniqueConstraint(
                "account", "serial", name="payout_booking_once", condition=~Q(serial="")
            ),
        ]
        indexes = [
            models.Index(F("merchant"), F("asked_at").desc(), name="payout_by_merchant"),
            # The sweep that sends and asks again.
            models.Index(
                "sent_at", name="payout_under_way", condition=Q(status__in=["APPROVED", "SENDING"])
            ),
        ]

    def __str__(self) -> str:
        return self.number


class PayoutEvent(models.Model):
    """What became of a payout, who did it; only ever added to."""

    payout = models.ForeignKey(Payout, models.PROTECT, related_name="events", verbose_name="付款单")
    kind = models.CharField("事项", max_length=16)
    actor = models.CharField("操作人", max_length=24, blank=True)
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "付款经过"

    def __str__(self) -> str:
        return f"{self.payout_id} {self.kind}"
