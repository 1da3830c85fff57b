from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit import limits, wechat
from config.kit.api import Query, Shape, Text, View, page
from config.kit.idempotency import idempotent
from config.kit.viewer import PUBLIC
from members.accounts import auth, queries, services
from members.accounts.models import Address
from members.accounts.rules import STAFF_LOGINS, WECHAT_LOGINS, is_mobile
from members.accounts.services import Grant

LOGIN = ["登录"]
ME = ["我的"]


class WeChatIn(Shape):
    code = Text(max_length=128, help_text="wx.login 的 code，一次有效")


class PasswordIn(Shape):
    username = Text(max_length=150)
    password = Text(max_length=128, trim_whitespace=False)


class UserRef(serializers.Serializer[Any]):
    id = serializers.CharField()


class GrantOut(serializers.Serializer[Any]):
    token = serializers.CharField()
    expires_at = serializers.DateTimeField()
    user = UserRef()


def granted(grant: Grant) -> Response:
    return Response(
        {"token": grant.token, "expires_at": grant.expires_at, "user": {"id": grant.user.number}}
    )


class WeChatLogin(View):
    access = PUBLIC
    authentication_classes = []  # an expired token must not stop its own renewal

    @extend_schema(tags=LOGIN, request=WeChatIn, responses=GrantOut)
    def post(self, request: Request) -> Response:
        """Log in with a code of wx.login; a new person is made on the first visit."""
        limits.allow(f"login:wechat:{limits.address_of(request)}", WECHAT_LOGINS, 60)
        session = wechat.client().code2session(self.body(WeChatIn)["code"])
        grant = services.log_in(
            appid=settings.WECHAT_APPID,
            openid=session.openid,
            unionid=session.unionid,
            at=now(),
        )
        return granted(grant)


class StaffLogin(View):
    access = PUBLIC
    authentication_classes = []

    @extend_schema(tags=LOGIN, request=PasswordIn, responses=GrantOut)
    def post(self, request: Request) -> Response:
        """Log in with name and password; locked for a while after repeated failures."""
        limits.allow(f"login:staff:{limits.address_of(request)}", STAFF_LOGINS, 60)
        user = auth.by_password(request, **self.body(PasswordIn))
        return granted(services.grant(user=user, at=now()))


class Logout(View):
    @extend_schema(tags=LOGIN, request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """This token is refused from now on."""
        services.log_out(token=request.auth)
        return Response(status=204)


class LogoutAll(View):
    @extend_schema(tags=LOGIN, request=None, responses={204: None})
    def post(self, request: Request) -> Response:
        """All tokens of this person are refused from now on."""
        services.log_out_everywhere(user=auth.me(request))
        return Response(status=204)


class MerchantRef(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()


class StaffAt(MerchantRef):
    roles = serializers.ListField(child=serializers.CharField())


class MeIn(Shape):
    nickname = Text(max_length=32)


class MeOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    nickname = serializers.CharField()
    phone = serializers.CharField(allow_null=True)
    is_platform = serializers.BooleanField()
    is_guide = serializers.BooleanField()
    guide_at = MerchantRef(many=True)
    merchants = StaffAt(many=True, help_text="员工身份")


class Me(View):
    @extend_schema(tags=ME, responses=MeOut)
    def get(self, request: Request) -> Response:
        """Who I am, and for whom I act."""
        return Response(queries.profile(auth.me(request)))

    @extend_schema(tags=ME, request=MeIn, responses=MeOut)
    def put(self, request: Request) -> Response:
        """Change my nickname."""
        user = auth.me(request)
        services.rename(user=user, nickname=self.body(MeIn)["nickname"])
        return Response(queries.profile(user))


class AddressIn(Shape):
    name = Text(max_length=32)
    phone = Text(max_length=11, help_text="中国大陆手机号")
    province = Text(max_length=32)
    city = Text(max_length=32)
    district = Text(max_length=32, allow_blank=True, default="")
    detail = Text(max_length=200)
    is_default = serializers.BooleanField(default=False)

    def validate_phone(self, phone: str) -> str:
        if not is_mobile(phone):
            raise serializers.ValidationError("请填写 11 位大陆手机号", code="phone")
        return phone


class AddressOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    name = serializers.CharField()
    phone = serializers.CharField()
    province = serializers.CharField()
    city = serializers.CharField()
    district = serializers.CharField()
    detail = serializers.CharField()
    is_default = serializers.BooleanField()


class AddressPage(serializers.Serializer[Any]):
    results = AddressOut(many=True)
    next = serializers.CharField(allow_null=True)


def shown(addresses: Sequence[Address]) -> list[dict[str, Any]]:
    fields = ("name", "phone", "province", "city", "district", "detail", "is_default")
    return [
        {"id": address.number} | {name: getattr(address, name) for name in fields}
        for address in addresses
    ]


class Addresses(View):
    @extend_schema(
        operation_id="me_addresses_list", tags=ME, parameters=[Query], responses=AddressPage
    )
    def get(self, request: Request) -> Response:
        """My addresses, newest first."""
        self.asked(Query)
        return page(self, queries.addresses_of(auth.me(request)), ("-pk",), shown)

    @extend_schema(tags=ME, request=AddressIn, responses={201: AddressOut})
    @idempotent()
    def post(self, request: Request) -> Response:
        """Add an address; the first one becomes the default."""
        address = services.add_address(user=auth.me(request), fields=self.body(AddressIn))
        return Response(shown([address])[0], status=201)


class AddressDetail(View):
    @extend_schema(tags=ME, responses=AddressOut)
    def get(self, request: Request, number: str) -> Response:
        """One of my addresses."""
        return Response(shown([queries.address_of(auth.me(request), number)])[0])

    @extend_schema(tags=ME, request=AddressIn, responses=AddressOut)
    def put(self, request: Request, number: str) -> Response:
        """Replace one of my addresses."""
        address = services.change_address(
            user=auth.me(request), number=number, fields=self.body(AddressIn)
        )
        return Response(shown([address])[0])

    @extend_schema(tags=ME, responses={204: None})
    def delete(self, request: Request, number: str) -> Response:
        """Delete one of my addresses; orders keep their copy."""
        services.drop_address(user=auth.me(request), number=number)
        return Response(status=204)
