from typing import Any

from django.conf import settings
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
from payments.cashier import queries as payments
from payments.cashier.api import MethodsOut, PaymentOut, methods_shown, opened_shown, prepared
from payments.gift_cards import queries as gift_cards
from payments.offering.clients import X_CLIENT, asker_of
from payments.wallet import queries, services, top_ups, withdrawals
from payments.wallet.rules import METHOD, To, WithdrawalStatus, is_account

TAGS = ["钱包"]


class TopUpIn(Shape):
    amount_fen = Whole(min_value=1)

    def get_fields(self) -> dict[str, Any]:
        ways = sorted(set(settings.PAYMENT_METHODS) - {METHOD})
        return {**super().get_fields(), "method": serializers.ChoiceField(choices=ways)}


class WithdrawalIn(Shape):
    amount_fen = Whole(min_value=1)
    to = serializers.ChoiceField(choices=To.values)
    account_no = Text(max_length=34, required=False, help_text="提现到银行卡时必填")
    account_name = Text(
        max_length=64, required=False, help_text="到银行卡必填；到微信 2000 元及以上必填"
    )

    def validate(self, asked: dict[str, Any]) -> dict[str, Any]:
        if asked["to"] == To.BANK:
            for name in ("account_no", "account_name"):
                if not asked.get(name):
                    raise serializers.ValidationError({name: ["该字段是必填项。"]}, "required")
            if not is_account(asked["account_no"]):
                raise serializers.ValidationError({"account_no": ["不是银行账号"]})
        return asked


class TransferToConfirm(serializers.Serializer[Any]):
    """What wx.requestMerchantTransfer takes, as it is; {} where there is nothing to confirm."""

    def get_fields(self) -> dict[str, Any]:
        names = ("mchId", "appId", "package")
        return {name: serializers.CharField(required=False) for name in names}


class WithdrawalOut(serializers.Serializer[Any]):
    number = serializers.CharField()
    to = serializers.ChoiceField(choices=To.values)
    amount_fen = serializers.IntegerField()
    status = serializers.ChoiceField(choices=WithdrawalStatus.values)
    account_no = serializers.CharField(allow_null=True, help_text="银行账号末四位")
    failure = serializers.CharField(allow_blank=True)
    asked_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)
    instructions = TransferToConfirm()


class WithdrawalPage(serializers.Serializer[Any]):
    results = WithdrawalOut(many=True)
    next = serializers.CharField(allow_null=True)


class WalletOut(serializers.Serializer[Any]):
    available_fen = serializers.IntegerField(help_text="可用余额")
    gift_cards_fen = serializers.IntegerField(
        help_text="已兑换礼品卡的余额：余额支付订单时先扣，不能提现"
    )
    frozen_fen = serializers.IntegerField(help_text="提现中冻结的金额")


class WalletEntry(serializers.Serializer[Any]):
    at = serializers.DateTimeField()
    kind = serializers.CharField(help_text="可直接显示，例如“支付”“退款”")
    amount_fen = serializers.IntegerField(help_text="收入为正，支出为负")
    reference = serializers.CharField(help_text="相关单号")
    balance_after_fen = serializers.IntegerField(help_text="此笔之后的可用余额")


class WalletEntryPage(serializers.Serializer[Any]):
    results = WalletEntry(many=True)
    next = serializers.CharField(allow_null=True)


class Wallet(View):
    @extend_schema(tags=TAGS, responses=WalletOut)
    def get(self, request: Request) -> Response:
        owner = viewer(request)
        available_fen, frozen_fen = queries.balance(owner.number)
        told = {"available_fen": available_fen, "frozen_fen": frozen_fen}
        return Response({**told, "gift_cards_fen": gift_cards.spendable_fen(owner.pk)})


