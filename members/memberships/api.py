from collections.abc import Sequence
from typing import Any

from django.utils.timezone import now
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from config.kit import limits
from config.kit.api import Query, Shape, Text, View, page
from config.kit.idempotency import idempotent
from config.kit.viewer import PUBLIC
from members.accounts.api import MerchantRef
from members.accounts.auth import me, me_or_none
from members.memberships import queries, services
from members.memberships.models import Membership, Post
from members.memberships.rules import JOINS_PER_MINUTE, Audience, Status, may
from members.merchants import queries as merchants

TAGS = ["会员"]


class JoinIn(Shape):
    member_no = Text(max_length=32, help_text="商家会员号，大小写、空格和连字符不限")


class LevelOut(serializers.Serializer[Any]):
    rank = serializers.IntegerField()
    name = serializers.CharField()


class MembershipActions(serializers.Serializer[Any]):
    leave = serializers.BooleanField()


class MembershipOut(serializers.Serializer[Any]):
    merchant = MerchantRef()
    status = serializers.ChoiceField(choices=Status.values)
    card_no = serializers.CharField()
    level = LevelOut(allow_null=True)
    joined_at = serializers.DateTimeField()
    actions = MembershipActions()


class MembershipPage(serializers.Serializer[Any]):
    results = MembershipOut(many=True)
    next = serializers.CharField(allow_null=True)


class MerchantCard(MerchantRef):
    membership = MembershipOut(allow_null=True, help_text="未登录或未加入时为 null")


class PostOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    title = serializers.CharField()
    body = serializers.CharField()
    audience = serializers.ChoiceField(choices=Audience.values)
    is_pinned = serializers.BooleanField()
    published_at = serializers.DateTimeField()


class PostPage(serializers.Serializer[Any]):
    results = PostOut(many=True)
    next = serializers.CharField(allow_null=True)


def shown(memberships: Sequence[Membership]) -> list[dict[str, Any]]:
    return [
        {
            "merchant": {"id": one.merchant.number, "name": one.merchant.name},
            "status": one.status,
            "card_no": one.card_no,
            "level": {"rank": one.level.rank, "name": one.level.name} if one.level else None,
            "joined_at": one.joined_at,
            "actions": {"leave": may("leave", one.status)},
        }
        for one in memberships
    ]


def posted(posts: Sequence[Post]) -> list[dict[str, Any]]:
    return [
        {
            "id": post.number,
            "title": post.title,
            "body": post.body,
            "audience": post.audience,
            "is_pinned": post.is_pinned,
            "published_at": post.published_at,
        }
        for post in posts
    ]


class Memberships(View):
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Tries are counted before the transaction of `idempotent`, and whatever comes of them."""
        super().initial(request, *args, **kwargs)
        if request.method == "POST":
            limits.allow(f"join:{me(request).pk}", JOINS_PER_MINUTE, 60)

    @extend_schema(tags=TAGS, parameters=[Query], responses=MembershipPage)
    def get(self, request: Request) -> Response:
        """My memberships, newest first."""
        self.asked(Query)
        return page(self, queries.of_person(me(request)), ("-joined_at", "-pk"), shown)

    @extend_schema(tags=TAGS, request=JoinIn, responses={200: MembershipOut, 201: MembershipOut})
    @idempotent()
    def post(self, request: Request) -> Response:
        """Join with a member number; 200 with the same membership for who has joined before."""
        member_no = self.body(JoinIn)["member_no"]
        membership, is_new = services.join(user=me(request), member_no=member_no, at=now())
        return Response(shown([membership])[0], status=201 if is_new else 200)


class Leave(View):
    @extend_schema(tags=TAGS, request=None, responses=MembershipOut)
    @idempotent()
    def post(self, request: Request, merchant: str) -> Response:
        """Leave; prices and private goods for members are gone from the next request on."""
        membership = services.leave(user=me(request), merchant_number=merchant, at=now())
        return Response(shown([membership])[0])


class MerchantDetail(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, responses=MerchantCard)
    def get(self, request: Request, number: str) -> Response:
        """A merchant's card, and what I am to it."""
        merchant = merchants.trading(number)
        user = me_or_none(request)
        mine = list(queries.of_person(user).filter(merchant=merchant)) if user else []
        card = {"id": merchant.number, "name": merchant.name}
        return Response(card | {"membership": shown(mine)[0] if mine else None})


class Posts(View):
    access = PUBLIC

    @extend_schema(tags=TAGS, parameters=[Query], responses=PostPage)
    def get(self, request: Request, number: str) -> Response:
        """A merchant's posts, pinned ones first; those for members only to members."""
        self.asked(Query)
        posts = queries.feed(merchants.trading(number), me_or_none(request), now())
        return page(self, posts, ("-ranked_at", "-pk"), posted)
