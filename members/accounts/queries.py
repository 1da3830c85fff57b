from typing import Any

from django.conf import settings
from django.db.models import QuerySet

from config.kit.errors import NotFound
from members.accounts.models import Address, User, WeChatIdentity


def addresses_of(user: User) -> QuerySet[Address]:
    return Address.objects.filter(user=user)


def address_of(user: User, number: str) -> Address:
    """NotFound also for another person's."""
    address = addresses_of(user).filter(number=number).first()
    if address is None:
        raise NotFound
    return address


def openid_of(user_id: int) -> str:
    """Whose phone WeChat Pay asks, in our mini program; empty for who never logged in there."""
    mine = WeChatIdentity.objects.filter(user=user_id, appid=settings.WECHAT_APPID)
    return mine.values_list("openid", flat=True).first() or ""


def profile(user: User) -> dict[str, Any]:
    """What `GET me` shows: the person and for whom they act; two queries."""
    merchants: dict[str, dict[str, Any]] = {}
    for staff in user.staff_of.select_related("merchant").order_by("merchant_id", "role"):
        shown = {"id": staff.merchant.number, "name": staff.merchant.name, "roles": []}
        merchants.setdefault(staff.merchant.number, shown)["roles"].append(staff.role)
    guiding = user.guide_of.filter(status="ACTIVE").select_related("merchant").order_by("pk")
    guide_at = [{"id": guide.merchant.number, "name": guide.merchant.name} for guide in guiding]
    return {
        "id": user.number,
        "nickname": user.nickname,
        "phone": user.phone,
        "is_platform": user.is_platform,
        "is_guide": bool(guide_at),
        "guide_at": guide_at,
        "merchants": list(merchants.values()),
    }
