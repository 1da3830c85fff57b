from dataclasses import asdict
from datetime import datetime

from django.db import transaction

from config.kit.errors import StaleState
from config.kit.states import move
from members.accounts.models import User
from members.merchants.models import MemberNumber, Merchant, Staff
from members.merchants.rules import TRANSITIONS, Status, Terms, fresh_member_no


@transaction.atomic
def open_merchant(*, name: str, terms: Terms | None = None, at: datetime) -> Merchant:
    """A new merchant with its first member number."""
    merchant = Merchant.objects.create(name=name, created_at=at, **asdict(terms or Terms()))
    MemberNumber.objects.create(merchant=merchant, number=merchant.member_no, opened_at=at)
    return merchant


@transaction.atomic
def change_terms(*, merchant: Merchant, terms: Terms) -> None:
    """For what happens from now on; orders keep what they were placed under."""
    Merchant.objects.filter(pk=merchant.pk).update(**asdict(terms))


@transaction.atomic
def rotate_member_no(*, merchant: Merchant, at: datetime) -> str:
    """A new member number; the old one admits nobody any more, members stay (S000.9).

    Raises StaleState when somebody rotated it first.
    """
    number = fresh_member_no()
    held = Merchant.objects.filter(pk=merchant.pk, member_no=merchant.member_no)
    if held.update(member_no=number) != 1:
        raise StaleState
    MemberNumber.objects.filter(merchant=merchant, closed_at=None).update(closed_at=at)
    MemberNumber.objects.create(merchant=merchant, number=number, opened_at=at)
    merchant.member_no = number
    return number


def suspend(*, merchant: Merchant) -> None:
    """It admits and sells to nobody; its staff finish what is open."""
    move(Merchant.objects.filter(pk=merchant.pk), Status.SUSPENDED, TRANSITIONS)


def resume(*, merchant: Merchant) -> None:
    move(Merchant.objects.filter(pk=merchant.pk), Status.ACTIVE, TRANSITIONS)


@transaction.atomic
def appoint(*, user: User, merchant: Merchant, role: str, at: datetime) -> None:
    """Give a person a post, and the admin's door; a second time changes nothing."""
    Staff.objects.bulk_create(
        [Staff(user=user, merchant=merchant, role=role, since_at=at)], ignore_conflicts=True
    )
    User.objects.filter(pk=user.pk).update(is_staff=True)


@transaction.atomic
def dismiss(*, user: User, merchant: Merchant, role: str) -> None:
    """Take a post; without any post left the admin's door closes."""
    Staff.objects.filter(user=user, merchant=merchant, role=role).delete()
    if not Staff.objects.filter(user=user).exists():
        User.objects.filter(pk=user.pk, is_superuser=False).update(is_staff=False)
