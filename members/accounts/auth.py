"""How a request shows who sends it: a revocable token per device, passwords for staff."""

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.signals import user_logged_in
from django.utils.timezone import now
from knox.auth import TokenAuthentication
from knox.crypto import hash_token
from knox.models import AuthToken
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from config.kit.errors import Refusal
from members.accounts.models import User


class WrongPassword(Refusal):
    """The same for an unknown name, a wrong password and a blocked person."""

    status = 401
    message = "用户名或密码错误"


class LockedOut(Refusal):
    status = 429
    message = "登录失败次数过多，请 15 分钟后再试"


# Every request asks this: the ORM would put the same SQL together each time.
_OWN = ("digest", "token_key", "created", "expiry")
_OF_TOKEN = f"""
SELECT u.*, {", ".join(f"t.{name}" for name in _OWN)}
FROM knox_authtoken t JOIN members_user u ON u.id = t.user_id
WHERE t.digest = %s AND t.expiry > %s AND u.is_active
"""  # noqa: S608


class BearerToken(TokenAuthentication):
    """`Authorization: Bearer <token>`, in one query.  Revoked, expired or blocked: 401.

    Knox looks tokens up by their first signs and cleans up the person's other tokens on the way:
    several queries and a write.  The digest is the primary key, so one read is enough.
    """

    def authenticate_credentials(self, token: bytes) -> tuple[User, AuthToken]:
        if not token.isascii():
            raise AuthenticationFailed
        found = User.objects.raw(_OF_TOKEN, [hash_token(token.decode()), now()])
        for user in found:
            return user, AuthToken(user=user, **{name: vars(user).pop(name) for name in _OWN})
        raise AuthenticationFailed


def me(request: Request) -> User:
    """The signed-in person; views guard by `View.access` first."""
    assert isinstance(request.user, User)
    return request.user


def me_or_none(request: Request) -> User | None:
    """For what works without a token too."""
    return request.user if isinstance(request.user, User) else None


def by_password(request: Request, *, username: str, password: str) -> User:
    """WrongPassword, or after repeated failures LockedOut(retry_after=seconds)."""
    plain = request._request  # django-axes wants Django's own request
    user = authenticate(plain, username=username, password=password)
    if getattr(plain, "axes_locked_out", False):
        vars(plain)["axes_locked_out"] = False  # else the middleware's page replaces our answer
        raise LockedOut(retry_after=int(settings.AXES_COOLOFF_TIME.total_seconds()))
    if not isinstance(user, User):
        raise WrongPassword
    user_logged_in.send(sender=User, request=plain, user=user)  # axes forgets the failures
    return user
