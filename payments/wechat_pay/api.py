"""WeChat Pay tells of payments and refunds as they happen."""

from django.conf import settings
from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import OpenApiTypes, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import View
from config.kit.errors import NotFound
from config.kit.viewer import PUBLIC
from payments.channels import wechat
from payments.channels.answers import NoticeTooLarge
from payments.wechat_pay import services


class WeChatPayHook(View):
    """The signature is over the raw bytes, so they are read before anything parses them."""

    access = PUBLIC
    authentication_classes = []
    longest = 64 * 1024  # bytes

    @extend_schema(tags=["外部回调"], request=OpenApiTypes.OBJECT, responses={204: None}, auth=[])
    def post(self, request: Request) -> Response:
        """微信支付通知：验签解密后一次性收录；收下即 204，验签失败 401（微信会重试）。"""
        if not settings.WECHAT_PAY:
            raise NotFound
        if int(request.META.get("CONTENT_LENGTH") or 0) > self.longest:
            raise NoticeTooLarge
        notice = wechat.wechat_pay().hear(request.headers, request.body, now())
        services.take_notice(notice=notice, at=now())
        return Response(status=204)


urlpatterns = [path("hooks/wechat-pay", WeChatPayHook.as_view())]
