from datetime import datetime, timedelta
from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import Q

from config.kit.states import known
from config.kit.viewer import Viewer
from payments.cashier.models import Payment
from payments.cashier.rules import Status
from payments.receiving.rules import Gives, VirtualState


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
    is_active = models.BooleanField("接受新的付款", default=True)
    gives = models.CharField(
        "专属账号", max_length=8, choices=Gives, default=Gives.PAYMENT, help_text="分配给谁"
    )
    quarantine_days = models.PositiveSmallIntegerField(
        "静置天数", default=180, help_text="支付结束后专属账号多少天内不再分配"
    )
    columns = models.JSONField(
        "列对照", default=dict, blank=True, help_text="本行流水的表头不在已知格式里时使用"
    )
    is_capped = models.BooleanField(
        "限额收款",
        default=False,
        db_default=False,
        help_text="请银行拒收超过应付金额的转账；需要银行支持",
    )
    is_payer_bound = models.BooleanField(
        "限付款人",
        default=False,
        db_default=False,
        help_text="老客户的支付单，请银行只收他一直用的那个账户；需要银行支持",
    )
    codes_in_use = models.PositiveIntegerField(
        "在用核对码", default=0, db_default=0, help_text="每小时清点一次"
    )
    pulled_until = models.DateField("已取流水至", null=True, blank=True, help_text="含")

    objects = ReceivingAccountQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "收款账户"
        constraints = [
            models.CheckConstraint(
                name="receiving_account_is_digits",
                condition=Q(account_no__regex=r"^[0-9A-Z]{6,34}$"),
            ),
            models.CheckConstraint(
                name="receiving_account_gives_known", condition=known("gives", Gives.values)
            ),
        ]

    def __str__(self) -> str:
        return self.account_no


class MissingDay(models.Model):
    """A day whose statement the bank did not give, or gave in a way that we refused.

    Pulling goes on with the days behind it and comes back, until it is fetched, or somebody has
    uploaded a statement that has the day.
    """

    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="missing_days",
        verbose_name="收款账户",
        db_index=False,
    )
    day = models.DateField("日期")
    reason = models.CharField("原因", max_length=300)
    tried_at = models.DateTimeField("最近一次尝试")
    fetched_at = models.DateTimeField("补齐时间", null=True, blank=True)
    statement = models.CharField(
        "补上的流水文件", max_length=24, blank=True, db_default="", help_text="由人上传的"
    )
    closed_by = models.CharField(
        "上传人", max_length=24, blank=True, db_default="", help_text="用户编号；从银行取到的为空"
    )

    class Meta:
        verbose_name = verbose_name_plural = "未取到的流水"
        constraints = [
            models.UniqueConstraint("receiving_account", "day", name="missing_day_once"),
            models.CheckConstraint(name="missing_day_says_why", condition=~Q(reason="")),
            models.CheckConstraint(
                name="missing_day_closed_by_a_person_with_a_file",
                condition=Q(statement="", closed_by="")
                | Q(fetched_at__isnull=False) & ~Q(statement="") & ~Q(closed_by=""),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.day}"


class VirtualAccount(models.Model):
    """A number below a receiving account, given to one payment or to one buyer.

    When its payment is over it rests, so that late money finds it, and is then given again.
    """

    number = models.CharField("专属账号", max_length=44)
    unit = models.CharField("子单元", max_length=10)
    receiving_account = models.ForeignKey(
        ReceivingAccount,
        models.PROTECT,
        related_name="virtual_accounts",
        verbose_name="收款账户",
        db_index=False,
    )
    state = models.CharField("状态", max_length=8, choices=VirtualState, default=VirtualState.FREE)
    member = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="virtual_accounts",
        verbose_name="买家",
        null=True,
        blank=True,
        help_text="只给一位买家的专属账号",
    )
    rests_until = models.DateTimeField("静置到", null=True, blank=True)
    cap_fen = models.PositiveBigIntegerField(
        "入账上限(分)", null=True, blank=True, help_text="银行已登记：超过即拒收"
    )
    payer_account = models.CharField(
        "限付款账号", max_length=64, blank=True, help_text="银行登记的，或可能已登记：只收这个账号"
    )
    limit_asked_at = models.DateTimeField(
        "限额提交时间", null=True, blank=True, help_text="银行还没有答复：登记了什么尚不确定"
    )

    class Meta:
        verbose_name = verbose_name_plural = "专属账号"
        constraints = [
            models.UniqueConstraint("number", name="virtual_account_number_once"),
            models.UniqueConstraint(
                "receiving_account",
                "member",
                name="virtual_account_one_per_member",
                condition=Q(member__isnull=False),
            ),
            models.CheckConstraint(
                name="virtual_account_rests_until_a_time",
                condition=Q(state="RESTING", rests_until__isnull=False)
                | ~Q(state="RESTING") & Q(rests_until=None),
            ),
            models.CheckConstraint(
                name="virtual_account_free_is_nobodys_and_takes_all",
                condition=~Q(state="FREE")
                | Q(member=None, cap_fen=None, payer_account="", limit_asked_at=None),
            ),
            models.CheckConstraint(
                name="virtual_account_state_known", condition=known("state", VirtualState.values)
            ),
        ]
        indexes = [
            # The sweep that gives rested ones back.
            models.Index(
                "rests_until", name="virtual_account_resting", condition=Q(state="RESTING")
            ),
            # The sweep that lets those rest whose payment is over.
            models.Index("id", name="virtual_account_assigned", condition=Q(state="ASSIGNED")),
            # Opening a payment takes the next free one.
            models.Index(
                "receiving_account", "id", name="virtual_account_free", condition=Q(state="FREE")
            ),
        ]

    def __str__(self) -> str:
        return self.number


