"""WeChat pushes what becomes of orders (消息推送, 安全模式, JSON)."""

from typing import Any

from django.conf import settings
from django.http import HttpResponse
from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.request import Request

from config.kit.api import View
from config.kit.errors import NotFound
from config.kit.viewer import PUBLIC
from config.kit.wechat_push import LONGEST, Seal
from payments.channels.answers import NoticeTooLarge
from shop.wechat_shipping import pushes

TEXT = {(200, "text/plain"): OpenApiTypes.STR}


class WeChatHook(View):
    """The signature is over the raw text, so it is read before anything parses it."""

    access = PUBLIC
    authentication_classes = []

    @extend_schema(tags=["外部回调"], responses=TEXT, auth=[])
    def get(self, request: Request) -> Any:
        """在微信公众平台保存服务器地址时的验证：签名正确则原样返回 echostr，否则 401。"""
        return _plain(_seal().echo(request.query_params))

    @extend_schema(tags=["外部回调"], request=OpenApiTypes.OBJECT, responses=TEXT, auth=[])
    def post(self, request: Request) -> Any:
        """微信消息推送：验签解密后一次性收录；收下即 success，未通过验证 401（微信会重试）。"""
        seal = _seal()
        if int(request.META.get("CONTENT_LENGTH") or 0) > LONGEST:
            raise NoticeTooLarge
        at = now()
        pushes.take(told=seal.open(request.query_params, request.body, at), at=at)
        return _plain("success")


def _seal() -> Seal:
    if not settings.WECHAT_PUSH_TOKEN:
        raise NotFound
    return Seal(settings.WECHAT_PUSH_TOKEN, settings.WECHAT_PUSH_KEY, settings.WECHAT_APPID)


def _plain(text: str) -> HttpResponse:
    """Never HTML: what is echoed was signed, but by whoever knows the token."""
    return HttpResponse(text, content_type="text/plain; charset=utf-8")


urlpatterns = [path("hooks/wechat", WeChatHook.as_view())]
