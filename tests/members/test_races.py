"""What happens at the same moment; each race beside a control that shows it without the guard."""

import time
from datetime import timedelta

import pytest
from django.db import connection
from django.utils.timezone import now

from members.accounts import services as accounts
from members.accounts.models import Address, User, WeChatIdentity
from members.accounts.rules import MOST_ADDRESSES
from members.guides import services as guides
from members.guides.models import BondEvent, Commission, CustomerBond
from members.guides.rules import Due
from members.memberships import services as memberships
from members.memberships.models import Membership, MembershipEvent
from payments.ledger import services as ledger
from payments.ledger.queries import balance
from payments.ledger.rules import Draft
from tests.concurrency.together import at_once
from tests.members.people import (
    NOON,
    make_address,
    make_guide,
    make_member,
    make_merchant,
    make_user,
)

pytestmark = pytest.mark.django_db(transaction=True)

PAUSE = 0.05  # between the careless look and the careless step


def failures(endings):
    return [ending for ending in endings if isinstance(ending, Exception)]


# --- the first visit ------------------------------------------------------------------------------


def test_eight_first_visits_of_one_phone_are_one_person():
    endings = at_once(
        8, lambda i: accounts.log_in(appid="wx", openid="o", unionid="u", at=now()).user.pk
    )

    assert failures(endings) == []
    assert len(set(endings)) == 1
    assert (User.objects.count(), WeChatIdentity.objects.count()) == (1, 1)


def test_eight_first_visits_from_eight_mini_programs_are_one_person():
    endings = at_once(
        8, lambda i: accounts.log_in(appid=f"wx{i}", openid="o", unionid="u", at=now()).user.pk
    )

    assert failures(endings) == []
    assert (User.objects.count(), WeChatIdentity.objects.count()) == (1, 8)


def test_control_looking_before_making_makes_several_people():
    """Without the constraints: two rows look as absent as one."""

    def careless(i):
        if not User.objects.filter(nickname="o").exists():
            time.sleep(PAUSE)
            make_user("o")

    at_once(8, careless)

    assert User.objects.count() > 1


# --- joining --------------------------------------------------------------------------------------


def test_eight_taps_on_join_are_one_member():
    merchant, user = make_merchant(), make_user()

    endings = at_once(
        8, lambda i: memberships.join(user=user, member_no=merchant.member_no, at=NOON)[1]
    )

    assert sorted(endings) == [False] * 7 + [True]
    assert Membership.objects.count() == 1
    assert MembershipEvent.objects.count() == 1


def test_eight_taps_on_joining_anew_are_one_return():
    merchant = make_merchant()
    user = make_member(merchant)
    memberships.leave(user=user, merchant_number=merchant.number, at=NOON)

    endings = at_once(
        8, lambda i: memberships.join(user=user, member_no=merchant.member_no, at=NOON)[1]
    )

    assert sorted(endings) == [False] * 7 + [True]
    assert MembershipEvent.objects.filter(kind="JOINED").count() == 2


def test_control_looking_before_joining_anew_notes_it_more_than_once():
    user = make_member()
    membership = Membership.objects.get()
    Membership.objects.update(status="LEFT")

    def careless(i):
        if Membership.objects.get().status == "LEFT":
            time.sleep(PAUSE)
            Membership.objects.update(status="ACTIVE")
            MembershipEvent.objects.create(
                membership=membership, kind="JOINED", actor=user, at=NOON
            )

    at_once(8, careless)

    assert MembershipEvent.objects.filter(kind="JOINED").count() > 2


# --- changing guides ------------------------------------------------------------------------------


def codes(merchant, n=8):
    """Of n guides of one merchant."""
    return [
        guides.share(
            user=make_guide(merchant).user,
            merchant=merchant.number,
            kind="PRODUCT",
            target="T",
            at=NOON,
        ).code
        for _ in range(n)
    ]


def test_eight_guides_at_once_get_a_new_customer_once():
    merchant, customer = make_merchant(), make_user()
    offered = codes(merchant)

    endings = at_once(8, lambda i: guides.follow(customer=customer, code=offered[i], at=NOON))

    assert failures(endings) == []
    assert CustomerBond.objects.get().guide_id == BondEvent.objects.get().guide_id


