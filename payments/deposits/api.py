"""A merchant's deposit: what there is, paying it, asking it back."""

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.cashier.api import MethodsOut, PaymentOut, methods_shown, opened_shown, prepared
from payments.deposits import paying, queries, services
from payments.deposits.rules import NOT_BY, Kind, Status
from payments.offering.clients import X_CLIENT, asker_of
from payments.settlement.viewing import merchant_of

TAGS = ["保证金"]
FINANCE = "FINANCE"
LARGEST_FEN = 10**12


class DepositQuery(Query):
    merchant = serializers.CharField(max_length=24, required=False)


class DepositOut(serializers.Serializer[object]):
    merchant = serializers.CharField()
    deposit_fen = serializers.IntegerField(help_text="保证金余额，不含冻结")
    frozen_fen = serializers.IntegerField(help_text="违规处理中或申请退还的")


class MoveOut(serializers.Serializer[object]):
    number = serializers.CharField()
    kind = serializers.ChoiceField(choices=Kind.choices)
    status = serializers.ChoiceField(choices=Status.choices)
    amount_fen = serializers.IntegerField()
    reason = serializers.CharField()
    asked_at = serializers.DateTimeField()


class MovePage(serializers.Serializer[object]):
    results = MoveOut(many=True)
    next = serializers.CharField(allow_null=True)


class DepositTopUpIn(Shape):
    merchant = Text(max_length=24, required=False, help_text="商家编号；只管一个商家时不填")
    amount_fen = Whole(min_value=1, max_value=LARGEST_FEN)


class DepositPaymentIn(DepositTopUpIn):
    def get_fields(self) -> dict[str, Any]:
        ways = sorted(set(settings.PAYMENT_METHODS) - {NOT_BY})
        return {**super().get_fields(), "method": serializers.ChoiceField(choices=ways)}


class WaysQuery(Shape):
    from_query = True
    amount_fen = Whole(min_value=1, max_value=LARGEST_FEN)


class AskBackIn(DepositTopUpIn):
    reason = Text(max_length=200)


def shown(rows: Iterable[Any]) -> list[dict[str, Any]]:
    names = ("number", "kind", "status", "amount_fen", "reason", "asked_at")
    return [{name: getattr(row, name) for name in names} for row in rows]


class Deposit(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[DepositQuery], responses=DepositOut)
    def get(self, request: Request) -> Response:
        """商家的保证金，与可用余额分开。"""
        asked = self.asked(DepositQuery)
        merchant = merchant_of(viewer(request), asked.get("merchant", ""))
        return Response(
            {
                "merchant": merchant,
                "deposit_fen": queries.deposit_fen(merchant),
                "frozen_fen": queries.frozen_fen(merchant),
            }
        )


class DepositMoves(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[DepositQuery], responses=MovePage)
    def get(self, request: Request) -> Response:
        """缴纳、违规扣除和退还，新的在前。"""
        asked = self.asked(DepositQuery)
        rows = queries.moves(viewer(request))
        if "merchant" in asked:
            rows = rows.filter(merchant=asked["merchant"])
        return page(self, rows, ("-asked_at", "-pk"), shown)


class TopUps(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=DepositTopUpIn, responses={201: MoveOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """从可用余额缴纳保证金。"""
        said = self.body(DepositTopUpIn)
        person = viewer(request)
        merchant = merchant_of(person, said.pop("merchant", ""))
        made = services.top_up(merchant=merchant, actor=person.number, at=now(), **said)
        return Response(shown([made])[0], status=201)


class Payments(View):
    access = FINANCE

    @extend_schema(
        tags=TAGS, parameters=[X_CLIENT], request=DepositPaymentIn, responses={201: PaymentOut}
    )
    @idempotent(required=True, after=prepared)
    def post(self, request: Request) -> Response:
        """用转账、微信支付等缴纳保证金；答复的支付单照常付款，到账即为保证金。"""
        said = self.body(DepositPaymentIn)
        person = viewer(request)
        payment = paying.open_payment(
            merchant=merchant_of(person, said.pop("merchant", "")),
            payer_id=person.pk,
            asker=asker_of(request),
            at=now(),
            **said,
        )
        return Response(opened_shown(payment), status=201)


class PaymentWays(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[WaysQuery, X_CLIENT], responses=MethodsOut)
    def get(self, request: Request) -> Response:
        """这么多保证金可以怎样付款；选一种 is_offered 的，传给 POST deposit/payments。"""
        found = paying.ways(
            payer_id=viewer(request).pk,
            amount_fen=self.asked(WaysQuery)["amount_fen"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(methods_shown(found))


class AskedBack(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=AskBackIn, responses={201: MoveOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """申请退还保证金：立即冻结，平台复核后回到可用余额。"""
        said = self.body(AskBackIn)
        person = viewer(request)
        merchant = merchant_of(person, said.pop("merchant", ""))
        made = services.ask_back(merchant=merchant, actor=person.number, at=now(), **said)
        return Response(shown([made])[0], status=201)


urlpatterns = [
    path("deposit", Deposit.as_view()),
    path("deposit/moves", DepositMoves.as_view()),
    path("deposit/top-ups", TopUps.as_view()),
    path("deposit/payments", Payments.as_view()),
    path("deposit/payments/methods", PaymentWays.as_view()),
    path("deposit/refunds", AskedBack.as_view()),
]
