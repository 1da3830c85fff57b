import pytest
from django.db import IntegrityError, transaction

from members.accounts.models import User
from members.guides import services as guides
from members.merchants import queries, services
from members.merchants.models import MemberNumber, Staff
from tests.members.people import (
    NOON,
    client_of,
    make_guide,
    make_merchant,
    make_staff,
    make_user,
)

pytestmark = pytest.mark.django_db

ROLES = ["OWNER", "OPERATOR", "FINANCE", "STAFF", "GUIDE", "PLATFORM"]


def roles_of(user):
    return {role for role in ROLES if user.has_role(role)}


def test_each_post_opens_its_roles():
    assert roles_of(make_staff(role="OPERATOR")) == {"OPERATOR", "STAFF"}
    assert roles_of(make_staff(role="FINANCE")) == {"FINANCE", "STAFF"}
    assert roles_of(make_staff(role="OWNER")) == {"OWNER", "OPERATOR", "FINANCE", "STAFF"}
    assert roles_of(make_guide().user) == {"GUIDE"}
    assert roles_of(make_user()) == set()
    assert roles_of(make_user(is_superuser=True)) == set(ROLES) - {"GUIDE"}


def test_a_post_at_one_merchant_says_nothing_about_another():
    tea, wine = make_merchant("茶庄"), make_merchant("酒庄")
    user = make_staff(tea, "OPERATOR")
    user = make_staff(wine, "FINANCE", user=user)

    assert user.tenants("OPERATOR") == {tea.number}
    assert user.tenants("FINANCE") == {wine.number}
    assert user.tenants("STAFF") == {tea.number, wine.number}
    assert list(queries.for_staff(user, "FINANCE")) == [wine]


def test_the_platform_may_act_for_all():
    platform = make_user(is_superuser=True)
    make_merchant()

    assert platform.tenants("FINANCE") is None
    assert queries.for_staff(platform).count() == 1


def test_an_unknown_role_is_nobodys():
    assert make_staff(role="OWNER").tenants("KING") == frozenset()


def test_roles_are_read_once_per_request(django_assert_num_queries):
    user = make_staff(role="OWNER")

    with django_assert_num_queries(1):
        user.has_role("STAFF")
        user.tenants("FINANCE")


def test_who_is_dismissed_has_no_role_on_the_next_request_and_no_door_to_the_admin():
    merchant = make_merchant()
    user = make_staff(merchant, "OPERATOR")

    services.dismiss(user=user, merchant=merchant, role="OPERATOR")

    user = User.objects.get(pk=user.pk)
    assert roles_of(user) == set()
    assert not user.is_staff


def test_a_second_appointment_changes_nothing():
    merchant = make_merchant()
    user = make_staff(merchant, "OWNER")
    make_staff(merchant, "OWNER", user=user)

    assert Staff.objects.count() == 1


def test_the_database_knows_the_roles():
    with pytest.raises(IntegrityError), transaction.atomic():
        Staff.objects.create(user=make_user(), merchant=make_merchant(), role="KING", since_at=NOON)


def test_me_tells_who_i_am_and_for_whom_i_act(django_assert_num_queries):
    merchant = make_merchant("茶庄")
    user = make_staff(merchant, "OWNER", user=make_guide(merchant).user)
    make_staff(merchant, "FINANCE", user=user)
    client = client_of(user)

    with django_assert_num_queries(3):
        answer = client.get("/api/v1/me")

    here = {"id": merchant.number, "name": "茶庄"}
    assert answer.json() == {
        "id": user.number,
        "nickname": user.nickname,
        "phone": None,
        "is_platform": False,
        "is_guide": True,
        "guide_at": [here],
        "merchants": [here | {"roles": ["FINANCE", "OWNER"]}],
    }


def test_only_the_nickname_can_be_changed():
    user = make_user("小美")
    client = client_of(user)

    renamed = client.put("/api/v1/me", {"nickname": "大美"}, format="json")
    grasping = client.put("/api/v1/me", {"nickname": "x", "is_superuser": True}, format="json")

    assert renamed.json()["nickname"] == "大美"
    assert grasping.status_code == 400
    user.refresh_from_db()
    assert (user.nickname, user.is_superuser) == ("大美", False)


def test_a_guide_who_left_is_no_guide():
    guide = make_guide()

    guides.close(guide=guide, at=NOON)

    assert not User.objects.get(pk=guide.user_id).has_role("GUIDE")


def test_old_member_numbers_are_kept_and_never_open_again():
    merchant = make_merchant()
    first = merchant.member_no

    second = services.rotate_member_no(merchant=merchant, at=NOON)

    history = dict(MemberNumber.objects.values_list("number", "closed_at"))
    assert history == {first: NOON, second: None}
    merchant.refresh_from_db()
    assert merchant.member_no == second
