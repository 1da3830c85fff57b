from datetime import datetime

from django.db import transaction

from config.kit.errors import Refusal, StaleState
from config.kit.states import move
from members.accounts.models import User
from members.memberships import queries
from members.memberships.models import Level, Membership, MembershipEvent, Post
from members.memberships.rules import TRANSITIONS, Audience, Kind, Status, on_joining
from members.merchants import queries as merchants
from members.merchants.models import Merchant


class MemberNumberUnknown(Refusal):
    """The one answer to every number that admits nobody: wrong, closed, or of a closed shop."""

    status = 404
    message = "会员号无效，请核对后重试"


class OtherMerchantsLevel(Refusal):
    message = "该等级不属于此商家"


@transaction.atomic
def join(*, user: User, member_no: str, at: datetime) -> tuple[Membership, bool]:
    """The membership, and whether this call made it (again): joining twice changes nothing.

    Raises MemberNumberUnknown.
    """
    merchant = merchants.by_member_no(member_no)
    if merchant is None:
        raise MemberNumberUnknown
    return admit(user=user, merchant=merchant, at=at)


@transaction.atomic
def admit(*, user: User, merchant: Merchant, at: datetime) -> tuple[Membership, bool]:
    """Join without a number, for those who know the merchant already, as `join` does."""
    status = on_joining(merchant.join_policy)
    membership, is_new = Membership.objects.get_or_create(
        user=user, merchant=merchant, defaults={"status": status, "joined_at": at}
    )
    is_new = is_new or _came_back(membership, status, at)
    if is_new:
        _note(membership, Kind.JOINED, user, at)
    return queries.of_person(user).get(pk=membership.pk), is_new


@transaction.atomic
def leave(*, user: User, merchant_number: str, at: datetime) -> Membership:
    """Prices and private goods of this merchant are gone from the next request on.

    Raises NotFound, StaleState.
    """
    membership = queries.card(user, merchant_number)
    _move(membership, Status.LEFT)
    _note(membership, Kind.LEFT, user, at)
    return membership


@transaction.atomic
def approve(*, membership: Membership, actor: User, at: datetime) -> None:
    pending = Membership.objects.filter(pk=membership.pk, status=Status.PENDING)
    move(pending, Status.ACTIVE, TRANSITIONS)
    _note(membership, Kind.APPROVED, actor, at)


@transaction.atomic
def block(*, membership: Membership, actor: User, at: datetime, reason: str = "") -> None:
    _move(membership, Status.BLOCKED)
    _note(membership, Kind.BLOCKED, actor, at, reason=reason)


@transaction.atomic
def unblock(*, membership: Membership, actor: User, at: datetime) -> None:
    blocked = Membership.objects.filter(pk=membership.pk, status=Status.BLOCKED)
    move(blocked, Status.ACTIVE, TRANSITIONS)
    _note(membership, Kind.UNBLOCKED, actor, at)


@transaction.atomic
def set_level(*, membership: Membership, level: Level | None, actor: User, at: datetime) -> None:
    """Raises OtherMerchantsLevel."""
    if level and level.merchant_id != membership.merchant_id:
        raise OtherMerchantsLevel
    Membership.objects.filter(pk=membership.pk).update(level=level)
    _note(membership, Kind.LEVEL, actor, at, level=level.name if level else None)


def publish(
    *,
    merchant: Merchant,
    title: str,
    body: str,
    at: datetime,
    audience: str = Audience.PUBLIC,
    is_pinned: bool = False,
) -> Post:
    """A post that shows from `at` on, which may lie ahead."""
    return Post.objects.create(
        merchant=merchant,
        title=title,
        body=body,
        audience=audience,
        is_pinned=is_pinned,
        published_at=at,
    )


def _came_back(membership: Membership, status: str, at: datetime) -> bool:
    """Someone who left joins anew; of two calls at once one does it."""
    left = Membership.objects.filter(pk=membership.pk, status=Status.LEFT)
    try:
        move(left, status, TRANSITIONS, joined_at=at)
    except StaleState:
        return False
    return True


def _move(membership: Membership, to: str) -> None:
    move(Membership.objects.filter(pk=membership.pk), to, TRANSITIONS)
    membership.status = to


def _note(membership: Membership, kind: str, actor: User, at: datetime, **facts: object) -> None:
    MembershipEvent.objects.create(
        membership=membership, kind=kind, actor=actor, at=at, facts=facts
    )
