from dataclasses import asdict
from datetime import timedelta
from functools import partial
from typing import Any

from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import exceptions, serializers
from rest_framework.generics import get_object_or_404
from rest_framework.parsers import BaseParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from payments.cashier import queries as cashier
from payments.cashier.api import PaymentOut
from payments.transfers import desk, payers, pulling, queries, returns, services
from payments.transfers.models import StatementLine
from payments.transfers.rules import ReturnStatus, StatementStatus, Verdict

TAGS = ["银行来账"]
FINANCE = "FINANCE"
LARGEST_FEN = 10**13  # a hundred thousand million yuan: no transfer is larger


# --- shapes -------------------------------------------------------------------------------------


class StatementIn(Shape):
    file = serializers.FileField(
        help_text="银行导出的流水文件，最大 512 MB；xlsx、xls 与 MT940 最大 32 MB"
    )
    account_no = Text(required=False, allow_blank=True, max_length=34, default="")


class StatementTaken(serializers.Serializer[object]):
    id = serializers.CharField()
    status = serializers.ChoiceField(choices=StatementStatus.choices)


class StatementOut(StatementTaken):
    reason = serializers.CharField(allow_null=True, help_text="被拒绝的原因")
    broken_row = serializers.IntegerField(allow_null=True, help_text="第一处出错的行")
    origin = serializers.ChoiceField(choices=[("UPLOADED", "上传"), ("FETCHED", "从银行接口取来")])
    account_no = serializers.CharField()
    filename = serializers.CharField()
    uploaded_at = serializers.DateTimeField()
    imported_at = serializers.DateTimeField(allow_null=True)
    lines = serializers.IntegerField()
    credits = serializers.IntegerField()
    credits_fen = serializers.IntegerField()
    matched = serializers.IntegerField()
    suggested = serializers.IntegerField()
    unmatched = serializers.IntegerField(help_text="挂账、有冲突、退回中与已退回")
    duplicates = serializers.IntegerField()
    ignored = serializers.IntegerField()


class StatementPage(serializers.Serializer[object]):
    results = StatementOut(many=True)
    next = serializers.CharField(allow_null=True)


class LineQuery(Query):
    verdict = serializers.ChoiceField(choices=Verdict.choices, required=False)
    statement = serializers.CharField(max_length=24, required=False)
    account_no = serializers.CharField(max_length=34, required=False)
    age_days = Whole(min_value=0, max_value=36_500, required=False, help_text="入账至少多少天")
    min_fen = Whole(min_value=-LARGEST_FEN, max_value=LARGEST_FEN, required=False)
    max_fen = Whole(min_value=-LARGEST_FEN, max_value=LARGEST_FEN, required=False)


class CandidateOut(serializers.Serializer[object]):
    payment = serializers.CharField()
    order = serializers.CharField()
    score = serializers.IntegerField()
    why = serializers.CharField()
    why_not = serializers.CharField(default="")


class PaidOut(serializers.Serializer[object]):
    payment = serializers.CharField()
    order = serializers.CharField()
    amount_fen = serializers.IntegerField()


class ReturnPart(serializers.Serializer[object]):
    number = serializers.CharField()
    amount_fen = serializers.IntegerField()
    status = serializers.ChoiceField(choices=ReturnStatus.choices)
    reason = serializers.CharField()
    failure = serializers.CharField(allow_null=True, help_text="银行拒绝或复核未通过的原因")
    asked_at = serializers.DateTimeField()
    done_at = serializers.DateTimeField(allow_null=True)


class LineActions(serializers.Serializer[object]):
    match = serializers.BooleanField()
    undo = serializers.BooleanField()
    ignore = serializers.BooleanField()
    take_in = serializers.BooleanField()
    bounce = serializers.BooleanField(help_text="等待说明退汇了哪笔退款")
    reverse = serializers.BooleanField(help_text="等待说明冲正了哪笔来账")

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "return": serializers.BooleanField()}


class LineOut(serializers.Serializer[object]):
    id = serializers.CharField()
    statement = serializers.CharField(allow_null=True)
    account_no = serializers.CharField()
    virtual_account = serializers.CharField(allow_null=True)
    serial = serializers.CharField(allow_null=True)
    received_at = serializers.DateTimeField()
    amount_fen = serializers.IntegerField()
    allocated_fen = serializers.IntegerField(help_text="已核销")
    returned_fen = serializers.IntegerField(help_text="已退回")
    set_aside_fen = serializers.IntegerField(help_text="不处理：由人认定不是买家的钱")
    left_fen = serializers.IntegerField(help_text="还可处理：不含退回中的金额")
    currency = serializers.CharField()
    payer_name = serializers.CharField()
    payer_account = serializers.CharField()
    payer_bank = serializers.CharField()
    remark = serializers.CharField()
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    rule = serializers.CharField(allow_null=True)
    rule_version = serializers.CharField(allow_null=True)
    reasons = serializers.ListField(child=serializers.CharField())
    facts = serializers.JSONField(help_text="结论所依据的事实")
    candidates = CandidateOut(many=True)
    payments = PaidOut(many=True)
    returns = ReturnPart(many=True)
    actions = LineActions()


