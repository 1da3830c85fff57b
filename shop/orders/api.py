from django.shortcuts import get_object_or_404
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Query, Shape, Text, View, Whole, page
from config.kit.idempotency import idempotent
from config.kit.viewer import viewer
from members.accounts import queries as accounts
from members.accounts.api import MerchantRef
from members.accounts.auth import me
from members.guides import services as guides
from members.guides.api import GuideRef
from shop.checkout.api import Lines
from shop.checkout.rules import Item
from shop.orders import holding, queries, services
from shop.orders.rules import Status, Wish, consignee

TAGS = ["订单"]


class OrderIn(Lines):
    address_id = Text(max_length=24)
    remark = Text(max_length=200, required=False, default="", allow_blank=True)
    quote_token = Text(max_length=8192, required=False, default="")


class OrderLineOut(serializers.Serializer[object]):
    line = serializers.IntegerField()
    sku = serializers.CharField()
    title = serializers.CharField()
    sku_name = serializers.CharField()
    quantity = serializers.IntegerField()
    unit_price_fen = serializers.IntegerField()
    total_fen = serializers.IntegerField()
    price_reason = serializers.CharField()
    is_shipped = serializers.BooleanField()


class ShipmentOut(serializers.Serializer[object]):
    number = serializers.CharField()
    carrier = serializers.CharField(allow_null=True)
    tracking_no = serializers.CharField(allow_null=True)
    no_logistics = serializers.BooleanField()
    shipped_at = serializers.DateTimeField()


class OrderActions(serializers.Serializer[object]):
    pay = serializers.BooleanField()
    cancel = serializers.BooleanField()
    confirm_receipt = serializers.BooleanField()


class OrderOut(serializers.Serializer[object]):
    number = serializers.CharField()
    merchant = MerchantRef()
    status = serializers.ChoiceField(choices=Status.choices)
    close_reason = serializers.CharField(allow_null=True)
    total_fen = serializers.IntegerField()
    placed_at = serializers.DateTimeField()
    pay_before = serializers.DateTimeField()
    paid_at = serializers.DateTimeField(allow_null=True)
    shipped_at = serializers.DateTimeField(allow_null=True)
    received_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(allow_null=True)
    consignee = serializers.DictField()
    remark = serializers.CharField()
    guide = GuideRef(allow_null=True)
    lines = OrderLineOut(many=True)
    shipments = ShipmentOut(many=True)
    actions = OrderActions()


class OrdersOut(serializers.Serializer[object]):
    orders = OrderOut(many=True, help_text="每个商家一单")


class OrderPage(serializers.Serializer[object]):
    results = OrderOut(many=True)
    next = serializers.CharField(allow_null=True)


class OrderQuery(Query):
    status = serializers.ChoiceField(choices=Status.choices, required=False, default="")


class Orders(View):
    @extend_schema(tags=TAGS, parameters=[OrderQuery], responses=OrderPage)
    def get(self, request: Request) -> Response:
        status = self.asked(OrderQuery)["status"]
        rows = queries.for_buyer(viewer(request), status)
        return page(self, rows, ("-placed_at", "-pk"), queries.shown)

    @extend_schema(tags=TAGS, request=OrderIn, responses={201: OrdersOut})
    @idempotent(required=True)
    def post(self, request: Request) -> Response:
        body, buyer, at = self.body(OrderIn), viewer(request), now()
        if code := request.headers.get("X-Share-Code"):
            guides.follow(customer=me(request), code=code, at=at)
        wish = Wish(
            buyer_id=buyer.pk,
            items=[Item(**line) for line in body["lines"]],
            consignee=consignee(accounts.address_of(me(request), body["address_id"])),
            remark=body["remark"],
            quote_token=body["quote_token"],
        )
        placed = services.place_one(wish=wish, at=at)
        return Response({"orders": queries.shown(list(queries.whole(placed)))}, status=201)


class OrderDetail(View):
    @extend_schema(tags=TAGS, responses=OrderOut)
    def get(self, request: Request, number: str) -> Response:
        order = get_object_or_404(queries.for_buyer(viewer(request)), number=number)
        return Response(queries.shown([order])[0])


def _shut(request: Request, number: str) -> None:
    """An order is not given up while its buyer may be paying for it on his phone."""
    order = get_object_or_404(queries.for_buyer(viewer(request)), number=number)
    services.shut(order=order, at=now())


class OrderCancel(View):
    @extend_schema(tags=TAGS, request=None, responses=OrderOut)
    @idempotent(before=_shut)
    def post(self, request: Request, number: str) -> Response:
        buyer = viewer(request)
        order = get_object_or_404(queries.for_buyer(buyer), number=number)
        services.cancel(order=order, actor=buyer.number, at=now())
        return Response(queries.shown(list(queries.whole([order])))[0])


class ReceiptIn(Shape):
    lines = serializers.ListField(
        child=Whole(min_value=1),
        required=False,
        min_length=1,
        max_length=50,
        help_text="只确认这些已发货的行；不填为整单",
    )


class OrderConfirmReceipt(View):
    @extend_schema(tags=TAGS, request=ReceiptIn, responses=OrderOut)
    @idempotent()
    def post(self, request: Request, number: str) -> Response:
        body, buyer = self.body(ReceiptIn), viewer(request)
        order = get_object_or_404(queries.for_buyer(buyer), number=number)
        holding.receive_one(order=order, lines=body.get("lines"), actor=buyer.number, at=now())
        return Response(queries.shown(list(queries.whole([order])))[0])
