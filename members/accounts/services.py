from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.db.models import Q
from knox.models import AuthToken, get_digest_token
from knox.settings import CONSTANTS, knox_settings

from config.kit.errors import Refusal, TryAgain
from config.kit.numbers import fresh
from members.accounts import queries
from members.accounts.models import Address, User, WeChatIdentity
from members.accounts.rules import MOST_ADDRESSES, MOST_TOKENS

ATTEMPTS = 3


class AccountBlocked(Refusal):
    status = 403
    message = "账号已停用，请联系客服"


class TooManyAddresses(Refusal):
    message = f"最多保存 {MOST_ADDRESSES} 个收货地址"


@dataclass(frozen=True)
class Grant:
    """A fresh token in clear, which is told once and stored as a digest."""

    token: str
    expires_at: datetime
    user: User


@transaction.atomic
def log_in(*, appid: str, openid: str, unionid: str = "", at: datetime) -> Grant:
    """The person behind WeChat's session, made on the first visit, with a token for this device.

    Raises AccountBlocked.
    """
    user = _person(appid, openid, unionid, at)
    if unionid and user.unionid is None:
        _learn(user, unionid)
    return grant(user=user, at=at)


@transaction.atomic
def grant(*, user: User, at: datetime) -> Grant:
    """A token for one more device; raises AccountBlocked."""
    if not user.is_active:
        raise AccountBlocked
    digest, token = get_digest_token()
    expires_at = at + knox_settings.TOKEN_TTL
    newest = AuthToken.objects.filter(user=user, expiry__gt=at).order_by("-created", "pk")
    kept = newest.values("pk")[: MOST_TOKENS - 1]
    AuthToken.objects.filter(Q(user=user) & ~Q(pk__in=kept)).delete()
    key = token[: CONSTANTS.TOKEN_KEY_LENGTH]
    row = AuthToken(digest=digest, token_key=key, user=user, expiry=expires_at)
    AuthToken.objects.bulk_create([row])
    return Grant(token, expires_at, user)


def log_out(*, token: AuthToken) -> None:
    """This device only; the token is refused from the next request on."""
    AuthToken.objects.filter(pk=token.pk).delete()


def log_out_everywhere(*, user: User) -> None:
    AuthToken.objects.filter(user=user).delete()


def rename(*, user: User, nickname: str) -> None:
    User.objects.filter(pk=user.pk).update(nickname=nickname)
    user.nickname = nickname


@transaction.atomic
def block(*, user: User) -> None:
    """Nothing of theirs works from the next request on, and all tokens are gone."""
    User.objects.filter(pk=user.pk).update(is_active=False)
    log_out_everywhere(user=user)


def unblock(*, user: User) -> None:
    User.objects.filter(pk=user.pk).update(is_active=True)


@transaction.atomic
def add_address(*, user: User, fields: dict[str, Any]) -> Address:
    """The first one is the default by itself.  Raises TooManyAddresses."""
    _hold(user)
    count = queries.addresses_of(user).count()
    if count >= MOST_ADDRESSES:
        raise TooManyAddresses
    if fields["is_default"]:
        _no_default(user)
    is_default = fields["is_default"] or not count
    return Address.objects.create(user=user, **(fields | {"is_default": is_default}))


@transaction.atomic
def change_address(*, user: User, number: str, fields: dict[str, Any]) -> Address:
    """Raises NotFound."""
    _hold(user)
    address = queries.address_of(user, number)
    if fields["is_default"]:
        _no_default(user)
    Address.objects.filter(pk=address.pk).update(**fields)
    return queries.address_of(user, number)


@transaction.atomic
def drop_address(*, user: User, number: str) -> None:
    """Raises NotFound."""
    queries.address_of(user, number).delete()


def _person(appid: str, openid: str, unionid: str, at: datetime) -> User:
    """Two first visits at once are one person: the unique constraints decide who makes the row."""
    known = WeChatIdentity.objects.select_related("user").filter(appid=appid, openid=openid)
    for _ in range(ATTEMPTS):
        identity = known.first()
        if identity is not None:
            return identity.user
        try:
            with transaction.atomic():
                return _register(appid, openid, unionid, at)
        except IntegrityError:
            continue  # the other one was first
    raise TryAgain


def _register(appid: str, openid: str, unionid: str, at: datetime) -> User:
    user = User.objects.filter(unionid=unionid).first() if unionid else None
    if user is None:
        number = fresh("U")
        user = User.objects.create(
            number=number,
            username=number,
            password=make_password(None),
            nickname=f"微信用户{number[-4:]}",
            unionid=unionid or None,
            date_joined=at,
        )
    WeChatIdentity.objects.create(user=user, appid=appid, openid=openid, created_at=at)
    return user


def _learn(user: User, unionid: str) -> None:
    """WeChat told the unionid later than the openid (the app was bound to a platform account)."""
    try:
        with transaction.atomic():
            User.objects.filter(pk=user.pk, unionid=None).update(unionid=unionid)
    except IntegrityError:
        return  # it is another account's already; merging two accounts is a person's decision


def _hold(user: User) -> None:
    """One change of a person's addresses at a time: cap and default are about all of them."""
    User.objects.select_for_update(no_key=True).only("pk").get(pk=user.pk)


def _no_default(user: User) -> None:
    Address.objects.filter(user=user, is_default=True).update(is_default=False)
