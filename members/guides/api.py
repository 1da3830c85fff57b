import io
from collections.abc import Sequence
from typing import Any

import segno
from django.conf import settings
from django.http import HttpResponse
from django.utils.timezone import now
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit import wechat
from config.kit.api import OrjsonRenderer, Query, Shape, Text, View, page
from config.kit.errors import NotFound
from config.kit.idempotency import idempotent
from config.kit.viewer import PUBLIC
from members.accounts.api import MerchantRef
from members.accounts.auth import me, me_or_none
from members.accounts.rules import Role
from members.guides import queries, services, targets
from members.guides.models import Commission, CustomerBond, ShareCode
from members.guides.rules import GuideStatus, Status, TargetKind, scene

TAGS = ["导购"]
# The page that takes a scene, asks GET scenes/{code} and goes on to the target.
LANDING = "pages/scene/index"


class TargetIn(Shape):
    kind = serializers.ChoiceField(choices=TargetKind.values)
    id = Text(max_length=24)


class ShareCodeIn(Shape):
    target = TargetIn()


class ShareCodeOut(serializers.Serializer[Any]):
    code = serializers.CharField()
    scene = serializers.CharField(help_text="小程序码的 scene，不超过 32 个字符")
    path = serializers.CharField(help_text="带分享码的小程序页面路径")
    qr_url = serializers.CharField(help_text="小程序码图片")
    poster_url = serializers.CharField(help_text="目前为普通二维码图片")


class TargetOut(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=TargetKind.values)
    id = serializers.CharField()
    title = serializers.CharField()
    path = serializers.CharField()


class GuideRef(serializers.Serializer[Any]):
    nickname = serializers.CharField()


class SceneOut(serializers.Serializer[Any]):
    target = TargetOut()
    guide = GuideRef(allow_null=True, help_text="导购离岗后为 null")
    merchant = MerchantRef()


class CommissionQuery(Query):
    status = serializers.ChoiceField(choices=Status.values, required=False)


class CommissionOut(serializers.Serializer[Any]):
    order = serializers.CharField()
    line = serializers.IntegerField()
    merchant = MerchantRef()
    base_fen = serializers.IntegerField()
    rate = serializers.CharField(help_text="百分比，例如 5.00")
    amount_fen = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.values)
    created_at = serializers.DateTimeField()
    settled_at = serializers.DateTimeField(allow_null=True)


class CommissionPage(serializers.Serializer[Any]):
    results = CommissionOut(many=True)
    next = serializers.CharField(allow_null=True)


class CustomerOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    nickname = serializers.CharField()
    merchant = MerchantRef()
    bonded_at = serializers.DateTimeField()


class CustomerPage(serializers.Serializer[Any]):
    results = CustomerOut(many=True)
    next = serializers.CharField(allow_null=True)


class SummaryOut(serializers.Serializer[Any]):
    pending_fen = serializers.IntegerField()
    earned_fen = serializers.IntegerField()
    void_fen = serializers.IntegerField()
    reversed_fen = serializers.IntegerField()
    orders = serializers.IntegerField()
    customers = serializers.IntegerField()


class PictureQuery(Shape):
    kind = serializers.ChoiceField(choices=["wechat", "plain"], default="wechat")


def commissions_shown(rows: Sequence[Commission]) -> list[dict[str, Any]]:
    return [
        {
            "order": one.order_number,
            "line": one.line,
            "merchant": {"id": one.guide.merchant.number, "name": one.guide.merchant.name},
            "base_fen": one.base_fen,
            "rate": str(one.rate),
            "amount_fen": one.amount_fen,
            "status": one.status,
            "created_at": one.created_at,
            "settled_at": one.settled_at,
        }
        for one in rows
    ]


def customers_shown(rows: Sequence[CustomerBond]) -> list[dict[str, Any]]:
    return [
        {
            "id": bond.customer.number,
            "nickname": bond.customer.nickname,
            "merchant": {"id": bond.merchant.number, "name": bond.merchant.name},
            "bonded_at": bond.bonded_at,
        }
        for bond in rows
    ]


