from django.utils.timezone import now
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import IdempotencyKeyRequired, idempotent, read_key
from config.kit.viewer import PUBLIC, viewer
from livestream import claims, queries, services
from livestream.rules import ClaimStatus, EventType, LotStatus, SessionStatus
from members.accounts.api import MerchantRef
from members.accounts.auth import me, me_or_none
from members.accounts.rules import Role
from members.merchants import queries as merchants

TAGS = ["直播"]
MOST_PIECES = 100_000


class SessionQuery(Query):
    merchant = Text(max_length=24, required=False)
    status = serializers.ChoiceField(choices=SessionStatus.choices, required=False)


class EventQuery(Query):
    after = Whole(required=False, default=0, min_value=0, max_value=2**53)


class SessionIn(Shape):
    merchant = Text(max_length=24)
    title = Text(max_length=60)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()


class LotIn(Shape):
    sku = Text(max_length=24)
    price_fen = Whole(min_value=1, max_value=10**11)
    quota = Whole(min_value=1, max_value=MOST_PIECES)
    per_buyer_limit = Whole(min_value=1, max_value=MOST_PIECES, required=False, default=1)


class ClaimIn(Shape):
    quantity = Whole(min_value=1, max_value=MOST_PIECES)
    address_id = Text(max_length=24)


class ProductRef(serializers.Serializer[object]):
    id = serializers.CharField()
    title = serializers.CharField()


class SkuRef(serializers.Serializer[object]):
    id = serializers.CharField()
    name = serializers.CharField()


class SessionActions(serializers.Serializer[object]):
    start = serializers.BooleanField()
    end = serializers.BooleanField()


class LotActions(serializers.Serializer[object]):
    claim = serializers.BooleanField()
    drop = serializers.BooleanField()
    close = serializers.BooleanField()


class LotOut(serializers.Serializer[object]):
    id = serializers.CharField()
    product = ProductRef()
    sku = SkuRef()
    list_price_fen = serializers.IntegerField()
    price_fen = serializers.IntegerField()
    quota = serializers.IntegerField()
    left = serializers.IntegerField(help_text="还没有人抢到的件数")
    per_buyer_limit = serializers.IntegerField()
    status = serializers.ChoiceField(choices=LotStatus.choices)
    is_paused = serializers.BooleanField()
    offer = serializers.CharField(allow_null=True)
    dropped_at = serializers.DateTimeField(allow_null=True)
    actions = LotActions()


class SessionOut(serializers.Serializer[object]):
    id = serializers.CharField()
    merchant = MerchantRef()
    title = serializers.CharField()
    status = serializers.ChoiceField(choices=SessionStatus.choices)
    starts_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    seq = serializers.IntegerField(help_text="直播间最后一个事件的序号")
    ws_url = serializers.CharField(help_text="直播间 WebSocket；可加 ?token=")
    actions = SessionActions()


class SessionDetailOut(SessionOut):
    lots = LotOut(many=True)


class SessionPage(serializers.Serializer[object]):
    results = SessionOut(many=True)
    next = serializers.CharField(allow_null=True)


class EventOut(serializers.Serializer[object]):
    type = serializers.ChoiceField(choices=EventType.choices)
    at = serializers.DateTimeField()
    seq = serializers.IntegerField()
    data = serializers.DictField()  # type: ignore[assignment]


class EventsOut(serializers.Serializer[object]):
    results = EventOut(many=True)
    seq = serializers.IntegerField(help_text="直播间最后一个事件的序号；大于最后一条时请继续取")


class TicketOut(serializers.Serializer[object]):
    ticket = serializers.CharField()
    status = serializers.ChoiceField(choices=[ClaimStatus.QUEUED.value])


class ClaimOut(serializers.Serializer[object]):
    ticket = serializers.CharField()
    lot = serializers.CharField()
    status = serializers.ChoiceField(choices=ClaimStatus.choices)
    order = serializers.CharField(allow_null=True, help_text="订单号，10 分钟内付款")
    code = serializers.CharField(
        allow_null=True, help_text="SOLD_OUT、LOT_CLOSED、OVER_LIMIT、TRY_AGAIN 等"
    )


# --- everybody ----------------------------------------------------------------------------------