class WalletEntries(View):
    @extend_schema(tags=TAGS, parameters=[Query], responses=WalletEntryPage)
    def get(self, request: Request) -> Response:
        self.asked(Query)
        owner = viewer(request)
        rows = queries.entries(owner)
        return page(self, rows, ("-pk",), lambda found: queries.shown_entries(owner, found))


class TopUps(View):
    @extend_schema(tags=TAGS, parameters=[X_CLIENT], request=TopUpIn, responses={201: PaymentOut})
    @idempotent(required=True, after=prepared)
    def post(self, request: Request) -> Response:
        """The payment that fills the wallet; shown and paid like any other."""
        body, owner = self.body(TopUpIn), viewer(request)
        payment = top_ups.open_top_up(
            user_id=owner.pk,
            user_number=owner.number,
            amount_fen=body["amount_fen"],
            method=body["method"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(opened_shown(payment), status=201)


class TopUpMethodsQuery(Shape):
    from_query = True
    amount_fen = Whole(min_value=1)


class TopUpMethods(View):
    @extend_schema(tags=TAGS, parameters=[TopUpMethodsQuery, X_CLIENT], responses=MethodsOut)
    def get(self, request: Request) -> Response:
        """充值这么多可以怎样付款；选一种 is_offered 的，传给 POST wallet/top-ups。"""
        found = top_ups.ways(
            user_id=viewer(request).pk,
            amount_fen=self.asked(TopUpMethodsQuery)["amount_fen"],
            asker=asker_of(request),
            at=now(),
        )
        return Response(methods_shown(found))


def _sent(request: Request, told: dict[str, Any]) -> dict[str, Any]:
    """The withdrawal as it is after its channel was asked; silence is no refusal."""
    withdrawals.send(number=told["number"], at=now())
    row = queries.withdrawals(viewer(request)).get(number=told["number"])
    return queries.shown_withdrawals([row])[0]


class Withdrawals(View):
    @extend_schema(tags=TAGS, request=WithdrawalIn, responses={201: WithdrawalOut})
    @idempotent(required=True, after=_sent)
    def post(self, request: Request) -> Response:
        body, owner = self.body(WithdrawalIn), viewer(request)
        row = withdrawals.ask(user_id=owner.pk, owner=owner.number, at=now(), **body)
        return Response(queries.shown_withdrawals([row])[0], status=201)

    @extend_schema(tags=TAGS, parameters=[Query], responses=WithdrawalPage)
    def get(self, request: Request) -> Response:
        self.asked(Query)
        rows = queries.withdrawals(viewer(request))
        return page(self, rows, ("-asked_at", "-pk"), queries.shown_withdrawals)


class WithdrawalDetail(View):
    @extend_schema(tags=TAGS, responses=WithdrawalOut)
    def get(self, request: Request, number: str) -> Response:
        row = get_object_or_404(queries.withdrawals(viewer(request)), number=number)
        return Response(queries.shown_withdrawals([row])[0])


class OwedToWallet(View):
    """The payer wants what is owed to him in his wallet."""

    @extend_schema(tags=["支付"], request=None, responses=PaymentOut)
    @idempotent()
    def post(self, request: Request, number: str, refund: str) -> Response:
        self.body(Shape)
        asker = viewer(request)
        owed = get_object_or_404(payments.owed_to(asker, number), number=refund)
        services.take_owed(refund=owed, owner=asker.number, at=now())
        payment = payments.for_payer(asker).get(number=number)
        return Response(payments.shown([payment])[0])


urlpatterns = [
    path("payments/<str:number>/refunds/<str:refund>/to-wallet", OwedToWallet.as_view()),
    path("wallet/withdrawals", Withdrawals.as_view()),
    path("wallet/withdrawals/<str:number>", WithdrawalDetail.as_view()),
    path("wallet/top-ups/methods", TopUpMethods.as_view()),
    path("wallet/top-ups", TopUps.as_view()),
    path("wallet", Wallet.as_view()),
    path("wallet/entries", WalletEntries.as_view()),
]
