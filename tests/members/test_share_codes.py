from datetime import timedelta

import pytest
from django.db import transaction

from members.guides import queries, services
from members.guides.models import BondEvent, CustomerBond, ShareCode
from members.merchants import services as merchants
from tests.members.people import NOON, client_of, make_guide, make_merchant, make_user

pytestmark = pytest.mark.django_db


def credited(customer_id, merchant_id):
    """The guide who would earn from an order, as orders ask."""
    pair = (customer_id, merchant_id)
    return queries.guides_for({pair}).get(pair)


URL = "/api/v1/guides/me/share-codes"


def ask(guide, merchant=None, *, kind="MERCHANT", **changes):
    number = (merchant or guide.merchant).number
    body = {"target": {"kind": kind, "id": number} | changes}
    return client_of(guide.user).post(URL, body, format="json")


def share_code(guide, target="T1", kind="PRODUCT"):
    """A code for something above this folder, which was resolved before."""
    return services.share(
        user=guide.user, merchant=guide.merchant.number, kind=kind, target=target, at=NOON
    )


def opened(user, code):
    return client_of(user).get(f"/api/v1/scenes/{code}")


def test_a_guide_gets_one_code_per_target_and_always_the_same():
    guide = make_guide()

    first, again = ask(guide), ask(guide)

    code = first.json()["code"]
    assert (first.status_code, first.json()) == (201, again.json())
    assert first.json() == {
        "code": code,
        "scene": f"g={code}",
        "path": f"pages/merchant/index?id={guide.merchant.number}&g={code}",
        "qr_url": f"http://testserver{URL}/{code}/qr.png",
        "poster_url": f"http://testserver{URL}/{code}/qr.png?kind=plain",
    }
    assert ShareCode.objects.count() == 1


def test_two_guides_have_two_codes_for_the_same_target():
    merchant = make_merchant()

    one, two = ask(make_guide(merchant)), ask(make_guide(merchant))

    assert one.json()["code"] != two.json()["code"]


def test_only_the_merchants_own_guides_get_codes_for_it():
    answer = ask(make_guide(), make_merchant())

    assert (answer.status_code, answer.json()["code"]) == (403, "NOT_THIS_MERCHANTS_GUIDE")
    assert not ShareCode.objects.exists()


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"id": "M000"}, 404),
        ({"kind": "COUPON"}, 404),
        ({"kind": "KING"}, 400),
        ({"kind": None}, 400),
        ({"id": 5}, 400),
        ({"id": ""}, 400),
        ({"rate": 99}, 400),
    ],
)
def test_what_is_not_there_gets_no_code(change, status):
    guide = make_guide()
    target = {"kind": "MERCHANT", "id": guide.merchant.number} | change

    answer = client_of(guide.user).post(URL, {"target": target}, format="json")

    assert answer.status_code == status
    assert not ShareCode.objects.exists()


def test_a_buyer_and_a_guest_get_no_code():
    assert client_of(make_user()).post(URL, {}, format="json").status_code == 403
    assert client_of().post(URL, {}, format="json").status_code == 401


def test_a_scene_tells_what_it_opens_to_anybody():
    guide = make_guide()
    code = ask(guide).json()["code"]

    answer = opened(None, code)

    assert answer.status_code == 200
    assert answer.json() == {
        "target": {
            "kind": "MERCHANT",
            "id": guide.merchant.number,
            "title": guide.merchant.name,
            "path": f"pages/merchant/index?id={guide.merchant.number}",
        },
        "guide": {"nickname": guide.user.nickname},
        "merchant": {"id": guide.merchant.number, "name": guide.merchant.name},
    }
    assert opened(None, f"g={code}").json() == answer.json()
    assert not CustomerBond.objects.exists()


def test_opening_it_binds_a_signed_in_customer_once():
    guide, customer = make_guide(), make_user()
    code = ask(guide).json()["code"]

    opened(customer, code)
    opened(customer, code)

    assert CustomerBond.objects.get().guide == guide
    assert BondEvent.objects.count() == 1
    assert credited(customer.pk, guide.merchant_id) == guide.pk


def test_a_guide_opening_their_own_code_stays_unbound_and_earns_nothing():
    guide = make_guide()

    opened(guide.user, ask(guide).json()["code"])

    assert not CustomerBond.objects.exists()
    assert credited(guide.user_id, guide.merchant_id) is None


def test_the_first_guide_keeps_the_customer_until_the_protection_ends():
    merchant, customer = make_merchant(bond_days=30), make_user()
    first, second = make_guide(merchant), make_guide(merchant)
    for guide, day in ((first, 0), (second, 29)):
        services.follow(
            customer=customer, code=share_code(guide).code, at=NOON + timedelta(days=day)
        )

    assert CustomerBond.objects.get().guide == first
    services.follow(customer=customer, code=share_code(second).code, at=NOON + timedelta(days=30))
    assert CustomerBond.objects.get().guide == second
    assert list(BondEvent.objects.order_by("pk").values_list("guide", flat=True)) == [
        first.pk,
        second.pk,
    ]


