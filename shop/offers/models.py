from django.db import models
from django.db.models import F, Q

from shop.catalog.models import Sku
from shop.offers.rules import Status


class Offer(models.Model):
    """Some pieces of a SKU at a special price for a while: a live lot, a flash sale, a group buy.

    Whoever runs the occasion opens the offer and is named by source and reference.  Its pieces
    are promised in stock as a whole; while it is open, returned pieces come back to it.
    """

    number = models.CharField("编号", max_length=24, unique=True)
    sku = models.ForeignKey(Sku, models.PROTECT, related_name="offers", verbose_name="规格")
    price_fen = models.PositiveBigIntegerField("单价(分)")
    quota = models.PositiveIntegerField("件数")
    taken = models.PositiveIntegerField("已售", default=0)
    starts_at = models.DateTimeField("开始时间")
    ends_at = models.DateTimeField("结束时间")
    source = models.CharField("来源", max_length=16)
    reference = models.CharField("来源编号", max_length=24)
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.OPEN)

    class Meta:
        verbose_name = verbose_name_plural = "活动价"
        constraints = [
            models.CheckConstraint(
                name="offer_status_known", condition=Q(status__in=Status.values)
            ),
            models.CheckConstraint(name="offer_within_quota", condition=Q(taken__lte=F("quota"))),
            models.CheckConstraint(name="offer_has_time", condition=Q(starts_at__lt=F("ends_at"))),
            models.CheckConstraint(
                name="offer_has_price", condition=Q(price_fen__gt=0, quota__gt=0)
            ),
            models.UniqueConstraint("source", "reference", name="offer_once_per_occasion"),
        ]

    def __str__(self) -> str:
        return self.number
