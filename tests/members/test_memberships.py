from datetime import timedelta
from uuid import uuid4

import pytest

from members.memberships import queries, services
from members.memberships.models import Level, Membership, MembershipEvent
from members.memberships.rules import JOINS_PER_MINUTE, Standing
from members.memberships.services import OtherMerchantsLevel
from members.merchants import services as merchants
from tests.members.people import NOON, client_of, make_member, make_merchant, make_user

pytestmark = pytest.mark.django_db

URL = "/api/v1/memberships"


def join(client, member_no, **extra):
    return client.post(URL, {"member_no": member_no}, format="json", **extra)


def kinds():
    return list(MembershipEvent.objects.order_by("pk").values_list("kind", flat=True))


def test_a_member_number_makes_a_member():
    merchant, user = make_merchant("茶庄"), make_user()

    answer = join(client_of(user), merchant.member_no)

    membership = Membership.objects.get()
    assert answer.status_code == 201
    assert answer.json() == {
        "merchant": {"id": merchant.number, "name": "茶庄"},
        "status": "ACTIVE",
        "card_no": membership.card_no,
        "level": None,
        "joined_at": answer.json()["joined_at"],
        "actions": {"leave": True},
    }
    assert queries.standing(user) == {merchant.pk: Standing(None)}
    assert kinds() == ["JOINED"]


def test_joining_again_gives_the_same_and_changes_nothing():
    merchant, client = make_merchant(), client_of(make_user())

    first, again = join(client, merchant.member_no), join(client, merchant.member_no)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert kinds() == ["JOINED"]


def test_a_number_may_be_typed_as_people_type():
    merchant = make_merchant()
    typed = f" {merchant.member_no[:4].lower()}-{merchant.member_no[4:]} "

    assert join(client_of(make_user()), typed).status_code == 201


def test_wrong_closed_and_suspended_numbers_get_one_answer_and_admit_nobody():
    rotated, suspended = make_merchant(), make_merchant()
    closed = rotated.member_no
    merchants.rotate_member_no(merchant=rotated, at=NOON)
    merchants.suspend(merchant=suspended)
    client = client_of(make_user())

    answers = [join(client, no) for no in (closed, suspended.member_no, "22222222", "' OR 1=1")]

    assert {answer.status_code for answer in answers} == {404}
    bodies = [answer.json() for answer in answers]
    assert {(body["code"], body["detail"]) for body in bodies} == {
        ("MEMBER_NUMBER_UNKNOWN", services.MemberNumberUnknown.message)
    }
    assert not Membership.objects.exists()


def test_members_stay_when_the_number_rotates():
    merchant = make_merchant()
    user = make_member(merchant)

    merchants.rotate_member_no(merchant=merchant, at=NOON)

    assert merchant.pk in queries.standing(user)


def test_numbers_cannot_be_guessed_quickly():
    merchant, user = make_merchant(), make_user()
    client = client_of(user)
    for _ in range(JOINS_PER_MINUTE):
        assert join(client, "22222222").status_code == 404

    answer = join(client, merchant.member_no)

    assert (answer.status_code, answer.json()["code"]) == (429, "TOO_MANY_REQUESTS")
    assert 1 <= int(answer["Retry-After"]) <= 60
    assert not Membership.objects.exists()
    assert join(client_of(make_user()), merchant.member_no).status_code == 201


def test_where_the_merchant_approves_a_newcomer_waits():
    merchant, user = make_merchant(join_policy="APPROVAL"), make_user()

    answer = join(client_of(user), merchant.member_no)

    assert (answer.status_code, answer.json()["status"]) == (201, "PENDING")
    assert queries.standing(user) == {}
    services.approve(membership=Membership.objects.get(), actor=user, at=NOON)
    assert merchant.pk in queries.standing(user)


def test_a_blocked_member_is_a_guest_from_the_next_request_on():
    merchant = make_merchant()
    user = make_member(merchant)
    membership = Membership.objects.get()

    services.block(membership=membership, actor=user, at=NOON, reason="刷单")

    assert queries.standing(user) == {}
    again = join(client_of(user), merchant.member_no)
    assert (again.status_code, again.json()["status"]) == (200, "BLOCKED")
    services.unblock(membership=membership, actor=user, at=NOON)
    assert merchant.pk in queries.standing(user)
    assert kinds() == ["JOINED", "BLOCKED", "UNBLOCKED"]


def test_leaving_ends_it_and_joining_anew_keeps_the_card():
    merchant = make_merchant()
    user = make_member(merchant)
    client, card = client_of(user), Membership.objects.get().card_no

    left = client.post(f"{URL}/{merchant.number}/leave")

    assert (left.status_code, left.json()["status"]) == (200, "LEFT")
    assert left.json()["actions"] == {"leave": False}
    assert queries.standing(user) == {}
    assert client.post(f"{URL}/{merchant.number}/leave").status_code == 409
    back = join(client, merchant.member_no)
    assert (back.status_code, back.json()["status"], back.json()["card_no"]) == (
        201,
        "ACTIVE",
        card,
    )


