from typing import Any

from django.conf import settings
from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit import limits
from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.cashier.api import MethodsOut, PaymentOut, methods_shown, opened_shown, prepared
from payments.gift_cards import buying, queries, services
from payments.gift_cards.models import GiftCard
from payments.gift_cards.rules import GiftStatus, Status
from payments.offering.clients import X_CLIENT, asker_of

TAGS = ["礼品卡"]
CLAIMS = (20, 60)  # of one person, and of one address ten times that; seconds


class GiftCardIn(Shape):
    face_fen = Whole(min_value=1, help_text="面值，整元")

    def get_fields(self) -> dict[str, Any]:
        ways = serializers.ChoiceField(choices=sorted(settings.PAYMENT_METHODS))
        return {**super().get_fields(), "method": ways}


class GiftIn(Shape):
    message = Text(max_length=200, required=False, help_text="给对方的留言")


class GiftClaimIn(Shape):
    code = Text(max_length=64)


class GiftOut(serializers.Serializer[Any]):
    number = serializers.CharField()
    status = serializers.ChoiceField(choices=GiftStatus.values)
    message = serializers.CharField(allow_blank=True)
    made_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(help_text="过期未领，卡自动回到赠送人")


class GiftMade(GiftOut):
    code = serializers.CharField(help_text="领取码，只在这里给出：放进分享的页面参数，不要另存")


class GiftCardActions(serializers.Serializer[Any]):
    def get_fields(self) -> dict[str, Any]:
        names = ("give", "take_back", "redeem", "refund")
        return {name: serializers.BooleanField() for name in names}


class GiftCardOut(serializers.Serializer[Any]):
    number = serializers.CharField()
    face_fen = serializers.IntegerField(help_text="面值")
    balance_fen = serializers.IntegerField(allow_null=True, help_text="卡内余额；已送出的卡为 null")
    status = serializers.ChoiceField(
        choices=[*Status.values, "GIVEN"], help_text="GIVEN：我买的卡，已被别人领取"
    )
    is_frozen = serializers.BooleanField(help_text="暂不能使用，请联系客服")
    is_bought = serializers.BooleanField(help_text="我买的；否则是别人送的")
    refunded_fen = serializers.IntegerField(help_text="已退回购卡渠道的金额")
    opened_at = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    gift = GiftOut(allow_null=True, help_text="最近一次赠送")
    actions = GiftCardActions()


class GiftCardPage(serializers.Serializer[Any]):
    results = GiftCardOut(many=True)
    next = serializers.CharField(allow_null=True)