def test_a_bond_at_one_merchant_says_nothing_about_another():
    tea, wine, customer = make_guide(), make_guide(), make_user()
    for guide in (tea, wine):
        services.follow(customer=customer, code=share_code(guide).code, at=NOON)

    pairs = {(customer.pk, tea.merchant_id), (customer.pk, wine.merchant_id)}
    assert queries.guides_for(pairs) == {
        (customer.pk, tea.merchant_id): tea.pk,
        (customer.pk, wine.merchant_id): wine.pk,
    }


def test_codes_of_a_guide_who_left_open_the_page_but_attribute_nothing():
    merchant, customer = make_merchant(), make_user()
    gone, stays = make_guide(merchant), make_guide(merchant)
    code = ask(gone).json()["code"]
    services.follow(customer=customer, code=code, at=NOON)

    services.close(guide=gone, at=NOON)

    assert credited(customer.pk, merchant.pk) is None
    answer = opened(make_user(), code)
    assert (answer.status_code, answer.json()["guide"]) == (200, None)
    assert CustomerBond.objects.count() == 1
    services.follow(customer=customer, code=share_code(stays).code, at=NOON)
    assert credited(customer.pk, merchant.pk) == stays.pk  # at once, without protection


def test_a_guide_who_comes_back_is_the_same_guide():
    guide = make_guide()
    services.close(guide=guide, at=NOON)

    again = make_guide(guide.merchant, user=guide.user)

    assert again == guide
    assert (again.status, again.closed_at) == ("ACTIVE", None)


def test_unknown_codes_are_ignored_when_they_come_along_and_not_found_when_asked_for():
    customer = make_user()
    for code in ("", "nonsense", "g=222222222", "码码码", "x" * 500):
        services.follow(customer=customer, code=code, at=NOON)

    assert not CustomerBond.objects.exists()
    assert opened(customer, "nonsense").status_code == 404


def test_the_scene_of_something_that_is_gone_is_not_found_and_binds_nobody():
    guide = make_guide()
    code = ask(guide).json()["code"]
    merchants.suspend(merchant=guide.merchant)

    assert opened(make_user(), code).status_code == 404
    assert not CustomerBond.objects.exists()


def test_following_without_a_change_only_reads(django_assert_num_queries):
    guide, customer = make_guide(), make_user()
    code = share_code(guide).code
    services.follow(customer=customer, code=code, at=NOON)

    with transaction.atomic(), django_assert_num_queries(2):  # as a part of placing an order
        services.follow(customer=customer, code=code, at=NOON)


def test_the_plain_picture_is_a_png_for_the_guide_alone():
    guide = make_guide()
    code = ask(guide).json()["code"]
    url = f"{URL}/{code}/qr.png"

    answer = client_of(guide.user).get(url, {"kind": "plain"}, HTTP_ACCEPT="image/png")

    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer.content.startswith(b"\x89PNG")
    assert client_of(make_guide().user).get(url, {"kind": "plain"}).status_code == 404
    assert client_of(guide.user).get(url, {"kind": "gold"}).status_code == 400


@pytest.mark.django_db(transaction=True)
def test_the_mini_program_code_is_fetched_once_and_kept(sandbox):
    guide = make_guide()
    code = ask(guide).json()["code"]
    client, url = client_of(guide.user), f"{URL}/{code}/qr.png"

    first, again = client.get(url), client.get(url)

    assert first.status_code == 200
    assert first["Content-Type"] in {"image/png", "image/jpeg"}
    assert first.content == again.content
    calls = sandbox.journal("/wxa/getwxacodeunlimit")
    assert len(calls) == 1


@pytest.mark.django_db(transaction=True)
def test_without_wechat_there_is_no_picture_and_nothing_is_kept(sandbox):
    guide = make_guide()
    code = ask(guide).json()["code"]
    sandbox.faults("/wxa/getwxacodeunlimit", "error_before", times=10)

    answer = client_of(guide.user).get(f"{URL}/{code}/qr.png")

    assert answer.status_code == 503
    assert ShareCode.objects.get().qr is None


def test_my_customers_are_those_bound_to_me_and_cost_the_same_however_many(
    django_assert_num_queries,
):
    guide = make_guide()
    code = share_code(guide).code
    customers = [make_user(f"客户{i}") for i in range(3)]
    for i, customer in enumerate(customers):
        services.follow(customer=customer, code=code, at=NOON + timedelta(minutes=i))
    services.follow(customer=make_user(), code=share_code(make_guide()).code, at=NOON)
    client = client_of(guide.user)

    with django_assert_num_queries(3):  # token, role, customers
        shown = client.get("/api/v1/guides/me/customers").json()["results"]

    assert [one["id"] for one in shown] == [customer.number for customer in customers[::-1]]
    assert shown[0]["merchant"] == {"id": guide.merchant.number, "name": guide.merchant.name}
