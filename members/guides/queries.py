from collections.abc import Collection
from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum

from config.kit.errors import NotFound
from members.accounts.models import User
from members.guides.models import Commission, CustomerBond, Guide, ShareCode
from members.guides.rules import GuideStatus, Status, code_in


def guides_for(pairs: Collection[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """Who earns from these customers' orders now: guide keys by customer and merchant; one query.

    Nobody earns from their own purchase, nor after leaving.
    """
    bonds = CustomerBond.objects.filter(
        customer__in={customer for customer, _ in pairs},
        merchant__in={merchant for _, merchant in pairs},
        guide__status=GuideStatus.ACTIVE,
    ).exclude(guide__user=F("customer"))
    rows = bonds.values_list("customer", "merchant", "guide")
    return {(customer, merchant): guide for customer, merchant, guide in rows}


def active_guide(user: User, merchant_number: str) -> Guide | None:
    return Guide.objects.filter(
        user=user, merchant__number=merchant_number, status=GuideStatus.ACTIVE
    ).first()


def by_code(told: str) -> ShareCode | None:
    """With its guide, the guide's person and merchant; None for anything unknown."""
    code = code_in(told)
    if code is None:
        return None
    shares = ShareCode.objects.select_related("guide__user", "guide__merchant").defer("qr")
    return shares.filter(code=code).first()


def share_code_of(user: User, code: str) -> ShareCode:
    """NotFound for another guide's; with the picture."""
    share = ShareCode.objects.filter(guide__user=user, code=code).first()
    if share is None:
        raise NotFound
    return share


def commissions_of(user: User) -> QuerySet[Commission]:
    """Also from where this person no longer guides: commissions stay."""
    return Commission.objects.filter(guide__user=user).select_related("guide__merchant")


def customers_of(user: User) -> QuerySet[CustomerBond]:
    bonds = CustomerBond.objects.filter(guide__user=user, guide__status=GuideStatus.ACTIVE)
    return bonds.select_related("customer", "merchant")


def summary_of(user: User) -> dict[str, Any]:
    """Sums of fen by status, and how many customers; two queries."""
    sums = Commission.objects.filter(guide__user=user).aggregate(
        **{
            f"{status.lower()}_fen": Sum("amount_fen", filter=Q(status=status), default=0)
            for status in Status.values
        },
        orders=Count("order_number", distinct=True),
    )
    # PostgreSQL sums bigint to numeric.
    counted = {name: int(value) for name, value in sums.items()}
    return counted | {"customers": customers_of(user).count()}