class GiftCardEntry(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.CharField(help_text="可直接显示，例如“支付”“退款”")
    amount_fen = serializers.IntegerField(help_text="收入为正，支出为负")
    reference = serializers.CharField(help_text="相关单号")


class GiftCardEntryPage(serializers.Serializer[Any]):
    results = GiftCardEntry(many=True)
    next = serializers.CharField(allow_null=True)


def _mine(request: Request, number: str) -> GiftCard:
    return get_object_or_404(queries.mine(viewer(request)), number=number)


def _told(request: Request, number: str) -> dict[str, Any]:
    return queries.shown([_mine(request, number)], viewer(request))[0]


class GiftCards(View):
    @extend_schema(
        tags=TAGS, parameters=[X_CLIENT], request=GiftCardIn, responses={201: PaymentOut}
    )
    @idempotent(required=True, after=prepared)
    def post(self, request: Request) -> Response:
        """购买一张礼品卡；答复的支付单照常付款。"""
        body = self.body(GiftCardIn)
        payment = buying.buy(
            user_id=viewer(request).pk,
            face_fen=body["face_fen"],
            method=body["method"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(opened_shown(payment), status=201)

    @extend_schema(tags=TAGS, parameters=[Query], responses=GiftCardPage)
    def get(self, request: Request) -> Response:
        """我持有的和我买的，新的在前。"""
        self.asked(Query)
        person = viewer(request)
        rows = queries.mine(person)
        return page(self, rows, ("-opened_at", "-pk"), lambda found: queries.shown(found, person))


class MethodsQuery(Shape):
    from_query = True
    face_fen = Whole(min_value=1)


class GiftCardMethods(View):
    @extend_schema(tags=TAGS, parameters=[MethodsQuery, X_CLIENT], responses=MethodsOut)
    def get(self, request: Request) -> Response:
        """这个面值的卡可以怎样付款；选一种 is_offered 的，传给 POST gift-cards。"""
        found = buying.ways(
            user_id=viewer(request).pk,
            face_fen=self.asked(MethodsQuery)["face_fen"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(methods_shown(found))


class GiftCardDetail(View):
    @extend_schema(tags=TAGS, responses=GiftCardOut)
    def get(self, request: Request, number: str) -> Response:
        return Response(_told(request, number))


class GiftCardEntries(View):
    @extend_schema(tags=TAGS, parameters=[Query], responses=GiftCardEntryPage)
    def get(self, request: Request, number: str) -> Response:
        """这张卡的收支，新的在前；只给持卡人看。"""
        self.asked(Query)
        card = get_object_or_404(queries.held(viewer(request)), number=number)
        rows = queries.entries(card)
        return page(self, rows, ("-pk",), lambda found: queries.shown_entries(card, found))


def _with_code(request: Request, told: dict[str, Any]) -> dict[str, Any]:
    """The code is made anew each time that it is told: no answer that is kept has it."""
    return {**told, "code": services.code(told["number"])}


class Gifts(View):
    @extend_schema(tags=TAGS, request=GiftIn, responses={201: GiftMade})
    @idempotent(required=True, after=_with_code)
    def post(self, request: Request, number: str) -> Response:
        """送给别人：得到一个只能用一次、会过期的领取码。"""
        body, person = self.body(GiftIn), viewer(request)
        gift = services.give(
            card=_mine(request, number),
            actor=person.number,
            message=body.get("message", ""),
            at=now(),
        )
        return Response(queries.gift_shown(gift), status=201)


class TakeBack(View):
    @extend_schema(tags=TAGS, request=None, responses=GiftCardOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """撤回还没有人领取的赠送。"""
        self.body(Shape)
        services.take_back(card=_mine(request, number), actor=viewer(request).number, at=now())
        return Response(_told(request, number))


def _not_too_often(request: Request) -> None:
    most, seconds = CLAIMS
    limits.allow(f"gift:{viewer(request).pk}", most, seconds)
    limits.allow(f"gift:from:{limits.address_of(request)}", most * 10, seconds)


class Claims(View):
    @extend_schema(tags=TAGS, request=GiftClaimIn, responses={201: GiftCardOut})
    @idempotent(before=_not_too_often)
    def post(self, request: Request) -> Response:
        """领取别人送的卡；同一个人再领一次，答复相同。"""
        secret, person = self.body(GiftClaimIn)["code"], viewer(request)
        card = services.claim(secret=secret, person_id=person.pk, actor=person.number, at=now())
        return Response(queries.shown([card], person)[0], status=201)


class Redeem(View):
    @extend_schema(tags=TAGS, request=None, responses=GiftCardOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """兑换给自己用：以后用余额支付订单时先扣卡里的钱。"""
        self.body(Shape)
        card = get_object_or_404(queries.held(viewer(request)), number=number)
        services.redeem(card=card, actor=viewer(request).number, at=now())
        return Response(_told(request, number))


class Refund(View):
    @extend_schema(tags=TAGS, request=None, responses=GiftCardOut)
    @idempotent(required=True)
    def post(self, request: Request, number: str) -> Response:
        """退卡：未使用的余额退回购卡时的付款渠道；只有购卡人自己持有的卡能退。"""
        self.body(Shape)
        services.refund(card=_mine(request, number), actor=viewer(request).number, at=now())
        return Response(_told(request, number))


urlpatterns = [
    path("gift-cards", GiftCards.as_view()),
    path("gift-cards/methods", GiftCardMethods.as_view()),
    path("gift-cards/claims", Claims.as_view()),
    path("gift-cards/<str:number>", GiftCardDetail.as_view()),
    path("gift-cards/<str:number>/entries", GiftCardEntries.as_view()),
    path("gift-cards/<str:number>/gifts", Gifts.as_view()),
    path("gift-cards/<str:number>/take-back", TakeBack.as_view()),
    path("gift-cards/<str:number>/redeem", Redeem.as_view()),
    path("gift-cards/<str:number>/refund", Refund.as_view()),
]
