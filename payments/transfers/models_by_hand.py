from django.db import models
from django.db.models import F, Q

from config.kit.states import known
from payments.cashier.models import Refund
from payments.transfers.models import LineReturn, StatementLine
from payments.transfers.rules import HandStatus


class ByHand(models.Model):
    """A booking of money out that is, says a person, a return or a refund paid in net banking.

    Another person confirms it.  The return of a line is made for this; a refund was there, and had
    failed.
    """

    booking = models.ForeignKey(
        StatementLine, models.PROTECT, related_name="by_hand", verbose_name="付出流水"
    )
    line_return = models.OneToOneField(
        LineReturn,
        models.PROTECT,
        related_name="by_hand",
        verbose_name="来账退回",
        null=True,
        blank=True,
    )
    refund = models.ForeignKey(
        Refund,
        models.PROTECT,
        related_name="by_hand",
        verbose_name="退款单",
        null=True,
        blank=True,
    )
    status = models.CharField("状态", max_length=8, choices=HandStatus, default=HandStatus.ASKED)
    reason = models.CharField("说明", max_length=200, blank=True)
    asked_by = models.CharField("登记人", max_length=24)
    asked_at = models.DateTimeField("登记时间")
    checked_by = models.CharField("复核人", max_length=24, blank=True)
    checked_at = models.DateTimeField("复核时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "网银退款"
        constraints = [
            models.CheckConstraint(
                name="by_hand_status_known", condition=known("status", HandStatus.values)
            ),
            models.CheckConstraint(
                name="by_hand_of_one_thing",
                condition=Q(line_return=None, refund__isnull=False)
                | Q(line_return__isnull=False, refund=None),
            ),
            models.CheckConstraint(
                name="by_hand_over_when_checked",
                condition=Q(status="ASKED", checked_by="", checked_at=None)
                | ~Q(status="ASKED") & ~Q(checked_by="") & Q(checked_at__isnull=False),
            ),
            models.CheckConstraint(
                name="by_hand_checked_by_another",
                condition=Q(checked_by="") | ~Q(checked_by=F("asked_by")),
            ),
            models.UniqueConstraint(
                "booking", name="by_hand_booking_used_once", condition=~Q(status="DECLINED")
            ),
            models.UniqueConstraint(
                "refund",
                name="by_hand_refund_asked_once",
                condition=Q(status="ASKED", refund__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.payout

    @property
    def payout(self) -> str:
        """The number of the return (T…) or refund (R…)."""
        return self.line_return.number if self.line_return else str(self.refund)
