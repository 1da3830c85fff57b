from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.utils.timezone import now
from drf_spectacular.utils import (
    PolymorphicProxySerializer,
    extend_schema,
    extend_schema_field,
)
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.cashier import offers, queries, services
from payments.cashier.models import Payment
from payments.cashier.rules import OWED_REASONS, RefundStatus
from payments.offering.clients import X_CLIENT, asker_of
from payments.offering.rules import Offer

TAGS = ["支付"]


class PaymentIn(Shape):
    order = Text(max_length=24)
    wallet_fen = Whole(
        min_value=1, required=False, help_text="组合支付：先用钱包余额支付这么多，其余用 method"
    )

    def get_fields(self) -> dict[str, Any]:
        methods = serializers.ChoiceField(choices=sorted(settings.PAYMENT_METHODS))
        return {**super().get_fields(), "method": methods}


class TransferInstructions(serializers.Serializer[object]):
    account_name = serializers.CharField()
    account_no = serializers.CharField(help_text="收款账号：这笔支付（或这位买家）的专属子账号")
    bank_name = serializers.CharField()
    reference = serializers.CharField(
        allow_null=True, help_text="转账附言里填写的核对码；空为不需要，专属账号已经足够"
    )
    amount_fen = serializers.IntegerField(help_text="还差多少")
    pay_before = serializers.DateTimeField()
    message = serializers.CharField(
        help_text="可直接显示的一句话，如“已收到 60.00 元，还差 39.00 元”"
    )
    payer_account = serializers.CharField(
        allow_null=True, help_text="银行只收这个账户的钱，如“****1234”；空为不限"
    )
    payer_lifting = serializers.BooleanField(
        help_text="买家要改用别的账户，银行还没有放开：payer_account 变为空之前先不要用它转账"
    )
    hinted_at = serializers.DateTimeField(allow_null=True, help_text="买家按下“我已转账”的时间")


class WeChatInstructions(serializers.Serializer[object]):
    """What wx.requestPayment takes, as it is; signed for this moment, good for some minutes."""

    def get_fields(self) -> dict[str, Any]:
        names = ("timeStamp", "nonceStr", "package", "signType", "paySign")
        return {name: serializers.CharField() for name in names}


class AlipayLinkInstructions(serializers.Serializer[object]):
    pay_url = serializers.CharField(help_text="付款页面：请买家复制到手机浏览器打开")
    expires_at = serializers.DateTimeField()


class AlipayCodeInstructions(serializers.Serializer[object]):
    qr_content = serializers.CharField(help_text="付款码内容")
    qr_png = serializers.CharField(help_text="付款码图片，data:image/png;base64,…")
    expires_at = serializers.DateTimeField(help_text="过期后重新发起支付，即得新的付款码")


@extend_schema_field(
    PolymorphicProxySerializer(
        component_name="Instructions",
        serializers=[
            TransferInstructions,
            WeChatInstructions,
            AlipayLinkInstructions,
            AlipayCodeInstructions,
        ],
        resource_type_field_name=None,
    )
)
class Instructions(serializers.Field[object, object, object, object]):
    """By the payment's method; {} where there is nothing (more) to do."""


class OwedActions(serializers.Serializer[object]):
    def get_fields(self) -> dict[str, Any]:
        return {
            "return": serializers.BooleanField(help_text="可选择原路退回"),
            "to_wallet": serializers.BooleanField(help_text="可选择转入钱包余额"),
        }


class OwedBack(serializers.Serializer[object]):
    number = serializers.CharField()
    amount_fen = serializers.IntegerField()
    reason = serializers.ChoiceField(choices=[str(reason) for reason in OWED_REASONS])
    status = serializers.ChoiceField(choices=RefundStatus.values)
    actions = OwedActions()


class PaymentOut(serializers.Serializer[object]):
    number = serializers.CharField()
    purpose = serializers.ChoiceField(choices=["ORDER", "TOPUP", "GIFT_CARD", "DEPOSIT"])
    order = serializers.CharField(allow_null=True, help_text="订单号；其他用途为 null")
    top_up = serializers.CharField(allow_null=True, help_text="充值单号；其他用途为 null")
    gift_card = serializers.CharField(allow_null=True, help_text="卡号；其他用途为 null")
    deposit = serializers.CharField(allow_null=True, help_text="保证金缴纳单号；其他用途为 null")
    status = serializers.ChoiceField(choices=["WAITING", "CONFIRMED", "CLOSED"])
    method = serializers.CharField()
    amount_fen = serializers.IntegerField()
    received_fen = serializers.IntegerField()
    outstanding_fen = serializers.IntegerField()
    wallet_fen = serializers.IntegerField(help_text="实收中由钱包余额支付的部分（组合支付）")
    opened_at = serializers.DateTimeField()
    pay_before = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    instructions = Instructions()
    owed_back = OwedBack(many=True, help_text="多付、逾期、重复或未付足的款项")


