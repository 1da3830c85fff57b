from django.urls import path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, View, page
from config.kit.viewer import viewer
from payments.closing import queries
from payments.closing.rules import CloseStatus, Why

TAGS = ["银行来账"]


class DayQuery(Query):
    account_no = serializers.CharField(max_length=34, required=False)
    status = serializers.ChoiceField(choices=CloseStatus.choices, required=False)


class DifferenceOut(serializers.Serializer[object]):
    why = serializers.ChoiceField(choices=Why.choices)
    number = serializers.CharField(help_text="来账、退回单或退款单编号；可为空")
    text = serializers.CharField()
    fen = serializers.IntegerField(help_text="银行比账面多出的金额，可为负")
    is_settled = serializers.BooleanField(help_text="只是先后不同，之后已一致")


class DayOut(serializers.Serializer[object]):
    account_no = serializers.CharField()
    day = serializers.DateField()
    status = serializers.ChoiceField(choices=CloseStatus.choices)
    bank_fen = serializers.IntegerField(help_text="银行流水的日终余额")
    ledger_fen = serializers.IntegerField(help_text="账面日终余额")
    suspense_fen = serializers.IntegerField(help_text="核对时的待核销科目余额")
    lines_fen = serializers.IntegerField(help_text="核对时未处理来账合计")
    differences = DifferenceOut(many=True)
    made_at = serializers.DateTimeField()


class DayPage(serializers.Serializer[object]):
    results = DayOut(many=True)
    next = serializers.CharField(allow_null=True)


class Days(View):
    access = "FINANCE"

    @extend_schema(tags=TAGS, parameters=[DayQuery], responses=DayPage)
    def get(self, request: Request) -> Response:
        """每个收款账户每天的银行余额与账面余额，以及逐笔的差异。"""
        asked = self.asked(DayQuery)
        rows = queries.days(viewer(request))
        if "account_no" in asked:
            rows = rows.filter(receiving_account__account_no=asked["account_no"])
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return page(self, rows, ("-day", "-pk"), queries.shown)


urlpatterns = [path("bank/days", Days.as_view())]
