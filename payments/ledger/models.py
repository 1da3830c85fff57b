from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import Q


class Account(models.Model):
    """A pot of money.

    A guarded account belongs to somebody and keeps its balance, which is never below zero.
    The others keep none: every payment would queue for the same row.
    """

    code = models.CharField("科目代码", max_length=64, unique=True)
    is_guarded = models.BooleanField("有余额约束")
    balance_fen = models.BigIntegerField("余额(分)", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "账户"
        constraints = [
            models.CheckConstraint(
                name="account_balance_only_if_guarded",
                condition=Q(is_guarded=True) | Q(balance_fen=0),
            ),
            models.CheckConstraint(name="account_never_overdrawn", condition=Q(balance_fen__gte=0)),
        ]

    def __str__(self) -> str:
        return self.code


class Posting(models.Model):
    """One business fact that moved money.  A trigger refuses to change or delete it."""

    kind = models.CharField("事项", max_length=24)
    reference = models.CharField("凭据", max_length=96)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "记账凭证"
        constraints = [
            models.UniqueConstraint("kind", "reference", name="posting_once_per_fact"),
        ]
        indexes = [
            # What moved within some days: rows lie in the order of their time, so that a few pages
            # say where, and writing costs nothing.
            BrinIndex("at", name="posting_by_time", pages_per_range=32, autosummarize=True),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.reference}"


class Entry(models.Model):
    """One leg of a posting, debit + and credit −; a deferred trigger holds their sum at zero."""

    posting = models.ForeignKey(
        Posting, models.PROTECT, related_name="entries", verbose_name="凭证"
    )
    account = models.ForeignKey(
        Account, models.PROTECT, related_name="entries", verbose_name="账户"
    )
    amount_fen = models.BigIntegerField("金额(分)")

    class Meta:
        verbose_name = verbose_name_plural = "分录"
        constraints = [
            models.CheckConstraint(name="entry_moves_money", condition=~Q(amount_fen=0)),
        ]

    def __str__(self) -> str:
        return f"{self.account_id} {self.amount_fen}"
