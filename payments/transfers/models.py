from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.cashier.models import Payment
from payments.transfers.rules import OPEN, StatementStatus, Verdict, VirtualState


class ReceivingAccountQuerySet(models.QuerySet["ReceivingAccount"]):
    def seen_by(self, viewer: Viewer) -> Self:
        """Finance staff see the accounts of their merchants; the platform's only the platform."""
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(merchant__in=tenants)


class ReceivingAccount(models.Model):
    """A bank account that buyers transfer to; virtual accounts hang below it."""

    account_no = models.CharField("账号", max_length=34, unique=True)
    account_name = models.CharField("户名", max_length=100)
    bank_name = models.CharField("开户行", max_length=100)
    provider = models.CharField(
        "银行接口",
        max_length=24,
        blank=True,
        help_text="settings.BANK_PROVIDERS 的键；空为只导入流水",
    )
    merchant = models.CharField(
        "商家", max_length=24, blank=True, help_text="商家编号；空为平台账户"
    )
    is_active = models.BooleanField("启用", default=True)

    objects = ReceivingAccountQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "收款账户"
        constraints = [
            models.CheckConstraint(
                name="receiving_account_is_digits",
                condition=Q(account_no__regex=r"^[0-9A-Z]{6,34}$"),
            ),
        ]

    def __str__(self) -> str:
        return self.account_no


class VirtualAccount(models.Model):
    """A number below a receiving account, given to one payment for ever."""

    number = models.CharField("专属账号", max_length=44, unique=True)
    unit = models.CharField("子单元", max_length=10)
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="virtual_accounts",
        verbose_name="收款账户",
        db_index=False,
    )
    state = models.CharField("状态", max_length=8, choices=VirtualState, default=VirtualState.FREE)

    class Meta:
        verbose_name = verbose_name_plural = "专属账号"
        constraints = [
            models.CheckConstraint(
                name="virtual_account_state_known", condition=known("state", VirtualState.values)
            ),
        ]
        indexes = [
            # Opening a payment takes the next free one.
            models.Index(
                "receiving_account", "id", name="virtual_account_free", condition=Q(state="FREE")
            ),
        ]

    def __str__(self) -> str:
        return self.number


class TransferIntent(models.Model):
    """How one payment is to be recognised: its virtual account and its reference code."""

    payment = models.OneToOneField(
        Payment, models.PROTECT, related_name="transfer_intent", verbose_name="支付单"
    )
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="intents",
        verbose_name="收款账户",
        db_index=False,
    )
    virtual_account = models.OneToOneField(
        VirtualAccount,
        models.PROTECT,
        related_name="intent",
        verbose_name="专属账号",
        null=True,
        blank=True,
    )
    code = models.CharField("核对码", max_length=8)
    assigned_at = models.DateTimeField("分配时间")

    class Meta:
        verbose_name = verbose_name_plural = "转账指引"
        constraints = [
            # The code first: matching asks for codes, on whatever account.
            models.UniqueConstraint(
                "code", "receiving_account", name="transfer_code_once_per_account"
            ),
            models.CheckConstraint(
                name="transfer_code_is_8_digits", condition=Q(code__regex=r"^[0-9]{8}$")
            ),
        ]

    def __str__(self) -> str:
        return self.code


