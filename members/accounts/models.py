from functools import cached_property

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.db.models import Q

from config.kit.numbers import fresh
from members.accounts.rules import HELD_BY, MOBILE, Role


def user_number() -> str:
    return fresh("U")


class User(AbstractUser):
    """A person: buyer, guide, merchant's or platform's staff, often several of them.

    `is_active` false means blocked: no token and no password works from that moment.
    It is a `config.kit.viewer.Viewer`; roles are read once per instance, so once per request.
    """

    number = models.CharField(
        "用户编号", max_length=16, unique=True, default=user_number, editable=False
    )
    nickname = models.CharField("昵称", max_length=32, blank=True)
    phone = models.CharField("手机号", max_length=11, unique=True, null=True, blank=True)
    # The same person in all apps of one WeChat open platform account.
    unionid = models.CharField("unionid", max_length=64, unique=True, null=True, blank=True)

    class Meta(AbstractUser.Meta):
        verbose_name = verbose_name_plural = "用户"
        constraints = [
            models.CheckConstraint(
                name="user_phone_is_mobile",
                condition=Q(phone=None) | Q(phone__regex=f"^{MOBILE.pattern}$"),
            ),
            models.CheckConstraint(name="user_unionid_not_empty", condition=~Q(unionid="")),
        ]

    def __str__(self) -> str:
        return self.nickname or self.username

    def get_full_name(self) -> str:
        return str(self)

    @property
    def is_platform(self) -> bool:
        return self.is_superuser

    def has_role(self, role: str) -> bool:
        if role == Role.PLATFORM:
            return self.is_platform
        tenants = self.tenants(role)
        return tenants is None or bool(tenants)

    def tenants(self, role: str) -> frozenset[str] | None:
        """Numbers of the merchants this person may act for in a role; None: all (platform).

        A guide is a guide only where enrolled; the platform is nobody's guide.
        """
        if role == Role.GUIDE:
            return self._guiding
        if self.is_platform:
            return None
        held_by = HELD_BY.get(role, frozenset())
        return frozenset(merchant for merchant, held in self._held if held in held_by)

    @cached_property
    def _held(self) -> frozenset[tuple[str, str]]:
        return frozenset(self.staff_of.values_list("merchant__number", "role"))

    @cached_property
    def _guiding(self) -> frozenset[str]:
        active = self.guide_of.filter(status="ACTIVE")
        return frozenset(active.values_list("merchant__number", flat=True))


class WeChatIdentity(models.Model):
    """Who a person is to one mini program."""

    user = models.ForeignKey(
        User, models.PROTECT, related_name="wechat_identities", verbose_name="用户"
    )
    appid = models.CharField("appid", max_length=32)
    openid = models.CharField("openid", max_length=64)
    created_at = models.DateTimeField("创建时间")

    class Meta:
        verbose_name = verbose_name_plural = "微信身份"
        constraints = [
            models.UniqueConstraint("appid", "openid", name="wechat_identity_of_one_person"),
        ]

    def __str__(self) -> str:
        return self.openid


def address_number() -> str:
    return fresh("A")


class Address(models.Model):
    """Where to send things.  Orders copy it, so it may be changed and deleted."""

    user = models.ForeignKey(
        User, models.CASCADE, related_name="addresses", verbose_name="用户", db_index=False
    )
    number = models.CharField(
        "编号", max_length=16, unique=True, default=address_number, editable=False
    )
    name = models.CharField("收货人", max_length=32)
    phone = models.CharField("手机号", max_length=11)
    province = models.CharField("省", max_length=32)
    city = models.CharField("市", max_length=32)
    district = models.CharField("区县", max_length=32, blank=True)
    detail = models.CharField("详细地址", max_length=200)
    is_default = models.BooleanField("默认地址", default=False)

    class Meta:
        verbose_name = verbose_name_plural = "收货地址"
        constraints = [
            models.UniqueConstraint(
                "user", name="address_one_default_per_user", condition=Q(is_default=True)
            ),
            models.CheckConstraint(
                name="address_phone_is_mobile", condition=Q(phone__regex=f"^{MOBILE.pattern}$")
            ),
        ]
        indexes = [
            # A person's list, newest first.
            models.Index(fields=["user", "-id"], name="address_of_user"),
        ]

    def __str__(self) -> str:
        return f"{self.province}{self.city}{self.district}{self.detail} {self.name}"
