from django.db import models
from django.db.models import F, Q

from shop.catalog.models import Sku


class Stock(models.Model):
    """How many pieces of a SKU exist, and how many of them are promised to somebody."""

    sku = models.OneToOneField(Sku, models.PROTECT, primary_key=True, verbose_name="规格")
    on_hand = models.PositiveIntegerField("在库", default=0)
    promised = models.PositiveIntegerField("已占用", default=0)

    class Meta:
        verbose_name = verbose_name_plural = "库存"
        constraints = [
            models.CheckConstraint(
                name="stock_never_oversold", condition=Q(promised__lte=F("on_hand"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.on_hand - self.promised}/{self.on_hand}"


class StockEvent(models.Model):
    """Why pieces came or went by hand; sales explain themselves by their orders."""

    sku = models.ForeignKey(Sku, models.PROTECT, related_name="stock_events")
    change = models.IntegerField("变动")
    actor = models.CharField("操作者", max_length=24)
    reason = models.CharField("原因", max_length=80)
    at = models.DateTimeField("时间")

    class Meta:
        verbose_name = verbose_name_plural = "库存变动"

    def __str__(self) -> str:
        return f"{self.change:+d} {self.reason}"
