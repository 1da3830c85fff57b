from django.conf import settings
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.cashier import queries, services

TAGS = ["支付"]


class PaymentIn(Shape):
    order = Text(max_length=24)
    method = serializers.ChoiceField(choices=sorted(settings.PAYMENT_METHODS))


class TransferInstructions(serializers.Serializer[object]):
    account_name = serializers.CharField()
    account_no = serializers.CharField(help_text="收款账号：每笔支付一个专属子账号")
    bank_name = serializers.CharField()
    reference = serializers.CharField(help_text="转账附言里填写的核对码")
    amount_fen = serializers.IntegerField()
    pay_before = serializers.DateTimeField()


class PaymentOut(serializers.Serializer[object]):
    number = serializers.CharField()
    order = serializers.CharField()
    status = serializers.ChoiceField(choices=["WAITING", "CONFIRMED", "CLOSED"])
    method = serializers.CharField()
    amount_fen = serializers.IntegerField()
    received_fen = serializers.IntegerField()
    outstanding_fen = serializers.IntegerField()
    opened_at = serializers.DateTimeField()
    pay_before = serializers.DateTimeField()
    confirmed_at = serializers.DateTimeField(allow_null=True)
    instructions = TransferInstructions()


class PaymentPage(serializers.Serializer[object]):
    results = PaymentOut(many=True)
    next = serializers.CharField(allow_null=True)


class Payments(View):
    @extend_schema(tags=TAGS, request=PaymentIn, responses={201: PaymentOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        body = self.body(PaymentIn)
        payment = services.open_payment(
            payer_id=viewer(request).pk,
            purpose="ORDER",
            reference=body["order"],
            method=body["method"],
            at=now(),
        )
        return Response(queries.shown([payment])[0], status=201)

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
