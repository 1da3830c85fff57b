from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount
from payments.transfers.rules import OPEN, ReturnStatus, StatementStatus, Verdict


class StatementQuerySet(models.QuerySet["Statement"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(receiving_account__merchant__in=tenants)


class Statement(models.Model):
    """One file of a bank.  Its bytes (StatementPart) are kept until all its lines are in."""

    number = models.CharField("流水文件号", max_length=24, unique=True)
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="statements",
        verbose_name="收款账户",
        db_index=False,
    )
    file_sha256 = models.CharField("文件摘要", max_length=64)
    filename = models.CharField("文件名", max_length=200, blank=True)
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        verbose_name="上传人",
        null=True,
        blank=True,
        help_text="从银行接口取来的为空",
    )
    day = models.DateField(
        "取的日期", null=True, blank=True, help_text="从银行接口取来的整天；上传的为空"
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
    confirmed_at = models.DateTimeField(
        "再次取得", null=True, blank=True, help_text="银行最近一次又给出完全相同的文件"
    )
    form = models.CharField("格式", max_length=32, blank=True)
    pays = models.BooleanField("可核销", default=True, help_text="支付渠道的账单只存档")
    opening_fen = models.BigIntegerField("期初余额(分)", null=True, blank=True)
    closing_fen = models.BigIntegerField("期末余额(分)", null=True, blank=True)
    booked_from = models.DateField("起始日", null=True, blank=True)
    booked_until = models.DateField("截止日", null=True, blank=True, help_text="不含")
    broken_row = models.PositiveIntegerField("出错行", null=True, blank=True)
    progress = models.PositiveIntegerField("已处理笔数", default=0)
    leased_by = models.CharField(max_length=16, blank=True, help_text="正在导入的进程")
    leased_until = models.DateTimeField(null=True, blank=True)

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
                name="statement_done_has_time",
                condition=~Q(status="RUNNING")
                & (Q(status="REFUSED") | Q(imported_at__isnull=False))
                | Q(status="RUNNING", imported_at=None),
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
            models.Index("leased_until", name="statement_running", condition=Q(status="RUNNING")),
            # The list of an account, newest first.
            models.Index(
                F("receiving_account"), F("uploaded_at").desc(), name="statement_by_account"
            ),
        ]

    def __str__(self) -> str:
        return self.number


class StatementPart(models.Model):
    """A piece of a file's bytes, deflated: a file of a million lines is nowhere whole in memory."""

    statement = models.ForeignKey(Statement, models.CASCADE, related_name="parts", db_index=False)
    part = models.PositiveIntegerField()
    body = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint("statement", "part", name="statement_part_once"),
        ]

    def __str__(self) -> str:
        return f"{self.statement_id} {self.part}"


class StatementLineQuerySet(models.QuerySet["StatementLine"]):
    def seen_by(self, viewer: Viewer) -> Self:
        tenants = viewer.tenants("FINANCE")
        return self if tenants is None else self.filter(receiving_account__merchant__in=tenants)