class LinePage(serializers.Serializer[object]):
    results = LineOut(many=True)
    next = serializers.CharField(allow_null=True)


class PartIn(Shape):
    number = Text(max_length=24)
    amount_fen = Whole(min_value=1, max_value=LARGEST_FEN)


class MatchIn(Shape):
    payments = serializers.ListField(child=PartIn(), min_length=1, max_length=50)


class IgnoreIn(Shape):
    reason = Text(max_length=200)


class ReturnIn(Shape):
    amount_fen = Whole(
        min_value=1, max_value=LARGEST_FEN, required=False, help_text="不填为全部剩余金额"
    )
    reason = Text(max_length=200, required=False, allow_blank=True, default="")


class ReturnQuery(Query):
    status = serializers.ChoiceField(choices=ReturnStatus.choices, required=False)


class ReturnOut(ReturnPart):
    line = serializers.CharField()
    account_no = serializers.CharField()
    payer_name = serializers.CharField()
    payer_account = serializers.CharField()
    asked_by = serializers.CharField()
    checked_by = serializers.CharField(allow_null=True)
    sent_at = serializers.DateTimeField(allow_null=True)
    serial = serializers.CharField(allow_null=True)


class ReturnPage(serializers.Serializer[object]):
    results = ReturnOut(many=True)
    next = serializers.CharField(allow_null=True)


class CheckIn(Shape):
    approve = serializers.BooleanField()
    reason = Text(max_length=200, required=False, allow_blank=True, default="")


class Nothing(Shape):
    pass


# --- statements ---------------------------------------------------------------------------------


class Statements(View):
    access = FINANCE

    def get_parsers(self) -> list[BaseParser]:
        return [MultiPartParser()]

    @extend_schema(
        tags=TAGS,
        request={"multipart/form-data": StatementIn},
        responses={202: StatementTaken},
    )
    def post(self, request: Request) -> Response:
        """上传银行流水：读不懂、不是本店账户或已导入的文件当场拒绝，其余在后台导入并核销。

        是本店账户的文件但对不上或已损坏的，留下一条 REFUSED 记录，编号在 `facts.statement`。
        """
        body = self.body(StatementIn)
        if len(request.FILES) != 1 or len(request.FILES.getlist("file")) != 1:
            raise exceptions.ValidationError({"file": ["一次只能上传一个文件"]}, code="repeated")
        person = viewer(request)
        statement = services.upload(
            file=body["file"],
            filename=body["file"].name or "",
            account_no=body["account_no"],
            tenants=person.tenants(FINANCE),
            uploaded_by_id=person.pk,
            at=now(),
        )
        return Response({"id": statement.number, "status": statement.status}, status=202)

    @extend_schema(tags=TAGS, parameters=[Query], responses=StatementPage)
    def get(self, request: Request) -> Response:
        self.asked(Query)
        rows = queries.statements(viewer(request))
        return page(self, rows, ("-uploaded_at", "-pk"), queries.shown_statements)


class StatementDetail(View):
    access = FINANCE

    @extend_schema(tags=TAGS, responses=StatementOut)
    def get(self, request: Request, number: str) -> Response:
        row = get_object_or_404(queries.statements(viewer(request)), number=number)
        return Response(queries.shown_statements([row])[0])


# --- lines --------------------------------------------------------------------------------------


FILTERS = {
    "verdict": "verdict",
    "statement": "statement__number",
    "account_no": "receiving_account__account_no",
    "min_fen": "amount_fen__gte",
    "max_fen": "amount_fen__lte",
}


class Lines(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[LineQuery], responses=LinePage)
    def get(self, request: Request) -> Response:
        asked = self.asked(LineQuery)
        rows = queries.lines(viewer(request))
        rows = rows.filter(**{FILTERS[name]: asked[name] for name in FILTERS if name in asked})
        if "age_days" in asked:
            rows = rows.filter(booked_at__lte=now() - timedelta(days=asked["age_days"]))
        show = partial(queries.shown_lines, viewer=viewer(request))
        return page(self, rows, ("-booked_at", "-pk"), show)


class LineView(View):
    """One line, as the looker may see it."""

    access = FINANCE

    def line(self, request: Request, number: str) -> StatementLine:
        return get_object_or_404(queries.lines(viewer(request)), number=number)

    def shown(self, line: StatementLine) -> Response:
        return Response(queries.shown_lines([line], viewer(self.request))[0])


class LineDetail(LineView):
    @extend_schema(tags=TAGS, responses=LineOut)
    def get(self, request: Request, number: str) -> Response:
        """一笔来账；等待人工时 candidates 按当前未付的支付单重新计算。"""
        line = self.line(request, number)
        person = viewer(request)
        (shown,) = queries.shown_lines([line], person)
        if shown["actions"]["match"]:
            shown["candidates"] = [asdict(one) for one in queries.candidates(line, person)]
        return Response(shown)


