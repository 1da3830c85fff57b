"""Every route of the URL map, with every role, and with a stranger's ids.

A new route fails here until ROUTES says who may call it.
"""

from collections.abc import Iterator

import pytest
from django.urls import URLPattern, URLResolver, get_resolver
from rest_framework.test import APIClient

from config.kit.api import View
from tests.factories import client_of, key, make_guide, make_member, make_merchant, make_user
from tests.world import make_world

pytestmark = pytest.mark.django_db

EVERYBODY, SIGNED_IN = "PUBLIC", "SIGNED_IN"
STAFF_ROLES = ("OPERATOR", "FINANCE")

# Who may call what.  Beside the access stands what a stranger's id is in its path, if anything.
ROUTES: dict[str, dict[str, str]] = {
    "auth/wechat": {"POST": EVERYBODY},
    "auth/staff": {"POST": EVERYBODY},
    "auth/logout": {"POST": SIGNED_IN},
    "auth/logout-all": {"POST": SIGNED_IN},
    "me": {"GET": SIGNED_IN, "PUT": SIGNED_IN},
    "me/addresses": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "me/addresses/{address}": {"GET": SIGNED_IN, "PUT": SIGNED_IN, "DELETE": SIGNED_IN},
    "merchants/{merchant}": {"GET": EVERYBODY},
    "merchants/{merchant}/posts": {"GET": EVERYBODY},
    "merchants/{merchant}/guarantee": {"GET": EVERYBODY},
    "memberships": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "memberships/{joined}/leave": {"POST": SIGNED_IN},
    "guides/me/share-codes": {"POST": "GUIDE"},
    "guides/me/share-codes/{share_code}/qr.png": {"GET": "GUIDE"},
    # Who left keeps the commissions earned before.
    "guides/me/commissions": {"GET": SIGNED_IN},
    "guides/me/customers": {"GET": "GUIDE"},
    "guides/me/summary": {"GET": SIGNED_IN},
    "scenes/{private_scene}": {"GET": EVERYBODY},
    "products": {"GET": EVERYBODY},
    "products/{private_product}": {"GET": EVERYBODY},
    "quotes": {"POST": SIGNED_IN},
    "orders": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "orders/{order}": {"GET": SIGNED_IN},
    "orders/{order}/cancel": {"POST": SIGNED_IN},
    "orders/{order}/confirm-receipt": {"POST": SIGNED_IN},
    "orders/{order}/shipments": {"POST": "OPERATOR"},
    "staff/orders": {"GET": "OPERATOR"},
    "staff/merchants/{merchant}/guarantee": {"GET": "OWNER", "POST": "OWNER", "DELETE": "OWNER"},
    "payments": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "payments/methods": {"GET": SIGNED_IN},
    "payments/{payment}": {"GET": SIGNED_IN},
    "payments/{payment}/transferred": {"POST": SIGNED_IN},
    "payments/{payment}/any-payer": {"POST": SIGNED_IN},
    "payments/{owed_payment}/refunds/{refund}/return": {"POST": SIGNED_IN},
    "wallet": {"GET": SIGNED_IN},
    "wallet/entries": {"GET": SIGNED_IN},
    "wallet/top-ups": {"POST": SIGNED_IN},
    "wallet/top-ups/methods": {"GET": SIGNED_IN},
    "wallet/withdrawals": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "wallet/withdrawals/{withdrawal}": {"GET": SIGNED_IN},
    "gift-cards": {"GET": SIGNED_IN, "POST": SIGNED_IN},
    "gift-cards/methods": {"GET": SIGNED_IN},
    "gift-cards/claims": {"POST": SIGNED_IN},
    "gift-cards/{gift_card}": {"GET": SIGNED_IN},
    "gift-cards/{gift_card}/entries": {"GET": SIGNED_IN},
    "gift-cards/{gift_card}/gifts": {"POST": SIGNED_IN},
    "gift-cards/{gift_card}/take-back": {"POST": SIGNED_IN},
    "gift-cards/{gift_card}/redeem": {"POST": SIGNED_IN},
    "gift-cards/{gift_card}/refund": {"POST": SIGNED_IN},
    "payments/{owed_payment}/refunds/{refund}/to-wallet": {"POST": SIGNED_IN},
    "bank/statements": {"GET": "FINANCE", "POST": "FINANCE"},
    "bank/statements/{statement}": {"GET": "FINANCE"},
    "bank/lines": {"GET": "FINANCE"},
    "bank/lines/{line}": {"GET": "FINANCE"},
    "bank/lines/{line}/match": {"POST": "FINANCE"},
    "bank/lines/{line}/return": {"POST": "FINANCE"},
    "bank/lines/{line}/undo": {"POST": "FINANCE"},
    "bank/lines/{line}/ignore": {"POST": "FINANCE"},
    "bank/lines/{line}/take-in": {"POST": "FINANCE"},
    "bank/lines/{line}/bounce": {"POST": "FINANCE"},
    "bank/lines/{line}/reverse": {"GET": "FINANCE", "POST": "FINANCE"},
    "bank/days": {"GET": "FINANCE"},
    "bank/returns": {"GET": "FINANCE"},
    "bank/returns/{line_return}/check": {"POST": "FINANCE"},
    "deposit": {"GET": "FINANCE"},
    "deposit/moves": {"GET": "FINANCE"},
    "deposit/top-ups": {"POST": "FINANCE"},
    "deposit/payments": {"POST": "FINANCE"},
    "deposit/payments/methods": {"GET": "FINANCE"},
    "deposit/refunds": {"POST": "FINANCE"},
    "settlement": {"GET": "FINANCE"},
    "settlement/payee": {"GET": "FINANCE", "POST": "FINANCE"},
    "settlement/payees/{payee}/check": {"POST": "FINANCE"},
    "settlement/payouts": {"GET": "FINANCE", "POST": "FINANCE"},
    "settlement/payouts/{payout}/bounce": {"POST": "FINANCE"},
    "settlement/payouts/{payout}/check": {"POST": "FINANCE"},
    "hooks/bank/{provider}": {"POST": EVERYBODY},
    "hooks/wechat-pay": {"POST": EVERYBODY},
    "hooks/alipay": {"POST": EVERYBODY},
    "hooks/wechat": {"GET": EVERYBODY, "POST": EVERYBODY},
    "live/sessions": {"GET": EVERYBODY, "POST": "OPERATOR"},
    "live/sessions/{private_session}": {"GET": EVERYBODY},
    "live/sessions/{private_session}/events": {"GET": EVERYBODY},
    "live/sessions/{private_session}/start": {"POST": "OPERATOR"},
    "live/sessions/{private_session}/end": {"POST": "OPERATOR"},
    "live/sessions/{private_session}/lots": {"POST": "OPERATOR"},
    "live/lots/{private_lot}/drop": {"POST": "OPERATOR"},
    "live/lots/{private_lot}/close": {"POST": "OPERATOR"},
    "live/lots/{private_lot}/claims": {"POST": SIGNED_IN},
    "live/claims/{claim}": {"GET": SIGNED_IN},
}
# In these an id is not a secret: whoever knows it may see it.
OPEN_IDS = {
    "merchants/{merchant}",
    "merchants/{merchant}/posts",
    "merchants/{merchant}/guarantee",
}


