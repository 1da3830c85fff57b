"""A person says what a reversal took back, and which payout came back."""

from typing import Any

from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Text, Whole
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.transfers import bounces, queries, reversals
from payments.transfers.api import LARGEST_FEN, TAGS, IgnoreIn, LineOut, LineView
from payments.wallet import queries as wallets

SHOWN = 20


class ReverseIn(IgnoreIn):
    original = Text(max_length=24, help_text="被冲正的来账编号")


class LineReverse(LineView):
    @extend_schema(tags=TAGS, responses=LineOut(many=True))
    def get(self, request: Request, number: str) -> Response:
        """一笔冲正可能冲的来账：同一收款账户、同一金额、之前一个月内入账，同一付款人的在前。"""
        line = self.line(request, number)
        found: list[Any] = []
        if queries.is_waiting_reversal(line):
            found = list(queries.originals(viewer(request), line)[:SHOWN])
        return Response(queries.shown_lines(found, viewer(request)))

    @extend_schema(tags=TAGS, request=ReverseIn, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """说明冲正的是哪笔来账：核销冲回，订单冻结，与银行写明原流水号的一样。"""
        line = self.line(request, number)
        body = self.body(ReverseIn)
        person = viewer(request)
        original = get_object_or_404(queries.lines(person), number=body["original"])
        return self.shown(
            reversals.pair(
                line=line,
                original=original,
                reason=body["reason"],
                actor=person.number,
                at=now(),
            )
        )


class BounceIn(IgnoreIn):
    payout = Text(max_length=24, help_text="退款单号（R…）、来账退回单号（T…）或提现单号（W…）")
    fee_fen = Whole(
        min_value=0,
        max_value=LARGEST_FEN,
        default=0,
        help_text="银行扣了多少：付出与退回的差额，须正好相等；没有扣费不填",
    )


class LineBounce(LineView):
    @extend_schema(tags=TAGS, request=BounceIn, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """说明退汇的是哪笔退款：退款变为退回失败、可重新同意，来账的退回回到待处理；提现回到用户的钱包。"""
        line = self.line(request, number)
        body = self.body(BounceIn)
        person = viewer(request)
        return self.shown(
            bounces.link(
                line=line,
                payout=body["payout"],
                returned=queries.returns(person),
                refunded=queries.refunds(person),
                withdrawn=wallets.withdrawals_seen_by(person),
                fee_fen=body["fee_fen"],
                reason=body["reason"],
                actor=person.number,
                at=now(),
            )
        )


urlpatterns = [
    path("bank/lines/<str:number>/reverse", LineReverse.as_view()),
    path("bank/lines/<str:number>/bounce", LineBounce.as_view()),
]
