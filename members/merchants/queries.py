from collections.abc import Iterable

from django.db.models import QuerySet

from config.kit.errors import NotFound
from config.kit.viewer import Viewer
from members.accounts.rules import Role
from members.merchants.models import Merchant
from members.merchants.rules import Status, is_member_no, tidy_member_no


def for_staff(viewer: Viewer, role: str = Role.STAFF) -> QuerySet[Merchant]:
    """The merchants a person may act for in a role; all of them for the platform."""
    tenants = viewer.tenants(role)
    if tenants is None:
        return Merchant.objects.all()
    return Merchant.objects.filter(number__in=tenants)


def of_staff(viewer: Viewer, number: str, role: str = Role.STAFF) -> Merchant:
    """One of them; NotFound for any other."""
    merchant = for_staff(viewer, role).filter(number=number).first()
    if merchant is None:
        raise NotFound
    return merchant


def name_of(number: str) -> str:
    """Empty when there is no such merchant."""
    return Merchant.objects.filter(number=number).values_list("name", flat=True).first() or ""


def trading(number: str) -> Merchant:
    """What everybody may see; NotFound for unknown and suspended ones."""
    merchant = Merchant.objects.filter(number=number, status=Status.ACTIVE).first()
    if merchant is None:
        raise NotFound
    return merchant


def by_member_no(typed: str) -> Merchant | None:
    """The trading merchant whose present member number this is."""
    number = tidy_member_no(typed)
    if not is_member_no(number):
        return None
    return Merchant.objects.filter(member_no=number, status=Status.ACTIVE).first()


def by_id(ids: Iterable[int]) -> dict[int, Merchant]:
    """Merchants by key, for those who hold keys of many; one query."""
    return Merchant.objects.in_bulk(set(ids))