class StatementLine(models.Model):
    """One booking of the bank, with the verdict on it and the reasons.

    Statements, accounts, lines and payments are never deleted (a trigger), and lines and
    allocations are written beside rows that were just read or locked: looking these up again for
    every row would cost a fifth of an import.
    """

    number = models.CharField("来账编号", max_length=24)
    statement = models.ForeignKey(
        Statement,
        models.PROTECT,
        db_constraint=False,
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
        db_constraint=False,
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
    is_posted = models.BooleanField("待核销入账", help_text="进入待核销来账科目")
    is_elsewhere = models.BooleanField(
        "其他入账", default=False, db_default=False, help_text="不是买家的钱，进入非买家收支科目"
    )
    allocated_fen = models.PositiveBigIntegerField("已核销(分)", default=0, db_default=0)
    returned_fen = models.PositiveBigIntegerField("已退回(分)", default=0, db_default=0)
    set_aside_fen = models.PositiveBigIntegerField(
        "不处理(分)",
        default=0,
        db_default=0,
        help_text="由人认定不是买家的钱，已转出待核销来账科目",
    )
    verdict = models.CharField("结论", max_length=12, choices=Verdict)
    rule = models.CharField("规则", max_length=8, blank=True)
    rule_version = models.CharField("规则版本", max_length=16, blank=True)
    reasons = models.JSONField("理由", default=list)
    facts = models.JSONField("依据", default=dict, db_default={})
    candidates = models.JSONField("候选", default=list, help_text="含被排除的及其原因")
    decided_at = models.DateTimeField("结论时间", null=True, blank=True)
    decided_by = models.CharField("操作者", max_length=24, blank=True, help_text="系统为空")

    objects = StatementLineQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "银行来账"
        constraints = [
            models.UniqueConstraint("number", name="line_number_once"),
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
                | ~Q(verdict__in=["MATCHED", "SUGGESTED", "RETURNING", "RETURNED"]),
            ),
            models.CheckConstraint(
                name="line_posted_to_one_account",
                condition=Q(is_posted=False) | Q(is_elsewhere=False),
            ),
            models.CheckConstraint(
                name="line_never_spends_more_than_came",
                condition=Q(is_posted=False, allocated_fen=0, returned_fen=0, set_aside_fen=0)
                | Q(amount_fen__gte=F("allocated_fen") + F("returned_fen") + F("set_aside_fen")),
            ),
            # Of a line in the books the rest waits in suspense or is set aside, never both.
            models.CheckConstraint(
                name="line_ignored_is_set_aside",
                condition=Q(
                    verdict="IGNORED",
                    is_posted=True,
                    set_aside_fen__gt=0,
                    amount_fen=F("allocated_fen") + F("returned_fen") + F("set_aside_fen"),
                )
                | Q(~Q(verdict="IGNORED", is_posted=True), set_aside_fen=0),
            ),
            models.CheckConstraint(
                name="line_matched_is_used_up",
                condition=~Q(verdict="MATCHED")
                | Q(amount_fen=F("allocated_fen") + F("returned_fen")),
            ),
        ]
        indexes = [
            # The list of an account, newest first.
            models.Index(
                F("receiving_account"),
                F("booked_at").desc(),
                F("id").desc(),
                name="line_by_account",
            ),
            # What the bank pushed, beside what its files say (`twins`).
            models.Index(
                "receiving_account",
                "booked_at",
                name="line_pushed",
                condition=Q(statement=None),
            ),
            # The clerk's queue: a few lines among millions.
            models.Index(
                F("booked_at").desc(),
                F("id").desc(),
                name="line_for_a_person",
                condition=Q(verdict__in=[str(verdict) for verdict in OPEN]),
            ),
            # Lines of a payer, by account and by name: for whom he has paid before.
            models.Index(
                "payer_account", "id", name="line_by_payer", condition=Q(allocated_fen__gt=0)
            ),
            models.Index("payer_name", "id", name="line_by_name", condition=Q(allocated_fen__gt=0)),
            # Reversals that name their original: few, looked for before money is sent back.
            models.Index(
                "receiving_account",
                "reverses",
                name="line_reversing",
                condition=~Q(reverses=""),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class Allocation(models.Model):
    """Money of one line given to one payment; undone ones stay, marked."""

    line = models.ForeignKey(
        StatementLine,
        models.PROTECT,
        related_name="allocations",
        verbose_name="来账",
        db_constraint=False,
    )
    payment = models.ForeignKey(
        Payment,
        models.PROTECT,
        related_name="allocations",
        verbose_name="支付单",
        db_constraint=False,
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    channel_txn = models.CharField("到账流水号", max_length=40)
    made_at = models.DateTimeField("核销时间")
    undone_at = models.DateTimeField("撤销时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "核销"
        constraints = [
            models.UniqueConstraint(
                "line", "payment", name="allocation_once", condition=Q(undone_at=None)
            ),
            models.UniqueConstraint("channel_txn", name="allocation_named_once"),
            models.CheckConstraint(name="allocation_moves_money", condition=Q(amount_fen__gt=0)),
        ]

    def __str__(self) -> str:
        return self.channel_txn


class LineReturn(models.Model):
    """Money of one line on its way back to the very account it came from."""

    number = models.CharField("退回单号", max_length=24, unique=True, help_text="银行的幂等键")
    line = models.ForeignKey(
        StatementLine, models.PROTECT, related_name="returns", verbose_name="来账"
    )
    amount_fen = models.PositiveBigIntegerField("金额(分)")
    status = models.CharField("状态", max_length=8, choices=ReturnStatus)
    reason = models.CharField("原因", max_length=200, blank=True)
    asked_by = models.CharField("申请人", max_length=24)
    asked_at = models.DateTimeField("申请时间")
    checked_by = models.CharField("复核人", max_length=24, blank=True)
    sent_at = models.DateTimeField("提交银行时间", null=True, blank=True)
    chased_at = models.DateTimeField("最近催问时间", null=True, blank=True)
    serial = models.CharField("退回流水号", max_length=64, blank=True)
    failure = models.CharField("失败原因", max_length=200, blank=True)
    done_at = models.DateTimeField("完成时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "来账退回"
        constraints = [
            models.CheckConstraint(
                name="return_status_known", condition=known("status", ReturnStatus.values)
            ),
            models.CheckConstraint(name="return_moves_money", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="return_checked_by_another",
                condition=Q(checked_by="") | ~Q(checked_by=F("asked_by")),
            ),
            models.CheckConstraint(
                name="return_done_has_proof",
                condition=~Q(status="DONE") | ~Q(serial="") & Q(done_at__isnull=False),
            ),
            models.UniqueConstraint(
                "line",
                name="return_one_at_a_time",
                condition=Q(status__in=["ASKED", "SENDING"]),
            ),
        ]
        indexes = [
            # The sweep for returns that are under way.
            models.Index("sent_at", name="return_under_way", condition=Q(status="SENDING")),
        ]

    def __str__(self) -> str:
        return self.number


class Policy(models.Model):
    """How a merchant's transfers are matched; the row without a merchant is everybody else's."""

    merchant = models.CharField(
        "商家", max_length=24, unique=True, blank=True, help_text="商家编号；空为默认"
    )
    version = models.CharField("规则版本", max_length=16, blank=True, help_text="空为系统当前版本")
    shadow = models.CharField(
        "试运行版本", max_length=16, blank=True, help_text="只记录结论，不执行"
    )
    rungs_off = models.JSONField("停用的规则", default=list, blank=True)
    rungs_on = models.JSONField(
        "启用自动核销的规则", default=list, blank=True, help_text="默认需人工的 T5、T6"
    )
    automatic_up_to_fen = models.PositiveBigIntegerField(
        "自动核销上限(分)", null=True, blank=True, help_text="超过的来账由人工处理；空为不限"
    )
    fee_up_to_fen = models.PositiveBigIntegerField(
        "可接受的途中扣费(分)", default=0, help_text="跨行或跨境汇款少到的手续费"
    )
    reopens_within_days = models.PositiveSmallIntegerField("逾期到账可恢复订单(天)", default=7)
    check_above_fen = models.PositiveBigIntegerField(
        "退回需复核(分)", default=1_000_000, help_text="超过此金额须由另一人复核"
    )

    class Meta:
        verbose_name = verbose_name_plural = "核销策略"

    def __str__(self) -> str:
        return self.merchant or "默认"


class ShadowVerdict(models.Model):
    """What another version of the rules would have decided; nothing was done."""

    line = models.ForeignKey(StatementLine, models.CASCADE, related_name="shadows")
    version = models.CharField("规则版本", max_length=16)
    verdict = models.CharField("结论", max_length=12, choices=Verdict)
    rule = models.CharField("规则", max_length=8, blank=True)
    payments = models.JSONField("支付单", default=list, help_text="会付清的支付单号")
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "试运行结论"
        constraints = [
            models.UniqueConstraint("line", "version", name="shadow_once_per_version"),
        ]

    def __str__(self) -> str:
        return f"{self.line_id} {self.version}"


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
