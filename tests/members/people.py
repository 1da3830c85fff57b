"""The people of the tests, made through services; tests/factories.py hands them on."""

from datetime import UTC, datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.utils.timezone import now
from rest_framework.test import APIClient

from config.kit.numbers import fresh
from members.accounts import services as accounts
from members.accounts.models import Address, User
from members.guides import services as guides
from members.guides.models import Guide
from members.memberships import services as memberships
from members.memberships.models import Level, Membership
from members.merchants import services as merchants
from members.merchants.models import Merchant
from members.merchants.rules import Terms

NOON = datetime(2026, 6, 18, 4, 0, tzinfo=UTC)  # 12:00 in Shanghai


def make_user(
    name: str = "小美", *, username: str = "", password: str | None = None, **changes: Any
) -> User:
    """A person; with a password one who can log in as staff do.  Names need not differ."""
    number = fresh("U")
    fields = {"username": username or number, "nickname": name, "password": make_password(password)}
    return User.objects.create(number=number, **(fields | changes))


def make_merchant(name: str = "龙井茶庄", **terms: Any) -> Merchant:
    return merchants.open_merchant(name=name, terms=Terms(**terms), at=NOON)


def make_staff(
    merchant: Merchant | None = None, role: str = "OPERATOR", *, user: User | None = None
) -> User:
    """A person with a post at the merchant."""
    person = user or make_user("店员")
    merchants.appoint(user=person, merchant=merchant or make_merchant(), role=role, at=NOON)
    return User.objects.get(pk=person.pk)


def make_member(
    merchant: Merchant | None = None, *, user: User | None = None, rank: int | None = None
) -> User:
    """An active member, at a level of that rank if one is named."""
    person, shop = user or make_user("会员"), merchant or make_merchant()
    membership, _ = memberships.admit(user=person, merchant=shop, at=NOON)
    if membership.status == "PENDING":
        memberships.approve(membership=membership, actor=person, at=NOON)
    if rank is not None:
        level, _ = Level.objects.get_or_create(
            merchant=shop, rank=rank, defaults={"name": f"V{rank}"}
        )
        Membership.objects.filter(pk=membership.pk).update(level=level)
    return person


def make_guide(merchant: Merchant | None = None, *, user: User | None = None) -> Guide:
    """An active guide; `.user` is the person, `.merchant` for whom."""
    person, shop = user or make_user("导购小李"), merchant or make_merchant()
    guides.enrol(merchant=shop, users=[person], at=NOON)
    return Guide.objects.select_related("user", "merchant").get(user=person, merchant=shop)


def make_address(user: User, **changes: Any) -> Address:
    fields: dict[str, Any] = {
        "name": "王小美",
        "phone": "13800138000",
        "province": "浙江省",
        "city": "杭州市",
        "district": "西湖区",
        "detail": "龙井路1号",
        "is_default": False,
    }
    return accounts.add_address(user=user, fields=fields | changes)


def client_of(user: User | None = None) -> APIClient:
    """A client with a real token of this person; a guest without one."""
    client = APIClient()
    if user is not None:
        token = accounts.grant(user=user, at=now()).token
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {token}")
    return client
