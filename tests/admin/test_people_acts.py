"""What staff do with members, guides, merchants and users; and how they come in."""

from decimal import Decimal

import pytest
from axes.models import AccessAttempt
from django.utils.timezone import now
from knox.models import AuthToken

from members.accounts import services as accounts
from members.accounts.models import User
from members.guides.models import Guide
from members.memberships.models import Post
from members.merchants.models import MemberNumber, Merchant, Staff
from tests.admin.pages import act, fingerprint, fresh, nothing, opened, url
from tests.admin.stage import PASSWORD
from tests.factories import make_user

pytestmark = pytest.mark.django_db


# --- people -------------------------------------------------------------------------------------


def test_members_are_approved_levelled_and_blocked(first):
    membership = first.rows["members.Membership"]
    act(first, "OPERATOR", "members.Membership", "approve")
    assert fresh(membership).status == "ACTIVE"
    act(first, "OPERATOR", "members.Membership", "change_level", {"level": ""})
    assert fresh(membership).level is None
    act(first, "OPERATOR", "members.Membership", "block", {"reason": "恶意退货"})
    assert fresh(membership).status == "BLOCKED"
    again = act(first, "OPERATOR", "members.Membership", "approve")
    assert "状态已变化" in again.content.decode()
    assert fresh(membership).status == "BLOCKED"
    assert fresh(membership).events.latest("pk").facts == {"reason": "恶意退货"}


def test_a_level_of_another_merchant_cannot_be_chosen(first, second):
    before = fingerprint()
    level = {"level": second.pk("members.Level")}
    act(first, "OPERATOR", "members.Membership", "change_level", level)

    assert fingerprint() == before


def test_a_post_is_published_and_corrected(first):
    client = opened(first.people["OPERATOR"])
    typed = {
        "merchant": first.merchant.pk, "title": "周五上新", "body": "来看看",
        "audience": "MEMBERS", "published_at_0": "2026-06-18", "published_at_1": "12:00:00",
    }  # fmt: skip
    client.post(url("members.Post", "add"), typed)
    post = Post.objects.get(title="周五上新")
    client.post(url("members.Post", "change", post.pk), {**typed, "title": "周六上新"})

    assert fresh(post).title == "周六上新"
    assert fresh(post).published_at.isoformat() == "2026-06-18T04:00:00+00:00"


def test_the_owner_changes_terms_and_the_member_number(first):
    merchant = first.merchant
    client = opened(first.people["OWNER"])
    terms = {
        "join_policy": "OPEN", "commission_rate": "7.5", "bond_days": "60",
        "auto_receive_days": "10", "after_sale_days": "7", "pay_within_minutes": "30",
        "transfer_working_days": "3", "name": "改不了", **nothing("staff", "member_numbers"),
    }  # fmt: skip
    answer = client.post(url("members.Merchant", "change", merchant.pk), terms)
    act(first, "OWNER", "members.Merchant", "rotate", row=merchant)

    assert answer.status_code == 302
    kept = Merchant.objects.get(pk=merchant.pk)
    assert (kept.name, kept.join_policy) == (merchant.name, "OPEN")
    assert (kept.commission_rate, kept.bond_days) == (Decimal("7.50"), 60)
    assert kept.member_no != merchant.member_no
    assert MemberNumber.objects.filter(merchant=merchant, closed_at=None).count() == 1


def test_the_platform_appoints_and_dismisses_staff(platform, first):
    person = make_user("新店员", phone="13712345678")
    client = opened(platform)
    post = {"person": "13712345678", "role": "OPERATOR"}
    client.post(url("members.Merchant", "appoint", first.merchant.pk), post)
    assert Staff.objects.filter(user=person, role="OPERATOR").exists()
    assert fresh(person).is_staff

    client.post(url("members.Merchant", "dismiss", first.merchant.pk), post)
    assert not fresh(person).is_staff
    page = client.post(
        url("members.Merchant", "appoint", first.merchant.pk), {**post, "person": "没有这人"}
    )
    assert "没有这个用户" in page.content.decode()