class TransferIntentQuerySet(models.QuerySet["TransferIntent"]):
    def said_paid(self, at: datetime) -> Self:
        """Their buyers say that they have paid, and nothing has come; of the last 30 days."""
        return self.filter(
            hinted_at__gt=at - timedelta(days=30),
            payment__status=Status.WAITING,
            payment__received_fen=0,
        )


class TransferIntent(models.Model):
    """How one payment is to be recognised: its virtual account and its reference code.

    `released_at`: the virtual account was given to another payment since, and names this one no
    longer.  `code_released_at`: so long after the payment was over that its code names it no longer
    and may be given to another.  Without a code it has a virtual account.
    `payer_account`: from where alone the bank is to take money, while its receiving account wants
    it (`limits`).
    """

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
    virtual_account = models.ForeignKey(
        VirtualAccount,
        models.PROTECT,
        related_name="intents",
        verbose_name="专属账号",
        null=True,
        blank=True,
    )
    code = models.CharField("核对码", max_length=8, blank=True)
    code_released_at = models.DateTimeField("核对码收回时间", null=True, blank=True)
    is_code_again = models.BooleanField(
        "核对码曾用过",
        default=False,
        db_default=False,
        help_text="两年前属于另一笔支付：附言写它的也可能是从前的付款人",
    )
    assigned_at = models.DateTimeField("分配时间")
    is_shared = models.BooleanField(
        "买家共用", default=False, db_default=False, help_text="专属账号属于买家，可同时有多笔支付"
    )
    payer_account = models.CharField(
        "只收的付款账号",
        max_length=64,
        blank=True,
        db_default="",
        help_text="他一直用的那个账户；空为不限，或买家要改用别的账户",
    )
    released_at = models.DateTimeField("专属账号收回时间", null=True, blank=True)
    hinted_at = models.DateTimeField("买家称已转账", null=True, blank=True)

    objects = TransferIntentQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "转账指引"
        constraints = [
            # The code first: matching asks for codes, on whatever account.  Of those that hold it
            # (not released) there is one; released ones stay in it, so that giving finds them.
            models.UniqueConstraint(
                "code",
                "receiving_account",
                "code_released_at",
                name="transfer_code_names_one_payment_at_a_time",
                condition=~Q(code=""),
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                "virtual_account",
                name="virtual_account_of_one_payment",
                condition=Q(is_shared=False, released_at=None),
            ),
            models.CheckConstraint(
                name="transfer_code_is_8_digits",
                condition=Q(code="") | Q(code__regex=r"^[0-9]{8}$"),
            ),
            models.CheckConstraint(
                name="transfer_without_code_has_an_account",
                condition=~Q(code="") | Q(virtual_account__isnull=False),
            ),
            # A buyer's own number takes the money of all his orders, from whatever account.
            models.CheckConstraint(
                name="transfer_payer_bound_on_its_own_account",
                condition=Q(payer_account="") | Q(virtual_account__isnull=False, is_shared=False),
            ),
        ]
        indexes = [
            # The sweep that takes codes back, oldest first.
            models.Index(
                "assigned_at",
                "id",
                name="transfer_code_held",
                condition=Q(code_released_at=None) & ~Q(code=""),
            ),
            # Whose buyers say that they have paid: the dashboard's count.
            models.Index("hinted_at", name="transfer_said_paid", condition=~Q(hinted_at=None)),
        ]

    def __str__(self) -> str:
        return self.code or "无核对码"
