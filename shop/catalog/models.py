from typing import Self

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import F, Func, Q

from members.memberships.rules import Standings
from members.merchants.models import Merchant
from shop.catalog.rules import Status, words
from shop.pricing.rules import Kind


class Category(models.Model):
    code = models.SlugField("代码", max_length=32, unique=True)
    name = models.CharField("名称", max_length=40)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, verbose_name="上级")
    receive_days = models.PositiveSmallIntegerField(
        "自动收货(天)",
        null=True,
        blank=True,
        help_text="发货后多少天，含下级类目；留空：物流 10 天，无需物流 2 天",
    )

    class Meta:
        verbose_name = verbose_name_plural = "类目"
        constraints = [
            models.CheckConstraint(
                name="category_receive_days_are_days",
                condition=Q(receive_days=None) | Q(receive_days__gte=1, receive_days__lte=90),
                violation_error_message="自动收货须为 1 到 90 天，或留空",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class ProductQuerySet(models.QuerySet["Product"]):
    def visible_to(self, standings: Standings) -> Self:
        """Private goods exist only for members of their merchant: on every shelf, page and order.

        The one place that decides it; `standings` are the viewer's active memberships.
        """
        return self.filter(
            Q(is_private=False) | Q(merchant__in=list(standings)),
            status=Status.ON_SALE,
            merchant__status="ACTIVE",
        )

    def about(self, text: str) -> Self:
        return self.filter(words__contains=words(text))


class Product(models.Model):
    """What is shown; what is sold is its SKUs."""

    number = models.CharField("商品编号", max_length=24, unique=True)
    merchant = models.ForeignKey(
        Merchant, models.PROTECT, related_name="products", verbose_name="商家"
    )
    title = models.CharField("标题", max_length=80)
    description = models.TextField("详情", max_length=10_000, blank=True)
    category = models.ForeignKey(
        Category, models.PROTECT, null=True, blank=True, verbose_name="类目"
    )
    is_private = models.BooleanField("私密商品", default=False, help_text="仅会员可见可买")
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.DRAFT)
    created_at = models.DateTimeField("创建时间")
    words = models.GeneratedField(
        expression=Func(F("title"), function="shop_words"),
        output_field=ArrayField(models.TextField()),
        db_persist=True,
    )

    objects = ProductQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "商品"
        constraints = [
            models.CheckConstraint(
                name="product_status_known", condition=Q(status__in=Status.values)
            ),
        ]
        indexes = [
            # The shelf, newest first; private goods are few and filtered from it.
            models.Index(
                F("created_at").desc(),
                F("id").desc(),
                name="product_shelf",
                condition=Q(status="ON_SALE"),
            ),
            models.Index(
                F("merchant"),
                F("created_at").desc(),
                name="product_shelf_of_merchant",
                condition=Q(status="ON_SALE"),
            ),
            GinIndex(fields=["words"], name="product_words"),
        ]

    def __str__(self) -> str:
        return self.title


class SkuQuerySet(models.QuerySet["Sku"]):
    def sellable_to(self, standings: Standings) -> Self:
        return self.filter(
            is_active=True, product__in=Product.objects.visible_to(standings).values("pk")
        )


class Sku(models.Model):
    """The smallest thing that can be sold."""

    number = models.CharField("规格编号", max_length=24, unique=True)
    product = models.ForeignKey(Product, models.PROTECT, related_name="skus", verbose_name="商品")
    name = models.CharField("规格", max_length=40)
    list_price_fen = models.PositiveBigIntegerField("原价(分)")
    min_quantity = models.PositiveIntegerField("起批量", default=1, help_text="会员一件起批")
    is_active = models.BooleanField("可售", default=True)

    objects = SkuQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "规格"
        constraints = [
            models.CheckConstraint(name="sku_has_price", condition=Q(list_price_fen__gt=0)),
            models.CheckConstraint(name="sku_min_quantity", condition=Q(min_quantity__gt=0)),
        ]

    def __str__(self) -> str:
        return f"{self.product} {self.name}"


class PriceRule(models.Model):
    """A price other than the list price, and for whom and how many it is."""

    sku = models.ForeignKey(Sku, models.CASCADE, related_name="price_rules", verbose_name="规格")
    kind = models.CharField("类型", max_length=16, choices=Kind)
    level = models.ForeignKey(
        "members.Level", models.PROTECT, null=True, blank=True, verbose_name="会员等级"
    )
    min_quantity = models.PositiveIntegerField("满件数", default=1)
    price_fen = models.PositiveBigIntegerField("单价(分)")

    class Meta:
        verbose_name = verbose_name_plural = "价格规则"
        constraints = [
            models.UniqueConstraint(
                "sku",
                "kind",
                "level",
                "min_quantity",
                name="price_rule_once_per_audience",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                name="price_rule_kind_known",
                condition=Q(kind__in=["BREAK", "MEMBER", "LEVEL"]),
            ),
            models.CheckConstraint(
                name="price_rule_level_only_for_level",
                condition=Q(kind="LEVEL", level__isnull=False)
                | (~Q(kind="LEVEL") & Q(level__isnull=True)),
            ),
            models.CheckConstraint(
                name="price_rule_has_price", condition=Q(price_fen__gt=0, min_quantity__gt=0)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} ≥{self.min_quantity}"
