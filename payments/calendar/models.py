from django.db import models

from config.kit.states import known
from payments.calendar.rules import Kind


class BankDay(models.Model):
    """A day that is not what its weekday says: a public holiday, or a day made up for one.

    The State Council announces them each November for the next year.
    """

    day = models.DateField("日期", unique=True)
    kind = models.CharField("安排", max_length=8, choices=Kind)
    name = models.CharField("节日", max_length=20)

    class Meta:
        verbose_name = verbose_name_plural = "银行工作日"
        constraints = [
            models.CheckConstraint(name="bank_day_kind_known", condition=known("kind", Kind.values))
        ]

    def __str__(self) -> str:
        return f"{self.day} {self.name}"
