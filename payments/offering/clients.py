"""From where the buyer asks: the header X-Client, and what his browser says of itself."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request

from payments.offering.rules import Asker, Client

CLIENTS = {"mini-program": Client.MINI_PROGRAM, "h5": Client.H5, "admin": Client.ADMIN}
X_CLIENT = OpenApiParameter(
    "X-Client",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    enum=list(CLIENTS),
    default="mini-program",
    description="Where the buyer is; decides which methods are offered",
)


def asker_of(request: Request) -> Asker:
    """What the client says of itself: it gets no more for it than the rules let anybody have."""
    told = request.headers.get("X-Client", "mini-program")
    if told not in CLIENTS:
        allowed = "、".join(CLIENTS)
        raise serializers.ValidationError({"X-Client": [f"只能是 {allowed}"]})
    client = CLIENTS[told]
    browser = request.headers.get("User-Agent", "")
    return Asker(client, client == Client.MINI_PROGRAM or "MicroMessenger" in browser)
