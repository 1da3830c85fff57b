from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from payments.carrier.rules import BatchStatus, move_number
from payments.ledger.models import Posting


class CarrierBatch(models.Model):
    """Postings that the carrier is told together, in order; one at a time.

    Its content is what stands in the append-only ledger for its moves, so it is the same whenever
    it is told.  `booked_at` is the carrier's word, and `booked_on` its day in Shanghai.
    """

    number = models.CharField("批次号", max_length=24)
    status = models.CharField("状态", max_length=8, choices=BatchStatus)
    moves = models.PositiveIntegerField("笔数")
    made_at = models.DateTimeField("生成时间")
    asked_at = models.DateTimeField("最近报送", null=True, blank=True)
    problem = models.CharField("未入账的原因", max_length=200, blank=True)
    booked_at = models.DateTimeField("存管入账时间", null=True, blank=True)
    booked_on = models.DateField("存管入账日", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "存管报送"
        constraints = [
            models.UniqueConstraint("number", name="carrier_batch_number_once"),
            models.CheckConstraint(
                name="carrier_batch_status_known", condition=known("status", BatchStatus.values)
            ),
            models.CheckConstraint(
                name="carrier_batch_booked_says_when",
                condition=Q(status="SENDING", booked_at=None, booked_on=None)
                | Q(status="BOOKED", booked_at__isnull=False, booked_on__isnull=False, problem=""),
            ),
            # The next one is made when this one is booked: the carrier hears all in order.
            models.UniqueConstraint(
                "status", name="carrier_batch_one_at_a_time", condition=Q(status="SENDING")
            ),
        ]
        indexes = [models.Index(F("booked_on"), name="carrier_batch_by_day")]

    def __str__(self) -> str:
        return self.number


class CarrierMove(models.Model):
    """That a posting is told, and as what; without a batch: it touches nothing that is held there.

    Written with its batch, before the carrier is asked.
    """

    posting = models.OneToOneField(
        Posting, models.PROTECT, primary_key=True, db_constraint=False, related_name="+",
        verbose_name="凭证",
    )  # fmt: skip
    batch = models.ForeignKey(
        CarrierBatch, models.PROTECT, null=True, db_constraint=False, related_name="told",
        db_index=False, verbose_name="批次",
    )  # fmt: skip
    n = models.PositiveIntegerField("序号", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "存管动账"
        constraints = [
            models.UniqueConstraint("batch", "n", name="carrier_move_number_once"),
            models.CheckConstraint(
                name="carrier_move_in_a_batch_has_a_number",
                condition=Q(batch=None, n=0) | Q(batch__isnull=False, n__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return move_number(self.batch.number, self.n) if self.batch else ""


class CarrierAccount(models.Model):
    """A sub-account as the carrier was told it, with what is on its way there."""

    code = models.CharField("子账户", max_length=64)
    told_fen = models.BigIntegerField("已报送余额(分)")

    class Meta:
        verbose_name = verbose_name_plural = "存管子账户"
        constraints = [
            models.UniqueConstraint("code", name="carrier_account_code_once"),
            models.CheckConstraint(
                name="carrier_account_never_overdrawn", condition=Q(told_fen__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.code


class CarrierMark(models.Model):
    """One row: all postings up to `passed` are told; see `rules.Step`."""

    passed = models.BigIntegerField(default=0)
    marked = models.BigIntegerField(null=True)
    marked_at = models.DateTimeField(null=True)
    # The first transaction that began after the running ones were noted.
    noted = models.BigIntegerField(null=True)