class PaymentPage(serializers.Serializer[object]):
    results = PaymentOut(many=True)
    next = serializers.CharField(allow_null=True)


def prepared(request: Request, told: dict[str, Any]) -> dict[str, Any]:
    """The payment as it is now: a channel's signature has its time, and is never replayed."""
    if not services.asks_channel(told["method"]):
        return told
    mine = queries.for_payer(viewer(request))
    payment = get_object_or_404(mine, number=told["number"])
    services.prepare(payment=payment, at=now())
    return queries.shown([payment])[0]


class MethodsQuery(Shape):
    from_query = True
    order = Text(max_length=24)


class MethodOut(serializers.Serializer[object]):
    method = serializers.CharField(help_text="传给 POST payments")
    title = serializers.CharField(help_text="可直接显示的名称")
    is_offered = serializers.BooleanField()
    reason = serializers.CharField(
        allow_null=True, help_text="不提供的原因，可直接显示；提供时为 null"
    )
    max_fen = serializers.IntegerField(
        allow_null=True, help_text="现在一次最多可付；0 为不能付，null 为不限"
    )


class MethodsOut(serializers.Serializer[object]):
    methods = MethodOut(many=True, help_text="可用的在前，按推荐顺序")


class PaymentMethods(View):
    @extend_schema(tags=TAGS, parameters=[MethodsQuery, X_CLIENT], responses=MethodsOut)
    def get(self, request: Request) -> Response:
        """这张订单可以怎样付款；选一种 is_offered 的，传给 POST payments。"""
        found = offers.offered(
            payer_id=viewer(request).pk,
            purpose="ORDER",
            reference=self.asked(MethodsQuery)["order"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(methods_shown(found))


def opened_shown(payment: Payment) -> dict[str, Any]:
    """What is kept for a repeated request: without what `prepared` adds, which is secret."""
    told = queries.shown([payment])[0]
    if services.asks_channel(payment.method):
        told["instructions"] = {}
    return told


def methods_shown(found: Iterable[Offer]) -> dict[str, Any]:
    return {"methods": [_method_shown(offer) for offer in found]}


def _method_shown(offer: Offer) -> dict[str, Any]:
    return {
        "method": offer.method,
        "title": offer.title,
        "is_offered": offer.is_offered,
        "reason": offer.reason or None,
        "max_fen": offer.max_fen,
    }


class Payments(View):
    @extend_schema(tags=TAGS, parameters=[X_CLIENT], request=PaymentIn, responses={201: PaymentOut})
    @idempotent(required=True, after=prepared)
    def post(self, request: Request) -> Response:
        body = self.body(PaymentIn)
        payment = services.open_payment(
            payer_id=viewer(request).pk,
            purpose="ORDER",
            reference=body["order"],
            method=body["method"],
            wallet_fen=body.get("wallet_fen", 0),
            asker=asker_of(request),
            at=now(),
        )
        return Response(opened_shown(payment), status=201)

    @extend_schema(tags=TAGS, parameters=[Query], responses=PaymentPage)
    def get(self, request: Request) -> Response:
        self.asked(Query)
        rows = queries.for_payer(viewer(request))
        return page(self, rows, ("-opened_at", "-pk"), queries.shown)


class PaymentDetail(View):
    @extend_schema(tags=TAGS, responses=PaymentOut)
    def get(self, request: Request, number: str) -> Response:
        payment = get_object_or_404(queries.for_payer(viewer(request)), number=number)
        return Response(queries.shown([payment])[0])


class OwedReturn(View):
    """The payer wants what is owed to go back to the account that it came from."""

    @extend_schema(tags=TAGS, request=None, responses=PaymentOut)
    @idempotent()
    def post(self, request: Request, number: str, refund: str) -> Response:
        self.body(Shape)
        asker = viewer(request)
        owed = get_object_or_404(queries.owed_to(asker, number), number=refund)
        services.return_owed(refund=owed, actor=asker.number, at=now())
        payment = queries.for_payer(asker).get(number=number)
        return Response(queries.shown([payment])[0])
