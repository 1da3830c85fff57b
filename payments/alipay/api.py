"""Alipay tells of trades as they change."""

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
from payments.alipay import services
from payments.channels.alipay import alipay
from payments.channels.answers import BadNotice, NoticeTooLarge

TAKEN, REFUSED = b"success", b"failure"


class AlipayHook(View):
    """Alipay reads nothing of an answer but its text: exactly `success`, or it tells again."""

    access = PUBLIC
    authentication_classes = []
    longest = 64 * 1024  # bytes

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Whatever it says that it would like to read."""
        return super().perform_content_negotiation(request, force=True)

    @extend_schema(
        tags=["外部回调"],
        request={"application/x-www-form-urlencoded": OpenApiTypes.OBJECT},
        responses={(200, "text/plain"): OpenApiTypes.STR},
        auth=[],
    )
    def post(self, request: Request) -> HttpResponse:
        """支付宝异步通知：验签后一次性收录，收下回 success；验签失败回 failure（支付宝会重试）。"""
        if not settings.ALIPAY:
            raise NotFound
        if int(request.META.get("CONTENT_LENGTH") or 0) > self.longest:
            raise NoticeTooLarge
        try:
            notice = alipay().hear(request.body)
        except BadNotice as no:
            return HttpResponse(REFUSED, status=no.status, content_type="text/plain")
        services.take_notice(notice=notice, at=now())
        return HttpResponse(TAKEN, content_type="text/plain")


urlpatterns = [path("hooks/alipay", AlipayHook.as_view())]