def walk(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[tuple[str, type]]:
    for one in patterns:
        path = prefix + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from walk(one.url_patterns, path)
        elif hasattr(one.callback, "view_class") or hasattr(one.callback, "cls"):
            view = getattr(one.callback, "view_class", None) or one.callback.cls
            yield path, view


def views() -> dict[str, type[View]]:
    found = dict(walk(get_resolver().url_patterns))
    return {
        path.removeprefix("api/v1/"): view
        for path, view in found.items()
        if path.startswith("api/v1/")
    }


def shape(route: str) -> str:
    """Without the names of the ids: what Django's and our spelling share."""
    import re

    return re.sub(r"<[^>]+>|\{[^}]+\}", "*", route)


CASES = [(route, method) for route, methods in ROUTES.items() for method in methods]


def test_every_route_is_declared_with_its_methods_and_access():
    declared = {shape(route): methods for route, methods in ROUTES.items()}
    found = {
        shape(path): {
            method.upper(): view.access_for(method.upper())
            for method in ("get", "post", "put", "delete")
            if hasattr(view, method)
        }
        for path, view in views().items()
    }

    assert found == declared


def call(client: APIClient, route: str, method: str, ids: dict[str, str]):
    return getattr(client, method.lower())(
        f"/api/v1/{route.format(**ids)}", **({} if method == "GET" else {"format": "json", **key()})
    )


@pytest.fixture
def world(db):
    """What belongs to the first merchant and the first buyer: every kind of row there is."""
    return make_world()


@pytest.mark.parametrize(("route", "method"), CASES)
def test_a_guest_is_asked_to_sign_in(world, route, method):
    answer = call(APIClient(), route, method, world.ids)

    if ROUTES[route][method] == EVERYBODY:
        assert answer.status_code != 403
        if "{private" in route:
            assert answer.status_code == 404
    else:
        assert answer.status_code == 401
    assert answer.status_code < 500


@pytest.mark.parametrize(("route", "method"), CASES)
def test_whose_role_it_is_not_is_turned_away(world, route, method):
    access = ROUTES[route][method]
    if access in {EVERYBODY, SIGNED_IN}:
        return
    others = [make_user(), make_member(world.merchant)]
    others += [world.staff(role) for role in STAFF_ROLES if role != access]
    if access != "GUIDE":
        others.append(make_guide(world.merchant).user)
    for other in others:
        answer = call(client_of(other), route, method, world.ids)
        assert answer.status_code == 403, (other, answer.content)


@pytest.mark.parametrize(
    ("route", "method"), [case for case in CASES if "{" in case[0] and case[0] not in OPEN_IDS]
)
def test_what_belongs_to_a_stranger_does_not_exist(world, route, method):
    """The right role, but of another merchant (or another buyer): 404, and nothing changes."""
    before = world.fingerprint()
    access = ROUTES[route][method]
    if access == "GUIDE":
        other = make_guide(make_merchant("别家")).user
    elif access in {*STAFF_ROLES, "OWNER"}:
        other = world.staff(access, make_merchant("别家"))
    else:
        other = make_user("路人")
    answer = call(client_of(other), route, method, world.ids)

    # A body that is missing may be noticed before the row is looked for; it says nothing of it.
    assert answer.status_code in ({404} if method in {"GET", "DELETE"} else {404, 400, 415, 401})
    if answer.status_code != 404:
        unknown = call(client_of(other), route, method, dict.fromkeys(world.ids, "X0"))
        assert unknown.status_code == answer.status_code
    assert world.fingerprint() == before


@pytest.mark.parametrize(("route", "method"), CASES)
def test_nothing_that_is_asked_for_makes_the_house_fall(world, route, method):
    for junk in ("X0", "0", "-1", "%00", "a" * 300, "99999999999999999999", "'; --", "<script>"):
        ids = dict.fromkeys(world.ids, junk)
        answer = call(client_of(world.buyer), route, method, ids)
        assert answer.status_code < 500, (junk, answer.content)


@pytest.mark.parametrize(
    "listing",
    ["me/addresses", "orders", "payments", "staff/orders", "bank/lines", "bank/statements",
     "wallet/entries", "gift-cards", "bank/returns", "bank/days", "settlement/payouts",
     "guides/me/commissions", "guides/me/customers", "memberships",
     "live/sessions", "products"],
)  # fmt: skip
def test_a_list_holds_nothing_of_a_stranger(world, listing):
    access = ROUTES[listing]["GET"]
    elsewhere = make_merchant("别家")
    if access == "GUIDE":
        other = make_guide(elsewhere).user
    elif access in {*STAFF_ROLES, "OWNER"}:
        other = world.staff(access, elsewhere)
    else:
        other = make_user("路人")

    answer = client_of(other).get(f"/api/v1/{listing}")

    assert answer.status_code == 200
    for secret in world.secrets:
        assert secret.encode() not in answer.content