class ShareCodes(View):
    access = Role.GUIDE

    @extend_schema(tags=TAGS, request=ShareCodeIn, responses={201: ShareCodeOut})
    @idempotent()
    def post(self, request: Request) -> Response:
        """My share code for a product, merchant, live session or coupon; always the same one."""
        asked = self.body(ShareCodeIn)["target"]
        user = me(request)
        target = targets.resolve(asked["kind"], asked["id"], user)
        share_code = services.share(
            user=user, merchant=target.merchant, kind=asked["kind"], target=asked["id"], at=now()
        )
        return Response(self._shown(request, share_code, target.path), status=201)

    @staticmethod
    def _shown(request: Request, share_code: ShareCode, path: str) -> dict[str, str]:
        picture = request.build_absolute_uri(f"{request.path}/{share_code.code}/qr.png")
        return {
            "code": share_code.code,
            "scene": scene(share_code.code),
            "path": f"{path}{'&' if '?' in path else '?'}{scene(share_code.code)}",
            "qr_url": picture,
            "poster_url": f"{picture}?kind=plain",
        }


class Picture(BaseRenderer):
    """Lets a client ask for `image/png`; the view answers with the bytes itself."""

    media_type = "image/png"
    format = "png"
    charset = None
    render_style = "binary"


class ShareCodeImage(View):
    access = Role.GUIDE
    renderer_classes = [OrjsonRenderer, Picture]

    @extend_schema(
        tags=TAGS,
        parameters=[PictureQuery],
        responses={(200, "image/png"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, code: str) -> HttpResponse:
        """The code as a picture: a mini-program code, or a plain QR of the web link."""
        share_code = queries.share_code_of(me(request), code)
        if self.asked(PictureQuery)["kind"] == "plain":
            return HttpResponse(plain_qr(share_code), content_type="image/png")
        image = bytes(share_code.qr) if share_code.qr else fetched(share_code)
        is_png = image.startswith(b"\x89PNG")
        return HttpResponse(image, content_type="image/png" if is_png else "image/jpeg")


class Scene(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, responses=SceneOut)
    def get(self, request: Request, code: str) -> Response:
        """What a share code opens; a signed-in customer comes to the guide by opening it."""
        share_code = queries.by_code(code)
        if share_code is None:
            raise NotFound
        user, guide = me_or_none(request), share_code.guide
        target = targets.resolve(share_code.target_kind, share_code.target, user)
        if user:
            services.follow(customer=user, code=share_code.code, at=now())
        is_active = guide.status == GuideStatus.ACTIVE
        return Response(
            {
                "target": {
                    "kind": share_code.target_kind,
                    "id": share_code.target,
                    "title": target.title,
                    "path": target.path,
                },
                "guide": {"nickname": guide.user.nickname} if is_active else None,
                "merchant": {"id": guide.merchant.number, "name": guide.merchant.name},
            }
        )


class Commissions(View):
    """For whoever has earned some: a guide who left still sees them."""

    @extend_schema(tags=TAGS, parameters=[CommissionQuery], responses=CommissionPage)
    def get(self, request: Request) -> Response:
        """My commissions, newest first."""
        rows = queries.commissions_of(me(request))
        if status := self.asked(CommissionQuery).get("status"):
            rows = rows.filter(status=status)
        return page(self, rows, ("-created_at", "-pk"), commissions_shown)


class Customers(View):
    access = Role.GUIDE

    @extend_schema(tags=TAGS, parameters=[Query], responses=CustomerPage)
    def get(self, request: Request) -> Response:
        """My customers, newest first."""
        self.asked(Query)
        rows = queries.customers_of(me(request))
        return page(self, rows, ("-bonded_at", "-pk"), customers_shown)


class Summary(View):
    @extend_schema(tags=TAGS, responses=SummaryOut)
    def get(self, request: Request) -> Response:
        """My commissions summed by status, and how many customers I have."""
        return Response(queries.summary_of(me(request)))


def fetched(share_code: ShareCode) -> bytes:
    """WeChat draws it once; we keep it.  TryAgain when WeChat does not answer."""
    image = wechat.client().unlimited_qr_code(scene=scene(share_code.code), page=LANDING)
    services.keep_picture(share_code=share_code, image=image)
    return image


def plain_qr(share_code: ShareCode) -> bytes:
    """The link answers by itself, and its prefix can be registered with WeChat (扫普通链接)."""
    picture = io.BytesIO()
    link = f"{settings.PUBLIC_URL}/api/v1/scenes/{share_code.code}"
    segno.make(link, error="m").save(picture, kind="png", scale=8)
    return picture.getvalue()