class StatementQuerySet(models.QuerySet["Statement"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(receiving_account__merchant__in=tenants)


class Statement(models.Model):
    """One uploaded file.  Its bytes are kept until all its lines are in."""

    number = models.CharField("流水文件号", max_length=24, unique=True)
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="statements",
        verbose_name="收款账户",
        db_index=False,
    )
    file_sha256 = models.CharField("文件摘要", max_length=64)
    content = models.BinaryField("文件内容", null=True)
    filename = models.CharField("文件名", max_length=200, blank=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="上传人"
    )
    uploaded_at = models.DateTimeField("上传时间")
    status = models.CharField(
        "状态", max_length=8, choices=StatementStatus, default=StatementStatus.RUNNING
    )
    reason = models.CharField("拒绝原因", max_length=300, blank=True)
    lines = models.PositiveIntegerField("明细笔数", default=0)
    credits = models.PositiveIntegerField("收入笔数", default=0)
    credits_fen = models.PositiveBigIntegerField("收入合计(分)", default=0)
    matched = models.PositiveIntegerField("已核销", default=0)
    suggested = models.PositiveIntegerField("待确认", default=0)
    unmatched = models.PositiveIntegerField("挂账", default=0, help_text="含有冲突与退回的")
    duplicates = models.PositiveIntegerField("重复", default=0)
    ignored = models.PositiveIntegerField("不处理", default=0)
    imported_at = models.DateTimeField("导入时间", null=True, blank=True)

    objects = StatementQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "银行流水文件"
        constraints = [
            models.CheckConstraint(
                name="statement_status_known", condition=known("status", StatementStatus.values)
            ),
            models.UniqueConstraint(
                "receiving_account",
                "file_sha256",
                name="statement_imported_once",
                condition=~Q(status="REFUSED"),
            ),
            models.CheckConstraint(
                name="statement_kept_until_imported",
                condition=Q(status="RUNNING", content__isnull=False, imported_at=None)
                | Q(status="DONE", imported_at__isnull=False)
                | Q(status="REFUSED"),
            ),
            models.CheckConstraint(
                name="statement_refused_with_reason",
                condition=~Q(status="REFUSED") | ~Q(reason=""),
            ),
            models.CheckConstraint(
                name="statement_counts_every_line",
                condition=~Q(status="DONE")
                | Q(
                    lines=F("matched")
                    + F("suggested")
                    + F("unmatched")
                    + F("duplicates")
                    + F("ignored")
                ),
            ),
        ]
        indexes = [
            # The sweep for imports that were cut off.
            models.Index("uploaded_at", name="statement_running", condition=Q(status="RUNNING")),
            # The list of an account, newest first.
            models.Index(
                F("receiving_account"), F("uploaded_at").desc(), name="statement_by_account"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class StatementLineQuerySet(models.QuerySet["StatementLine"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(receiving_account__merchant__in=tenants)


class StatementLine(models.Model):
    """One booking of the bank, with the verdict on it and the reasons."""

    number = models.CharField("来账编号", max_length=24, unique=True)
    statement = models.ForeignKey(
        Statement,
        models.PROTECT,
        related_name="statement_lines",
        verbose_name="流水文件",
        null=True,
        blank=True,
        help_text="银行推送的为空",
    )
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="lines",
        verbose_name="收款账户",
        db_index=False,
    )
    key = models.CharField(
        "唯一键", max_length=160, help_text="银行流水号；没有流水号时为内容摘要加出现次序"
    )
    serial = models.CharField("银行流水号", max_length=64, blank=True)
    booked_at = models.DateTimeField("入账时间")
    stored_at = models.DateTimeField("收录时间")
    amount_fen = models.BigIntegerField("金额(分)", help_text="收入为正")
    currency = models.CharField("币种", max_length=8)
    balance_fen = models.BigIntegerField("余额(分)", null=True, blank=True)
    payer_name = models.CharField("对方户名", max_length=200, blank=True)
    payer_account = models.CharField("对方账号", max_length=64, blank=True)
    payer_bank = models.CharField("对方开户行", max_length=200, blank=True)
    remark = models.TextField("附言", blank=True, help_text="银行原文")
    texts = models.JSONField("全部文本", default=list)
    virtual_account = models.CharField("专属账号", max_length=44, blank=True)
    is_reversal = models.BooleanField("冲正", default=False)
    reverses = models.CharField("原流水号", max_length=64, blank=True)
    caution = models.CharField("提示", max_length=300, blank=True)
    is_posted = models.BooleanField("已记账", help_text="进入待核销来账科目")
    verdict = models.CharField("结论", max_length=12, choices=Verdict)
    rule = models.CharField("规则", max_length=8, blank=True)
    rule_version = models.CharField("规则版本", max_length=16, blank=True)
    reasons = models.JSONField("理由", default=list)
    candidates = models.JSONField("候选", default=list)
    decided_at = models.DateTimeField("结论时间", null=True, blank=True)
    decided_by = models.CharField("操作者", max_length=24, blank=True, help_text="系统为空")
    returned_serial = models.CharField("退回流水号", max_length=64, blank=True)

    objects = StatementLineQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "银行来账"
        constraints = [
            models.UniqueConstraint("receiving_account", "key", name="line_stored_once"),
            models.CheckConstraint(
                name="line_verdict_known", condition=known("verdict", Verdict.values)
            ),
            models.CheckConstraint(
                name="line_posted_is_money_in",
                condition=Q(is_posted=False) | Q(amount_fen__gt=0, currency="CNY"),
            ),
            models.CheckConstraint(
                name="line_pays_only_when_posted",
                condition=Q(is_posted=True)
                | ~Q(verdict__in=["NEW", "MATCHED", "SUGGESTED", "RETURNING", "RETURNED"]),
            ),
            models.CheckConstraint(
                name="line_returned_has_proof",
                condition=~Q(verdict="RETURNED") | ~Q(returned_serial=""),
            ),
        ]
        indexes = [
            # The sweep for lines that nobody has judged yet.
            models.Index("id", name="line_waiting", condition=Q(verdict="NEW")),
            # The sweep for returns that are under way.
            models.Index("decided_at", name="line_returning", condition=Q(verdict="RETURNING")),
            # The list of an account, newest first.
            models.Index(
                F("receiving_account"),
                F("booked_at").desc(),
                F("id").desc(),
                name="line_by_account",
            ),
            # The clerk's queue: a few lines among millions.
            models.Index(
                F("booked_at").desc(),
                F("id").desc(),
                name="line_for_a_person",
                condition=Q(verdict__in=[str(verdict) for verdict in OPEN]),
            ),
            # Whether a reversal of a line is here already.
            models.Index(
                "receiving_account", "reverses", name="line_reversing", condition=~Q(reverses="")
            ),
        ]

    def __str__(self) -> str:
        return self.number


class Allocation(models.Model):
    """Money of one line given to one payment; undone ones stay, marked."""

    line = models.ForeignKey(
        StatementLine, models.PROTECT, related_name="allocations", verbose_name="来账"
    )
    payment = models.ForeignKey(
        Payment, models.PROTECT, related_name="allocations", verbose_name="支付单"
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    channel_txn = models.CharField("到账流水号", max_length=40, unique=True)
    made_at = models.DateTimeField("核销时间")
    undone_at = models.DateTimeField("撤销时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "核销"
        constraints = [
            models.UniqueConstraint(
                "line", "payment", name="allocation_once", condition=Q(undone_at=None)
            ),
            models.CheckConstraint(name="allocation_moves_money", condition=Q(amount_fen__gt=0)),
        ]

    def __str__(self) -> str:
        return self.channel_txn


class LineEvent(models.Model):
    """What happened to a line, by whom; a trigger refuses to change or delete it."""

    line = models.ForeignKey(
        StatementLine, models.PROTECT, related_name="events", verbose_name="来账"
    )
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, blank=True, help_text="用户编号；系统为空")
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "来账事件"

    def __str__(self) -> str:
        return self.kind