class LineMatch(LineView):
    @extend_schema(tags=TAGS, request=MatchIn, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        line = self.line(request, number)
        given = self.body(MatchIn)["payments"]
        shares = {share["number"]: share["amount_fen"] for share in given}
        if len(shares) != len(given):
            raise desk.PaymentTwice
        person = viewer(request)
        return self.shown(
            desk.assign(
                line=line,
                shares=shares,
                payments=queries.assignable(person),
                actor=person.number,
                at=now(),
            )
        )


class LineReturn(LineView):
    @extend_schema(tags=TAGS, request=ReturnIn, responses={202: LineOut})
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """原路退回全部或一部分；超过限额的等待另一人复核（bank/returns）。"""
        line = self.line(request, number)
        body = self.body(ReturnIn)
        returns.give_back(
            line=line,
            amount_fen=body.get("amount_fen"),
            reason=body["reason"],
            actor=viewer(request).number,
            at=now(),
        )
        response = self.shown(line)
        response.status_code = 202
        return response


class LineUndo(LineView):
    @extend_schema(tags=TAGS, request=Nothing, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        line = self.line(request, number)
        self.body(Nothing)
        return self.shown(desk.undo(line=line, actor=viewer(request).number, at=now()))


class LineIgnore(LineView):
    @extend_schema(tags=TAGS, request=IgnoreIn, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        line = self.line(request, number)
        reason = self.body(IgnoreIn)["reason"]
        actor = viewer(request).number
        return self.shown(desk.ignore(line=line, reason=reason, actor=actor, at=now()))


class LineTakeIn(LineView):
    @extend_schema(tags=TAGS, request=Nothing, responses=LineOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """系统没有当作来账的一行，确认是新的来账：记入待核销，等待核销。"""
        line = self.line(request, number)
        self.body(Nothing)
        return self.shown(desk.take_in(line=line, actor=viewer(request).number, at=now()))


# --- returns ------------------------------------------------------------------------------------


class Returns(View):
    access = FINANCE

    @extend_schema(tags=TAGS, parameters=[ReturnQuery], responses=ReturnPage)
    def get(self, request: Request) -> Response:
        asked = self.asked(ReturnQuery)
        rows = queries.returns(viewer(request))
        if "status" in asked:
            rows = rows.filter(status=asked["status"])
        return page(self, rows, ("-asked_at", "-pk"), queries.shown_returns)


class ReturnCheck(View):
    access = FINANCE

    @extend_schema(tags=TAGS, request=CheckIn, responses=ReturnOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """复核一笔退回：同意后提交银行，不同意则来账继续等待；申请人不能复核自己的申请。"""
        person = viewer(request)
        asked = get_object_or_404(queries.returns(person), number=number)
        body = self.body(CheckIn)
        checked = returns.check(
            asked=asked,
            approve=body["approve"],
            reason=body["reason"],
            actor=person.number,
            at=now(),
        )
        return Response(queries.shown_returns([checked])[0])


# --- the buyer ----------------------------------------------------------------------------------


class Transferred(View):
    """我已转账: a hint that makes the shop look sooner; money alone changes a payment."""

    @extend_schema(tags=["支付"], request=Nothing, responses=PaymentOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        by_transfer = queries.payments_of(viewer(request))
        payment = get_object_or_404(by_transfer, number=number)
        self.body(Nothing)
        pulling.hint(payment=payment, at=now())
        return Response(cashier.shown([payment])[0])


class AnyPayer(View):
    """The buyer pays from another account than the one that the bank was told to take it from."""

    @extend_schema(tags=["支付"], request=Nothing, responses=PaymentOut)
    @idempotent(required=False)
    def post(self, request: Request, number: str) -> Response:
        """改用别的账户付款：请银行放开限制；instructions.payer_account 变为空之后再转账。"""
        payer = viewer(request)
        payment = get_object_or_404(queries.payments_of(payer), number=number)
        self.body(Nothing)
        payers.lift(payment=payment, at=now(), actor=payer.number)
        return Response(cashier.shown([payment])[0])


urlpatterns = [
    path("payments/<str:number>/any-payer", AnyPayer.as_view()),
    path("payments/<str:number>/transferred", Transferred.as_view()),
    path("bank/statements", Statements.as_view()),
    path("bank/statements/<str:number>", StatementDetail.as_view()),
    path("bank/lines", Lines.as_view()),
    path("bank/lines/<str:number>", LineDetail.as_view()),
    path("bank/lines/<str:number>/match", LineMatch.as_view()),
    path("bank/lines/<str:number>/return", LineReturn.as_view()),
    path("bank/lines/<str:number>/undo", LineUndo.as_view()),
    path("bank/lines/<str:number>/ignore", LineIgnore.as_view()),
    path("bank/lines/<str:number>/take-in", LineTakeIn.as_view()),
    path("bank/returns", Returns.as_view()),
    path("bank/returns/<str:number>/check", ReturnCheck.as_view()),
]