def test_guides_are_enrolled_and_leave(first):
    person = make_user("新导购")
    client = opened(first.people["OPERATOR"])
    asked = {"merchant": first.merchant.pk, "people": f"{person.number}\n"}
    client.post(url("members.Guide", "enrol"), asked)
    guide = Guide.objects.get(user=person)
    act(first, "OPERATOR", "members.Guide", "close", row=guide)

    assert fresh(guide).status == "CLOSED"
    asked["people"] = "UNOBODY"
    page = client.post(url("members.Guide", "enrol"), asked)
    assert "没有这些用户" in page.content.decode()


def test_guides_are_not_enrolled_for_another_merchant(first, second):
    before = fingerprint()
    asked = {"merchant": second.merchant.pk, "people": first.people["BUYER"].number}
    opened(first.people["OPERATOR"]).post(url("members.Guide", "enrol"), asked)

    assert fingerprint() == before


def test_a_blocked_user_is_out_at_once_and_nobody_blocks_himself(platform):
    person = make_user("闹事的")
    accounts.grant(user=person, at=now())
    client = opened(platform)
    client.post(url("members.User", "block", person.pk))
    page = client.post(url("members.User", "block", platform.pk))

    assert not fresh(person).is_active
    assert not AuthToken.objects.filter(user=person).exists()
    assert "不能停用自己的账号" in page.content.decode()
    assert fresh(platform).is_active


def test_a_password_that_the_platform_sets_ends_what_the_old_one_opened(platform):
    person = make_user("忘了密码", password="old-password-1")
    accounts.grant(user=person, at=now())
    given = {"password1": "brand-new-pass-9", "password2": "brand-new-pass-9",
             "usable_password": "true"}  # fmt: skip
    answer = opened(platform).post(url("members.User", "password", person.pk), given)

    assert answer.status_code == 302, answer.content.decode()
    assert User.objects.get(pk=person.pk).check_password("brand-new-pass-9")
    assert not AuthToken.objects.filter(user=person).exists()


def test_the_platform_adds_a_user_who_is_nothing_yet(platform):
    typed = {"username": "xiaoli", "nickname": "小李", "password1": PASSWORD,
             "password2": PASSWORD}  # fmt: skip
    answer = opened(platform).post(url("members.User", "add"), typed)

    assert answer.status_code == 302, answer.content.decode()
    person = User.objects.get(username="xiaoli")
    assert person.check_password(PASSWORD)
    assert not person.is_staff
    assert not person.is_superuser


# --- logging in ---------------------------------------------------------------------------------


def test_staff_log_in_with_a_password_and_are_locked_out_after_five_wrong_ones(first, client):
    name = first.people["FINANCE"].username
    right = {"username": name, "password": PASSWORD, "next": "/admin/"}
    page = client.post("/admin/login/", right, follow=True)
    assert "待处理流水" in page.content.decode()
    client.logout()

    for _ in range(5):
        last = client.post("/admin/login/", {**right, "password": "wrong"})
    assert last.status_code == 429
    assert "登录已暂时锁定" in last.content.decode()
    assert client.post("/admin/login/", right).status_code == 429


def test_the_platform_lifts_a_lock(first, platform, client):
    name = first.people["FINANCE"].username
    for _ in range(5):
        client.post("/admin/login/", {"username": name, "password": "wrong"})
    boss = opened(platform)
    row = boss.get("/admin/axes/accessattempt/")
    assert name in row.content.decode()

    chosen = {"action": "unlock", "_selected_action": [AccessAttempt.objects.get(username=name).pk]}
    boss.post("/admin/axes/accessattempt/", chosen)
    right = {"username": name, "password": PASSWORD, "next": "/admin/"}
    assert client.post("/admin/login/", right).status_code == 302


def test_a_script_in_a_nickname_is_shown_as_text(first):
    buyer = first.people["BUYER"]
    User.objects.filter(pk=buyer.pk).update(nickname="<img src=x onerror=1>")
    client = opened(first.people["OWNER"])

    for label in ("shop.Order", "payments.Payment", "members.CustomerBond"):
        text = client.get(url(label, "changelist")).content.decode()
        assert "<img src=x" not in text
        assert "&lt;img src=x" in text


def test_the_first_page_counts_what_is_ones_own(first, second):
    text = opened(first.people["OWNER"]).get("/admin/").content.decode()

    assert "今日已付金额" in text
    assert "待处理流水" in text
    operator = opened(first.people["OPERATOR"]).get("/admin/").content.decode()
    assert "待审退款" not in operator