def test_eight_guides_at_once_get_a_free_customer_once():
    merchant, customer = make_merchant(), make_user()
    offered = codes(merchant)
    guides.follow(customer=customer, code=codes(merchant, 1)[0], at=NOON)
    free = NOON + timedelta(days=merchant.bond_days)

    endings = at_once(8, lambda i: guides.follow(customer=customer, code=offered[i], at=free))

    assert failures(endings) == []
    assert BondEvent.objects.count() == 2
    assert CustomerBond.objects.get().guide_id == BondEvent.objects.latest("pk").guide_id


def test_control_deciding_without_the_rows_lock_hands_the_customer_around():
    merchant, customer = make_merchant(), make_user()
    offered = [guides.queries.by_code(code) for code in codes(merchant)]
    guides.follow(customer=customer, code=codes(merchant, 1)[0], at=NOON)
    free = NOON + timedelta(days=merchant.bond_days)

    def careless(i):
        if CustomerBond.objects.get().bonded_at < free:
            time.sleep(PAUSE)
            CustomerBond.objects.update(guide=offered[i].guide, bonded_at=free)
            BondEvent.objects.create(
                customer=customer, guide=offered[i].guide, share_code=offered[i], at=free
            )

    at_once(8, careless)

    assert BondEvent.objects.count() > 2


# --- addresses ------------------------------------------------------------------------------------


def test_of_eight_new_default_addresses_one_is_the_default():
    user = make_user()

    endings = at_once(8, lambda i: make_address(user, is_default=True))

    assert failures(endings) == []
    assert Address.objects.filter(is_default=True).count() == 1
    assert Address.objects.count() == 8


def test_the_limit_of_addresses_holds_for_eight_at_once():
    user = make_user()
    one = make_address(user)
    fields = {name: getattr(one, name) for name in ("name", "phone", "province", "city", "detail")}
    Address.objects.bulk_create(Address(user=user, **fields) for _ in range(MOST_ADDRESSES - 2))

    endings = at_once(8, lambda i: make_address(user))

    assert len(failures(endings)) == 7
    assert Address.objects.count() == MOST_ADDRESSES


def test_control_counting_without_holding_the_person_goes_over_the_limit():
    user = make_user()

    def careless(i):
        if Address.objects.count() < 1:
            time.sleep(PAUSE)
            make_address(user)

    at_once(8, careless)

    assert Address.objects.count() > 1


# --- commissions ----------------------------------------------------------------------------------


def test_a_commission_finished_by_four_workers_is_earned_once():
    guide = make_guide()
    money = {f"merchant:{guide.merchant.number}:available": 1000_00}
    ledger.post([Draft("TEST", "fund", {"bank:1": 1000_00}, money)], at=NOON)
    numbers = [f"D{i}" for i in range(20)]
    rate = guide.merchant.commission_rate
    dues = [Due(guide.pk, number, 1, 100_00, rate) for number in numbers]
    guides.expect(dues=dues, at=NOON)
    lines = [(number, 1) for number in numbers]

    endings = at_once(4, lambda i: guides.earn(lines=lines if i % 2 else lines[::-1], at=NOON))

    assert failures(endings) == []
    assert balance(f"guide:{guide.user.number}:commission") == sum(due.amount_fen for due in dues)
    assert set(Commission.objects.values_list("status", flat=True)) == {"EARNED"}


def test_control_reading_what_is_pending_without_taking_it_pays_more_than_once():
    guide = make_guide()
    guides.expect(dues=[Due(guide.pk, "D1", 1, 100_00, guide.merchant.commission_rate)], at=NOON)
    paid = []

    def careless(i):
        if Commission.objects.get().status == "PENDING":
            time.sleep(PAUSE)
            Commission.objects.update(status="EARNED", settled_at=NOON)
            paid.append(connection.alias)

    at_once(4, careless)

    assert len(paid) > 1
