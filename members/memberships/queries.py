from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db.models import Case, F, Q, QuerySet, When

from config.kit.errors import NotFound
from config.kit.viewer import Viewer
from members.accounts.models import User
from members.accounts.rules import Role
from members.memberships.models import Membership, Post
from members.memberships.rules import Audience, Standing, Standings, Status
from members.merchants import queries as merchants
from members.merchants.models import Merchant

# Pinned posts sort as if they came from the far future, so that one column orders the feed.
AHEAD = timedelta(days=36500)


def standing(user: User | None) -> Standings:
    """By merchant key, where this person is an active member now; one query, none for a guest."""
    return standings_of_many([user.pk]).get(user.pk, {}) if user else {}


def standings_of_many(user_ids: Iterable[int]) -> dict[int, dict[int, Standing]]:
    """`standing` of many people at once, by user key; who is nobody's member is left out."""
    active = Membership.objects.filter(user__in=set(user_ids), status=Status.ACTIVE)
    found: dict[int, dict[int, Standing]] = {}
    for user, merchant, level in active.values_list("user", "merchant", "level"):
        found.setdefault(user, {})[merchant] = Standing(level)
    return found


def is_member(user: User | None, merchant: Merchant) -> bool:
    return merchant.pk in standing(user)


def of_person(user: User) -> QuerySet[Membership]:
    """My cards, with what a list of them shows."""
    return Membership.objects.filter(user=user).select_related("merchant", "level")


def card(user: User, merchant_number: str) -> Membership:
    """NotFound where this person never joined."""
    membership = of_person(user).filter(merchant__number=merchant_number).first()
    if membership is None:
        raise NotFound
    return membership


def of_staff(viewer: Viewer) -> QuerySet[Membership]:
    """The members of the merchants for which a person works."""
    rows = Membership.objects.filter(merchant__in=merchants.for_staff(viewer, Role.STAFF))
    return rows.select_related("merchant", "level", "user")


def feed(merchant: Merchant, user: User | None, at: datetime) -> QuerySet[Post]:
    """What this person may read of a merchant's posts; order by -ranked_at, -pk: pinned first."""
    posts = Post.objects.filter(merchant=merchant, published_at__lte=at)
    if not (is_member(user, merchant) or _works_there(user, merchant)):
        posts = posts.filter(~Q(audience=Audience.MEMBERS))
    return posts.annotate(
        ranked_at=Case(
            When(is_pinned=True, then=F("published_at") + AHEAD), default=F("published_at")
        )
    )


def _works_there(user: User | None, merchant: Merchant) -> bool:
    if user is None:
        return False
    tenants = user.tenants(Role.STAFF)
    return tenants is None or merchant.number in tenants