def test_one_cannot_leave_where_one_never_was():
    merchant = make_merchant()
    make_member(merchant)

    assert client_of(make_user()).post(f"{URL}/{merchant.number}/leave").status_code == 404
    assert Membership.objects.get().status == "ACTIVE"


def test_membership_at_one_merchant_says_nothing_about_another():
    tea, wine = make_merchant(), make_merchant()
    one, two = make_member(tea, rank=2), make_member(wine)
    level = Level.objects.get()

    assert queries.standing(one) == {tea.pk: Standing(level.pk)}
    assert queries.standings_of_many([one.pk, two.pk]) == {
        one.pk: {tea.pk: Standing(level.pk)},
        two.pk: {wine.pk: Standing(None)},
    }


def test_another_merchants_level_cannot_be_given():
    make_member(make_merchant(), rank=1)
    user = make_member(make_merchant())
    membership = Membership.objects.get(user=user)

    with pytest.raises(OtherMerchantsLevel):
        services.set_level(membership=membership, level=Level.objects.get(), actor=user, at=NOON)

    membership.refresh_from_db()
    assert membership.level is None


def test_standing_is_one_query_and_none_for_a_guest(django_assert_num_queries):
    user = make_member()

    with django_assert_num_queries(1):
        queries.standing(user)
    with django_assert_num_queries(0):
        assert queries.standing(None) == {}


def test_my_cards_are_mine_and_cost_two_queries(django_assert_num_queries):
    user = make_user()
    for rank in (1, 2, 3):
        make_member(make_merchant(), user=user, rank=rank)
    make_member()
    client = client_of(user)

    with django_assert_num_queries(2):
        cards = client.get(URL).json()["results"]

    assert [card["level"]["rank"] for card in cards] == [3, 2, 1]


def test_the_same_key_joins_once_and_another_body_is_refused():
    merchant, client = make_merchant(), client_of(make_user())
    key = {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}

    first, again = (join(client, merchant.member_no, **key) for _ in range(2))
    other = join(client, make_merchant().member_no, **key)

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert (other.status_code, other.json()["code"]) == (422, "IDEMPOTENCY_KEY_REUSED")
    assert Membership.objects.count() == 1


def test_a_guest_cannot_join():
    assert join(client_of(), make_merchant().member_no).status_code == 401


def test_the_merchants_card_tells_what_i_am_to_it():
    merchant = make_merchant("茶庄")
    url = f"/api/v1/merchants/{merchant.number}"

    assert client_of().get(url).json() == {
        "id": merchant.number,
        "name": "茶庄",
        "membership": None,
    }
    assert client_of(make_member(merchant)).get(url).json()["membership"]["status"] == "ACTIVE"
    merchants.suspend(merchant=merchant)
    assert client_of().get(url).status_code == 404


def post(merchant, title, **changes):
    fields = {"body": "正文", "at": NOON}
    return services.publish(merchant=merchant, title=title, **(fields | changes))


def titles(client, merchant):
    answer = client.get(f"/api/v1/merchants/{merchant.number}/posts")
    assert answer.status_code == 200
    return [one["title"] for one in answer.json()["results"]]


def test_posts_for_members_are_read_by_active_members_only():
    merchant, other = make_merchant(), make_merchant()
    post(merchant, "公开")
    post(merchant, "会员", audience="MEMBERS", at=NOON + timedelta(hours=1))
    blocked, left = make_member(merchant), make_member(merchant)
    services.block(membership=Membership.objects.get(user=blocked), actor=blocked, at=NOON)
    services.leave(user=left, merchant_number=merchant.number, at=NOON)

    assert titles(client_of(make_member(merchant)), merchant) == ["会员", "公开"]
    for stranger in (None, make_user(), blocked, left, make_member(other)):
        assert titles(client_of(stranger), merchant) == ["公开"]


def test_pinned_posts_come_first_and_future_ones_wait():
    merchant = make_merchant()
    post(merchant, "旧", at=NOON - timedelta(days=2))
    post(merchant, "置顶", at=NOON - timedelta(days=9), is_pinned=True)
    post(merchant, "新", at=NOON - timedelta(days=1))
    post(merchant, "明年", at=NOON + timedelta(days=3650))

    assert titles(client_of(), merchant) == ["置顶", "新", "旧"]


def test_the_feed_pages_through_without_gap_or_repeat(django_assert_num_queries):
    merchant = make_merchant()
    for i in range(5):
        post(merchant, f"{i}", at=NOON + timedelta(minutes=i), is_pinned=i in (0, 1))

    seen, query = [], {"limit": 2}
    while True:
        with django_assert_num_queries(2):
            answer = client_of().get(f"/api/v1/merchants/{merchant.number}/posts", query).json()
        seen += [one["title"] for one in answer["results"]]
        if not answer["next"]:
            break
        query = {"limit": 2, "cursor": answer["next"]}

    assert seen == ["1", "0", "4", "3", "2"]
