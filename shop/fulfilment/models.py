from django.db import models
from django.db.models import Q

from shop.orders.models import Order, OrderLine


class Shipment(models.Model):
    """Lines of an order that left together: by a carrier, or without logistics."""

    number = models.CharField("发货单号", max_length=24, unique=True)
    order = models.ForeignKey(Order, models.PROTECT, related_name="shipments", verbose_name="订单")
    lines = models.ManyToManyField(OrderLine, related_name="shipments", verbose_name="订单行")
    carrier = models.CharField("承运商", max_length=40, blank=True)
    tracking_no = models.CharField("运单号", max_length=40, blank=True)
    no_logistics = models.BooleanField("无需物流", default=False)
    evidence = models.CharField("凭证", max_length=500, blank=True)
    actor = models.CharField("操作者", max_length=24)
    shipped_at = models.DateTimeField("发货时间")

    class Meta:
        verbose_name = verbose_name_plural = "发货单"
        constraints = [
            models.CheckConstraint(
                name="shipment_has_tracking_or_needs_none",
                condition=Q(no_logistics=True, carrier="", tracking_no="")
                | Q(no_logistics=False) & ~Q(carrier="") & ~Q(tracking_no=""),
            ),
        ]

    def __str__(self) -> str:
        return self.number
