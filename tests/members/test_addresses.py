from uuid import uuid4

import pytest

from members.accounts.models import Address
from members.accounts.rules import MOST_ADDRESSES
from tests.members.people import client_of, make_address, make_user

pytestmark = pytest.mark.django_db

URL = "/api/v1/me/addresses"
HOME = {
    "name": "王小美",
    "phone": "13800138000",
    "province": "浙江省",
    "city": "杭州市",
    "district": "西湖区",
    "detail": "龙井路1号",
}


def test_an_address_is_added_read_changed_and_deleted():
    client = client_of(make_user())

    added = client.post(URL, HOME, format="json")
    one = f"{URL}/{added.json()['id']}"

    assert added.status_code == 201
    assert added.json() == HOME | {"id": added.json()["id"], "is_default": True}
    assert client.get(one).json() == added.json()
    moved = client.put(one, HOME | {"city": "宁波市", "is_default": True}, format="json")
    assert (moved.status_code, moved.json()["city"]) == (200, "宁波市")
    assert client.delete(one).status_code == 204
    assert client.get(one).status_code == 404
    assert client.get(URL).json() == {"results": [], "next": None}


def test_the_first_is_the_default_and_a_new_default_replaces_it():
    client = client_of(make_user())

    first = client.post(URL, HOME, format="json").json()
    second = client.post(URL, HOME, format="json").json()
    third = client.post(URL, HOME | {"is_default": True}, format="json").json()

    assert [one["is_default"] for one in (first, second, third)] == [True, False, True]
    assert [one["is_default"] for one in client.get(URL).json()["results"]] == [True, False, False]


def test_another_persons_address_is_not_there_on_any_route():
    theirs = make_address(make_user())
    client = client_of(make_user())
    one = f"{URL}/{theirs.number}"

    answers = [client.get(one), client.put(one, HOME, format="json"), client.delete(one)]

    assert [answer.status_code for answer in answers] == [404, 404, 404]
    assert [answer.json()["code"] for answer in answers] == ["NOT_FOUND"] * 3
    assert Address.objects.get() == theirs
    assert client.get(URL).json()["results"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"phone": "12345"},
        {"phone": "23800138000"},
        {"phone": "１３８００１３８０００"},
        {"phone": 13800138000},
        {"name": ""},
        {"name": "x" * 33},
        {"detail": "a\x07b"},
        {"city": None},
        {"id": "A1"},
        {"is_default": "maybe"},
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_stored(change):
    answer = client_of(make_user()).post(URL, HOME | change, format="json")

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == next(iter(change))
    assert not Address.objects.exists()


def test_there_is_a_limit_per_person():
    user = make_user()
    Address.objects.bulk_create(Address(user=user, **HOME) for _ in range(MOST_ADDRESSES))

    answer = client_of(user).post(URL, HOME, format="json")

    assert (answer.status_code, answer.json()["code"]) == (409, "TOO_MANY_ADDRESSES")
    assert Address.objects.count() == MOST_ADDRESSES


def test_the_same_key_adds_one_address():
    client, key = client_of(make_user()), {"HTTP_IDEMPOTENCY_KEY": str(uuid4())}

    first = client.post(URL, HOME, format="json", **key)
    again = client.post(URL, HOME, format="json", **key)

    assert first.json() == again.json()
    assert again["Idempotent-Replay"] == "true"
    assert Address.objects.count() == 1


def test_the_list_costs_the_same_however_long_it_is(django_assert_num_queries):
    user = make_user()
    client = client_of(user)
    for _ in range(3):
        make_address(user)

    with django_assert_num_queries(2):
        assert len(client.get(URL).json()["results"]) == 3


def test_pages_follow_each_other_without_gap_or_repeat():
    user = make_user()
    client = client_of(user)
    expected = [make_address(user).number for _ in range(5)][::-1]

    seen, query = [], {"limit": 2}
    while True:
        answer = client.get(URL, query).json()
        seen += [one["id"] for one in answer["results"]]
        if not answer["next"]:
            break
        query = {"limit": 2, "cursor": answer["next"]}

    assert seen == expected


def test_a_guest_has_no_addresses():
    assert client_of().get(URL).status_code == 401
