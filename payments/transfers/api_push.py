"""A bank tells of a booking as it happens."""

from typing import Any

from django.conf import settings
from django.urls import path
from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit.api import Shape, Text, View, Whole
from config.kit.errors import NotFound, Refusal
from config.kit.viewer import PUBLIC
from payments.channels import transfer
from payments.transfers import services
from payments.transfers.api import LARGEST_FEN
from payments.transfers.parsers import Row, cells


class PushIn(Shape):
    """One booking, as the bank pushes it."""

    event_id = Text(max_length=64)
    account_no = Text(max_length=34)
    virtual_account = Text(max_length=44, allow_null=True)
    serial = Text(max_length=64)
    booked_at = serializers.DateTimeField()
    amount_fen = Whole(min_value=1, max_value=LARGEST_FEN)
    direction = serializers.ChoiceField(choices=["C", "D"])
    currency = Text(max_length=3)
    payer_name = Text(max_length=200, allow_blank=True)
    payer_account = Text(max_length=64, allow_blank=True)
    payer_bank = Text(max_length=200, allow_blank=True)
    remark = serializers.CharField(
        max_length=2_000, allow_blank=True, trim_whitespace=False, help_text="银行原文"
    )
    reverses = Text(max_length=64, allow_null=True)


class PushTaken(serializers.Serializer[object]):
    code = serializers.CharField()


class PushTooLarge(Refusal):
    status = 413
    message = "推送内容过大"


class BankPush(View):
    """The signature is over the raw bytes, so they are read before anything parses them."""

    access = PUBLIC
    authentication_classes = []
    longest = 64 * 1024  # bytes

    @extend_schema(tags=["外部回调"], request=PushIn, responses=PushTaken, auth=[])
    def post(self, request: Request, provider: str) -> Response:
        """银行入账通知：验签后一次性收录，重复推送不产生变化。"""
        if provider not in settings.BANK_PROVIDERS:
            raise NotFound
        if int(request.META.get("CONTENT_LENGTH") or 0) > self.longest:
            raise PushTooLarge
        body = request.body
        said = transfer.bank(provider).verify_push(request.headers, body, now())
        shape = PushIn(data=said)
        shape.is_valid(raise_exception=True)
        transfer.hear_once(provider, request.headers)
        told = shape.validated_data
        services.take_push(
            provider=provider, account_no=told["account_no"], row=_booking(told), at=now()
        )
        return Response({"code": "OK"})


def _booking(told: dict[str, Any]) -> Row:
    fen = told["amount_fen"] if told["direction"] == "C" else -told["amount_fen"]
    texts = (told["remark"],) if told["remark"] else ()
    is_reversal = told["reverses"] is not None
    return Row(
        serial=told["serial"],
        booked_at=told["booked_at"],
        amount_fen=fen,
        currency=told["currency"],
        balance_fen=None,
        payer_name=told["payer_name"],
        payer_account=told["payer_account"],
        payer_bank=told["payer_bank"],
        remark=told["remark"],
        texts=texts,
        virtual_account=told["virtual_account"] or None,
        is_reversal=is_reversal,
        reverses=told["reverses"],
        position=1,
        caution="" if is_reversal else cells.perhaps_taken_back(fen, texts),
    )


urlpatterns = [path("hooks/bank/<str:provider>", BankPush.as_view())]
