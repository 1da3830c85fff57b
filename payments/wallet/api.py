from typing import Any

from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, View, page
from config.kit.viewer import viewer
from payments.wallet import queries

TAGS = ["钱包"]


class WalletOut(serializers.Serializer[Any]):
    available_fen = serializers.IntegerField(help_text="可用余额")
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
        available_fen, frozen_fen = queries.balance(viewer(request).number)
        return Response({"available_fen": available_fen, "frozen_fen": frozen_fen})


class WalletEntries(View):
    @extend_schema(tags=TAGS, parameters=[Query], responses=WalletEntryPage)
    def get(self, request: Request) -> Response:
        self.asked(Query)
        owner = viewer(request)
        rows = queries.entries(owner)
        return page(self, rows, ("-pk",), lambda found: queries.shown_entries(owner, found))


urlpatterns = [
    path("wallet", Wallet.as_view()),
    path("wallet/entries", WalletEntries.as_view()),
]
