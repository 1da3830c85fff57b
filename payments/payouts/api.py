"""A merchant's own money: what there is, where it goes, and getting it."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.payouts import bounces, payees, queries, services
from payments.payouts.models import Payee
from payments.payouts.rules import Bank, PayeeStatus, Status
from payments.settlement.viewing import merchant_of
from payments.transfers import queries as transfers

TAGS = ["结算"]
FINANCE = "FINANCE"
LARGEST_FEN = 10**12


class MerchantQuery(Query):
    merchant = serializers.CharField(max_length=24, required=False)


class PayoutQuery(MerchantQuery):
    status = serializers.ChoiceField(choices=Status.choices, required=False)


class OfMerchant(Shape):
    merchant = Text(max_length=24, required=False, help_text="商家编号；只管一个商家时不填")


class SettlementOut(serializers.Serializer[object]):
    merchant = serializers.CharField()
    available_fen = serializers.IntegerField(help_text="可用余额")
    frozen_fen = serializers.IntegerField(help_text="付款中")
    owed_fen = serializers.IntegerField(help_text="银行冲正等形成的欠款，先于付款扣还")


class Settlement(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[MerchantQuery], responses=SettlementOut)
    def get(self, request: Request) -> Response:
        """商家的可用余额、付款中的和欠款。"""
        asked = self.asked(MerchantQuery)
        merchant = merchant_of(viewer(request), asked.get("merchant", ""))
        return Response(asdict(queries.standing(merchant)))


class PayeeOut(serializers.Serializer[object]):
    number = serializers.CharField()
    account_no = serializers.CharField(help_text="只显示后四位")
    account_name = serializers.CharField()
    bank_name = serializers.CharField()
    status = serializers.ChoiceField(choices=PayeeStatus.choices)
    pays_from = serializers.DateTimeField(allow_null=True, help_text="从何时起可以付款")


class PayeesOut(serializers.Serializer[object]):
    in_use = PayeeOut(allow_null=True)
    asked = PayeeOut(allow_null=True, help_text="等待另一人复核的变更")


class PayeeIn(OfMerchant):
    account_no = Text(max_length=34, help_text="银行账号，数字或大写字母，不带空格")
    account_name = Text(max_length=100, help_text="户名")
    bank_name = Text(max_length=100, help_text="开户行")

    def validate_account_no(self, typed: str) -> str:
        if not (len(typed) >= 6 and typed.isascii() and typed.isalnum() and typed == typed.upper()):
            raise serializers.ValidationError("账号须为 6 至 34 位数字或大写字母")
        return typed

    def validate_account_name(self, typed: str) -> str:
        return _no_formula(typed)

    def validate_bank_name(self, typed: str) -> str:
        return _no_formula(typed)


def _no_formula(typed: str) -> str:
    """It goes into files that are opened in a spreadsheet."""
    if typed[:1] in "=+@-\t":
        raise serializers.ValidationError("不能以 = + - @ 开头")
    return typed


class SecondIn(Shape):
    approve = serializers.BooleanField(help_text="true 同意，false 不同意")
    reason = Text(max_length=200, required=False, allow_blank=True, default="")


def shown_payee(payee: Payee | None) -> dict[str, Any] | None:
    if payee is None:
        return None
    return {
        "number": payee.number,
        "account_no": f"****{payee.account_no[-4:]}",
        "account_name": payee.account_name,
        "bank_name": payee.bank_name,
        "status": payee.status,
        "pays_from": payee.pays_from,
    }


class PayeeView(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[MerchantQuery], responses=PayeesOut)
    def get(self, request: Request) -> Response:
        """结算款付到哪里：使用中的收款账户，和等待复核的变更。"""
        asked = self.asked(MerchantQuery)
        found = queries.payees_of(merchant_of(viewer(request), asked.get("merchant", "")))
        return Response(
            {
                "in_use": shown_payee(found.get(PayeeStatus.ACTIVE)),
                "asked": shown_payee(found.get(PayeeStatus.ASKED)),
            }
        )

    @extend_schema(tags=TAGS, request=PayeeIn, responses={201: PayeeOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """申请更换收款账户：另一人复核后生效，并过了等待期才付款。"""
        body = self.body(PayeeIn)
        person = viewer(request)
        payee = payees.ask(
            merchant=merchant_of(person, body.pop("merchant", "")),
            bank=Bank(**body),
            actor=person.number,
            at=now(),
        )
        return Response(shown_payee(payee), status=201)


class PayeeCheck(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=SecondIn, responses=PayeeOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """另一人复核收款账户的变更；申请人自己不能复核。"""
        person = viewer(request)
        payee = get_object_or_404(queries.payees(person), number=number)
        said = self.body(SecondIn)
        checked = payees.check(payee=payee, actor=person.number, at=now(), **said)
        return Response(shown_payee(checked))


class PayoutOut(serializers.Serializer[object]):
    number = serializers.CharField()
    merchant = serializers.CharField()
    amount_fen = serializers.IntegerField()
    status = serializers.ChoiceField(choices=Status.choices)
    account_no = serializers.CharField(help_text="收款账号后四位")
    account_name = serializers.CharField()
    failure = serializers.CharField(help_text="未付的原因")
    asked_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True)


class PayoutPage(serializers.Serializer[object]):
    results = PayoutOut(many=True)
    next = serializers.CharField(allow_null=True)


class PayoutIn(OfMerchant):
    amount_fen = Whole(min_value=1, max_value=LARGEST_FEN)


def shown(rows: Iterable[Any]) -> list[dict[str, Any]]:
    return [
        {
            "number": row.number,
            "merchant": row.merchant,
            "amount_fen": row.amount_fen,
            "status": row.status,
            "account_no": f"****{row.payee.account_no[-4:]}",
            "account_name": row.payee.account_name,
            "failure": row.failure,
            "asked_at": row.asked_at,
            "done_at": row.done_at,
        }
        for row in rows
    ]


class Payouts(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[PayoutQuery], responses=PayoutPage)
    def get(self, request: Request) -> Response:
        """付给商家的结算款，新的在前。"""
        asked = self.asked(PayoutQuery)
        rows = queries.payouts(viewer(request))
        for name in ("merchant", "status"):
            if name in asked:
                rows = rows.filter(**{name: asked[name]})
        return page(self, rows, ("-asked_at", "-pk"), shown)

    @extend_schema(tags=TAGS, request=PayoutIn, responses={201: PayoutOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        """申请付款：立即从可用余额冻结；超过限额的由另一人复核后付出。"""
        body = self.body(PayoutIn)
        person = viewer(request)
        payout = services.request(
            merchant=merchant_of(person, body.get("merchant", "")),
            amount_fen=body["amount_fen"],
            actor=person.number,
            at=now(),
        )
        return Response(shown([payout])[0], status=201)


class PayoutCheck(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=SecondIn, responses=PayoutOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """另一人复核超过限额的付款；不同意则退回可用余额。"""
        person = viewer(request)
        payout = get_object_or_404(queries.payouts(person), number=number)
        said = self.body(SecondIn)
        checked = services.check(payout=payout, actor=person.number, at=now(), **said)
        return Response(shown([checked])[0])


class PayoutBounceIn(Shape):
    line = Text(max_length=24, help_text="退汇来账的编号（L…）")
    reason = Text(max_length=200)
    fee_fen = Whole(min_value=0, max_value=LARGEST_FEN, default=0, help_text="银行扣了多少")


class PayoutBounce(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=PayoutBounceIn, responses=PayoutOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """说明一笔来账是这笔付款的退汇：钱回到商家的可用余额。"""
        person = viewer(request)
        payout = get_object_or_404(queries.payouts(person), number=number)
        said = self.body(PayoutBounceIn)
        line = get_object_or_404(transfers.lines(person), number=said.pop("line"))
        bounced = bounces.link(payout=payout, line=line, actor=person.number, at=now(), **said)
        return Response(shown([bounced])[0])


urlpatterns = [
    path("settlement", Settlement.as_view()),
    path("settlement/payee", PayeeView.as_view()),
    path("settlement/payees/<str:number>/check", PayeeCheck.as_view()),
    path("settlement/payouts", Payouts.as_view()),
    path("settlement/payouts/<str:number>/check", PayoutCheck.as_view()),
    path("settlement/payouts/<str:number>/bounce", PayoutBounce.as_view()),
]