class Sessions(View):
    access = {"GET": PUBLIC, "POST": Role.OPERATOR}

    @extend_schema(tags=TAGS, parameters=[SessionQuery], responses=SessionPage)
    def get(self, request: Request) -> Response:
        """Live sessions, newest first; those with private goods for members only."""
        asked = self.asked(SessionQuery)
        user = me_or_none(request)
        rows = queries.listed(user, asked.get("merchant", ""), asked.get("status", ""))
        return page(self, rows, ("-starts_at", "-pk"), lambda found: queries.shown(found, user))

    @extend_schema(tags=TAGS, request=SessionIn, responses={201: SessionDetailOut})
    @idempotent()
    def post(self, request: Request) -> Response:
        """Announce a session of a merchant for which I am an operator."""
        body = self.body(SessionIn)
        merchant = merchants.of_staff(viewer(request), body.pop("merchant"), Role.OPERATOR)
        session = services.create_session(merchant=merchant, host=me(request), at=now(), **body)
        return Response(queries.detail(session, me(request)), status=201)


class SessionDetail(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, responses=SessionDetailOut)
    def get(self, request: Request, number: str) -> Response:
        """One session with its lots and the address of its room."""
        user = me_or_none(request)
        return Response(queries.detail(queries.session_for(user, number), user))


class Events(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, parameters=[EventQuery], responses=EventsOut)
    def get(self, request: Request, number: str) -> Response:
        """What the room was told after a `seq`: for who was away."""
        after = self.asked(EventQuery)["after"]
        session = queries.session_for(me_or_none(request), number)
        return Response({"results": queries.events_after(session, after), "seq": session.last_seq})


# --- the host -----------------------------------------------------------------------------------


class SessionStart(View):
    access = Role.OPERATOR

    @extend_schema(tags=TAGS, request=None, responses=SessionDetailOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        services.start(session=queries.session_run_by(viewer(request), number), at=now())
        return Response(
            queries.detail(queries.session_run_by(viewer(request), number), me(request))
        )


class SessionEnd(View):
    access = Role.OPERATOR

    @extend_schema(tags=TAGS, request=None, responses=SessionDetailOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """Off air; all lots are closed."""
        services.end(session=queries.session_run_by(viewer(request), number), at=now())
        return Response(
            queries.detail(queries.session_run_by(viewer(request), number), me(request))
        )


class Lots(View):
    access = Role.OPERATOR

    @extend_schema(tags=TAGS, request=LotIn, responses={201: LotOut})
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        session = queries.session_run_by(viewer(request), number)
        lot = services.create_lot(session=session, **self.body(LotIn))
        return Response(queries.lot_shown(lot, me(request)), status=201)


class LotDrop(View):
    access = Role.OPERATOR

    @extend_schema(tags=TAGS, request=None, responses=LotOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """From now on it can be claimed; 409 SOLD_OUT when stock has too few pieces."""
        lot = queries.lot_run_by(viewer(request), number)
        services.drop(lot=lot, at=now())
        return Response(queries.lot_shown(lot, me(request)))


class LotClose(View):
    access = Role.OPERATOR

    @extend_schema(tags=TAGS, request=None, responses=LotOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        """No more of it; what nobody took is common stock again."""
        lot = queries.lot_run_by(viewer(request), number)
        services.close(lot=lot, at=now())
        return Response(queries.lot_shown(lot, me(request)))


# --- buyers -------------------------------------------------------------------------------------


class Claims(View):
    @extend_schema(
        tags=TAGS,
        request=ClaimIn,
        responses={
            202: TicketOut,
            409: OpenApiResponse(description="SOLD_OUT、LOT_NOT_OPEN、LOT_CLOSED、OVER_LIMIT 等"),
            503: OpenApiResponse(description="TRY_AGAIN：请用同一 Idempotency-Key 重试"),
        },
    )
    def post(self, request: Request, number: str) -> Response:
        """Stand in line for a lot.  The ticket says later whether there is an order."""
        request_id = read_key(request)
        if request_id is None:
            raise IdempotencyKeyRequired
        body = self.body(ClaimIn)
        ticket, is_replay = claims.claim(
            buyer=me(request),
            lot=number,
            quantity=body["quantity"],
            address=body["address_id"],
            request_id=request_id,
            at=now(),
        )
        headers = {"Idempotent-Replay": "true"} if is_replay else None
        answer = {"ticket": ticket, "status": ClaimStatus.QUEUED.value}
        return Response(answer, status=202, headers=headers)

    # The gate keeps the key, not the table of config.kit.idempotency.
    post.idempotency = "required"  # type: ignore[attr-defined]


class ClaimDetail(View):
    @extend_schema(tags=TAGS, responses=ClaimOut)
    def get(self, request: Request, ticket: str) -> Response:
        """QUEUED, ORDERED with `order`, or REFUSED with `code`."""
        return Response(claims.outcome(buyer=me(request), number=ticket, at=now()))
