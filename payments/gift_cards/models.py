from typing import Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.lookups import Exact

from config.kit.states import known
from payments.gift_cards.rules import UNPAID, GiftStatus, Status


class GiftCardQuerySet(models.QuerySet["GiftCard"]):
    def of(self, person_id: int) -> Self:
        """Those that somebody holds, or has bought."""
        return self.filter(Q(holder=person_id) | Q(buyer=person_id))

    def sound(self) -> Self:
        """All paid for, and not frozen."""
        return self.filter(unpaid_fen=0, frozen_why="")


class GiftCard(models.Model):
    """A card of a face value: what is on it is an account of the ledger, `gift_card:<number>`."""

    number = models.CharField("卡号", max_length=24)
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="gift_cards_bought",
        verbose_name="购卡人",
        db_index=False,
    )
    holder = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="gift_cards",
        verbose_name="持卡人",
        db_index=False,
    )
    face_fen = models.PositiveBigIntegerField("面值(分)")
    status = models.CharField("状态", max_length=16, choices=Status, default=Status.OPEN)
    refunded_fen = models.PositiveBigIntegerField("已退(分)", default=0)
    unpaid_fen = models.PositiveBigIntegerField(
        "欠付(分)", default=0, help_text="购卡款被撤回后从卡里收回的部分；重新到账后恢复"
    )
    frozen_why = models.CharField("冻结原因", max_length=200, blank=True)
    frozen_at = models.DateTimeField("冻结时间", null=True, blank=True)
    opened_at = models.DateTimeField("下单时间")
    pay_before = models.DateTimeField("付款期限")
    look_at = models.DateTimeField("下次查看", help_text="到期后可能已付而尚未得知")
    paid_at = models.DateTimeField("到账时间", null=True, blank=True)
    closed_at = models.DateTimeField("关闭时间", null=True, blank=True)
    given_at = models.DateTimeField("领取时间", null=True, blank=True)
    redeemed_at = models.DateTimeField("兑换时间", null=True, blank=True)

    objects = GiftCardQuerySet.as_manager()

    class Meta:
        verbose_name = verbose_name_plural = "礼品卡"
        constraints = [
            models.UniqueConstraint("number", name="gift_card_number_once"),
            models.CheckConstraint(
                name="gift_card_status_known", condition=known("status", Status.values)
            ),
            models.CheckConstraint(
                name="gift_card_of_whole_yuan",
                condition=Q(face_fen__gt=0) & Q(Exact(F("face_fen") % 100, 0)),
            ),
            models.CheckConstraint(
                name="gift_card_gives_back_within_face",
                condition=Q(face_fen__gte=F("refunded_fen") + F("unpaid_fen")),
            ),
            models.CheckConstraint(
                name="gift_card_paid_has_time",
                condition=Q(status__in=UNPAID, paid_at=None, unpaid_fen=0, refunded_fen=0)
                | ~Q(status__in=UNPAID) & Q(paid_at__isnull=False),
            ),
            models.CheckConstraint(
                name="gift_card_closed_has_time",
                condition=Q(status="CLOSED", closed_at__isnull=False)
                | ~Q(status="CLOSED") & Q(closed_at=None),
            ),
            models.CheckConstraint(
                name="gift_card_redeemed_has_time",
                condition=Q(status="ACTIVE", redeemed_at__isnull=False)
                | ~Q(status="ACTIVE") & Q(redeemed_at=None),
            ),
            models.CheckConstraint(
                name="gift_card_of_its_buyer_until_given",
                condition=Q(given_at=None, holder=F("buyer"))
                | Q(given_at__isnull=False) & ~Q(holder=F("buyer")),
            ),
            # Nobody gives on what he was given, and only who bought it has money back for it.
            models.CheckConstraint(
                name="gift_card_given_once",
                condition=Q(given_at=None) | Q(status__in=["HELD", "ACTIVE"], refunded_fen=0),
            ),
            models.CheckConstraint(
                name="gift_card_frozen_says_why",
                condition=Q(frozen_why="", frozen_at=None)
                | ~Q(frozen_why="") & Q(frozen_at__isnull=False),
            ),
        ]
        indexes = [
            # The expiry sweep reads what waits.
            models.Index("look_at", name="gift_card_to_close", condition=Q(status="OPEN")),
            models.Index("holder", "opened_at", name="gift_card_by_holder"),
            models.Index("buyer", "opened_at", name="gift_card_by_buyer"),
            # What pays for orders, asked with every payment by wallet.
            models.Index("holder", "id", name="gift_card_to_spend", condition=Q(status="ACTIVE")),
        ]

    def __str__(self) -> str:
        return self.number


class Gift(models.Model):
    """A link by which one other person may have a card, once; of its code only a hash is kept."""

    number = models.CharField("赠送单号", max_length=24)
    card = models.ForeignKey(
        GiftCard, models.PROTECT, related_name="gifts", verbose_name="礼品卡", db_index=False
    )
    giver = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, related_name="+", verbose_name="赠送人"
    )
    taker = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.PROTECT,
        related_name="+",
        verbose_name="领取人",
        null=True,
        blank=True,
    )
    code_hash = models.CharField(max_length=64)
    message = models.CharField("留言", max_length=200, blank=True)
    status = models.CharField("状态", max_length=16, choices=GiftStatus, default=GiftStatus.OPEN)
    made_at = models.DateTimeField("赠送时间")
    expires_at = models.DateTimeField("有效期")
    ended_at = models.DateTimeField("结束时间", null=True, blank=True)

    class Meta:
        verbose_name = verbose_name_plural = "礼品卡赠送"
        constraints = [
            models.UniqueConstraint("number", name="gift_number_once"),
            models.UniqueConstraint("code_hash", name="gift_code_once"),
            models.UniqueConstraint(
                "card", name="gift_one_open_per_card", condition=Q(status="OPEN")
            ),
            models.UniqueConstraint(
                "card", name="gift_claimed_once_per_card", condition=Q(status="CLAIMED")
            ),
            models.CheckConstraint(
                name="gift_status_known", condition=known("status", GiftStatus.values)
            ),
            models.CheckConstraint(
                name="gift_claimed_by_another",
                condition=Q(status="CLAIMED", taker__isnull=False) & ~Q(taker=F("giver"))
                | ~Q(status="CLAIMED") & Q(taker=None),
            ),
            models.CheckConstraint(
                name="gift_ended_has_time",
                condition=Q(status="OPEN", ended_at=None)
                | ~Q(status="OPEN") & Q(ended_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index("card", name="gift_by_card"),
            models.Index("expires_at", name="gift_to_end", condition=Q(status="OPEN")),
        ]

    def __str__(self) -> str:
        return self.number


class GiftCardEvent(models.Model):
    """What happened to a card, by whom; only ever added to."""

    card = models.ForeignKey(GiftCard, models.PROTECT, related_name="events")
    kind = models.CharField("事件", max_length=24)
    actor = models.CharField("操作者", max_length=24, help_text="用户编号；系统为空", blank=True)
    at = models.DateTimeField("时间")
    facts = models.JSONField("内容", default=dict)

    class Meta:
        verbose_name = verbose_name_plural = "礼品卡事件"

    def __str__(self) -> str:
        return self.kind
