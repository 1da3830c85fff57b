"""Every page of the admin, as everybody: who sees it, who may act, and that nothing leaks.

A model that is registered, or an act that is added, fails here until it is declared.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.db.models import ForeignKey
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from members.accounts.models import User
from members.merchants import services as merchants
from tests.admin.pages import fingerprint, opened, status, url
from tests.admin.stage import Side, make_side
from tests.factories import NOON

pytestmark = pytest.mark.django_db

# Which posts at a merchant may do what; the platform may do all.
STAFF = frozenset({"OWNER", "OPERATOR", "FINANCE"})
OPERATOR = frozenset({"OWNER", "OPERATOR"})
FINANCE = frozenset({"OWNER", "FINANCE"})
OWNER = frozenset({"OWNER"})
PLATFORM: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Page:
    """Who looks; who acts, by which acts of a row, of chosen rows and of the list; who types."""

    look: frozenset[str]
    act: frozenset[str] = PLATFORM
    of_row: str = ""
    of_chosen: str = ""
    of_list: str = ""
    types: frozenset[str] | None = None
    adds: frozenset[str] | None = None
    others: frozenset[str] = frozenset()  # acts of a row that only the platform has


PAGES = {
    "axes.AccessAttempt": Page(PLATFORM, of_chosen="unlock"),
    "livestream.Claim": Page(STAFF),
    "livestream.Lot": Page(STAFF, OPERATOR, "drop pause go_on close"),
    "livestream.Session": Page(STAFF, OPERATOR, "start add_lot end", of_list="schedule"),
    "members.BondEvent": Page(STAFF),
    "members.Commission": Page(STAFF),
    "members.CustomerBond": Page(STAFF),
    "members.Guarantee": Page(STAFF, PLATFORM, "approve suspend leave"),
    "members.GuaranteeCriterion": Page(PLATFORM, PLATFORM, types=PLATFORM, adds=PLATFORM),
    "members.Guide": Page(STAFF, OPERATOR, "close", "close_chosen", "enrol"),
    "members.Level": Page(STAFF, OPERATOR, types=OPERATOR, adds=OPERATOR),
    "members.Membership": Page(
        STAFF, OPERATOR, "approve change_level block unblock", "approve_chosen"
    ),
    "members.Merchant": Page(
        STAFF,
        OWNER,
        "rotate appoint dismiss suspend resume",
        types=OWNER,
        adds=PLATFORM,
        others=frozenset({"appoint", "dismiss", "suspend", "resume"}),
    ),
    "members.Post": Page(STAFF, OPERATOR, types=OPERATOR, adds=OPERATOR),
    "members.ShareCode": Page(STAFF),
    "members.User": Page(
        PLATFORM, PLATFORM, "password block unblock", types=PLATFORM, adds=PLATFORM
    ),
    "payments.Account": Page(FINANCE),
    "payments.CarrierAccount": Page(PLATFORM),
    "payments.CarrierBatch": Page(PLATFORM),
    "payments.CarrierMove": Page(PLATFORM),
    "payments.ChannelDay": Page(PLATFORM, PLATFORM, "compare_again"),
    "payments.ChannelDifference": Page(PLATFORM, PLATFORM, "close_difference"),
    "payments.DayClose": Page(FINANCE),
    "payments.AlipayNotice": Page(PLATFORM),
    "payments.AlipayTrade": Page(FINANCE),
    "payments.BankDay": Page(PLATFORM, PLATFORM, types=PLATFORM, adds=PLATFORM),
    "payments.ByHand": Page(FINANCE, FINANCE, "approve decline", of_list="enter"),
    "payments.DepositMove": Page(FINANCE, PLATFORM, "approve decline", of_list="punish"),
    "payments.DepositPayment": Page(FINANCE),
    "payments.DepositRule": Page(FINANCE, types=PLATFORM, adds=PLATFORM),
    "payments.Entry": Page(FINANCE),
    "payments.FeeRate": Page(FINANCE, adds=PLATFORM),
    "payments.GiftCard": Page(PLATFORM, PLATFORM, "freeze thaw"),
    "payments.LineReturn": Page(FINANCE, FINANCE, "approve decline", of_list="checks"),
    "payments.MethodRule": Page(FINANCE, types=PLATFORM, adds=PLATFORM),
    "payments.Payment": Page(FINANCE, FINANCE),
    "payments.Payee": Page(FINANCE, FINANCE, "approve decline"),
    "payments.Payout": Page(
        FINANCE,
        FINANCE,
        "approve decline paid refused bounced",
        others=frozenset({"paid", "refused", "bounced"}),
    ),
    "payments.PayoutFile": Page(PLATFORM, PLATFORM, "download_xlsx download", of_list="export"),
    "payments.Policy": Page(FINANCE, FINANCE, of_list="trial", types=FINANCE, adds=FINANCE),
    "payments.Posting": Page(FINANCE),
    "payments.Receipt": Page(FINANCE),
    "payments.ReceivingAccount": Page(FINANCE, types=PLATFORM, adds=PLATFORM),
    "payments.Refund": Page(FINANCE, FINANCE, "approve", "approve_chosen"),
    "payments.Statement": Page(FINANCE, FINANCE, of_list="upload map_columns"),
    "payments.StatementLine": Page(
        FINANCE, FINANCE, "assign give_back ignore take_in undo note", of_list="queue"
    ),
    "payments.TopUp": Page(PLATFORM),
    "payments.Wallet": Page(PLATFORM),
    "payments.Withdrawal": Page(PLATFORM, PLATFORM, "approve decline"),
    "payments.TransferIntent": Page(FINANCE),
    "payments.VirtualAccount": Page(FINANCE),
    "payments.WeChatNotice": Page(PLATFORM),
    "payments.WeChatRefund": Page(FINANCE, FINANCE, "to_card"),
    "payments.WeChatTrade": Page(FINANCE),
    "shop.Category": Page(STAFF, types=PLATFORM, adds=PLATFORM),
    "shop.HeldLine": Page(FINANCE, FINANCE, of_list="statistics"),
    "shop.Offer": Page(STAFF),
    "shop.Order": Page(STAFF, OPERATOR, "ship cancel unfreeze", "close_overdue"),
    "shop.Product": Page(
        STAFF, OPERATOR, "sell stop", "sell_chosen stop_chosen", types=OPERATOR, adds=OPERATOR
    ),
    "shop.Shipment": Page(STAFF),
    "shop.ShippingReport": Page(
        STAFF, OPERATOR, "retry correct choose_kind ask_receipt settle", "retry_chosen"
    ),
    "shop.WeChatPush": Page(PLATFORM),
    "shop.Sku": Page(STAFF, OPERATOR, "adjust", types=OPERATOR, adds=OPERATOR),
}
# Pages that are nobody's in particular.
COMMON = {
    "index": 200,
    "password_change": 200,
    "password_change_done": 200,
    "jsi18n": 200,
    "search": 200,
}
posts = pytest.mark.parametrize("post", ["OWNER", "OPERATOR", "FINANCE"])
every = pytest.mark.parametrize("label", PAGES)


def row_acts(page: Page) -> list[str]:
    return page.of_row.split()


# --- the table is complete ----------------------------------------------------------------------


def test_every_registered_model_is_declared():
    assert {model._meta.label for model in admin.site._registry} == set(PAGES)


@every
def test_every_act_is_declared(label):
    page, shown = PAGES[label], admin.site._registry[apps.get_model(label)]

    assert list(shown.actions_detail) == row_acts(page)
    assert list(shown.actions or []) == page.of_chosen.split()
    assert list(shown.actions_list) == page.of_list.split()
    assert not shown.actions_row
    assert not shown.actions_submit_line


def test_every_url_of_the_admin_is_walked():
    pages = {"changelist", "add", "history", "delete", "change", "password_change"}
    known = {*COMMON, "login", "logout", "autocomplete", "view_on_site", "app_list"}
    for label, page in PAGES.items():
        opts = apps.get_model(label)._meta
        acts = {*pages, *page.of_row.split(), *page.of_list.split()}
        known |= {f"{opts.app_label}_{opts.model_name}_{act}" for act in acts}
    known.add("auth_user_password_change")  # Django's name for any user model's password page

    assert set(names(get_resolver())) - known == set()


def names(resolver: URLResolver, in_admin: bool = False) -> Iterator[str]:
    for one in resolver.url_patterns:
        if isinstance(one, URLResolver):
            yield from names(one, in_admin or one.app_name == "admin")
        elif isinstance(one, URLPattern) and in_admin and one.name:
            yield one.name


# --- who may what -------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["nobody", "a buyer", "a guide"])
def test_who_is_no_staff_sees_the_login_and_nothing_else(who, first):
    guide = first.rows["members.Guide"]
    people = {"nobody": None, "a buyer": first.people["BUYER"], "a guide": guide.user}
    client = opened(people[who])

    for label, page in PAGES.items():
        addresses = [url(label, "changelist"), url(label, "add")]
        if label in first.rows:
            pk = first.pk(label)
            addresses += [url(label, one, pk) for one in ("change", "history", *row_acts(page))]
        for address in addresses:
            answer = client.get(address)
            assert answer.status_code == 302, address
            assert answer["Location"].startswith("/admin/login/"), address


@posts
def test_staff_see_what_is_theirs_and_act_where_their_post_lets_them(post, first, second):
    client = opened(first.people[post])

    for label, page in PAGES.items():
        walk(client, label, page, first, post)
    for name, expected in COMMON.items():
        assert status(client, reverse(f"admin:{name}")) == expected


def walk(client: Client, label: str, page: Page, side: Side, post: str) -> None:
    looks = 200 if post in page.look else 403
    assert status(client, url(label, "changelist")) == looks, label
    adds = 200 if page.adds is not None and post in page.adds else 403
    assert status(client, url(label, "add")) == adds, label
    for act in page.of_list.split():
        assert status(client, url(label, act)) == (200 if post in page.act else 403), (label, act)
    if label not in side.rows:
        return
    pk = side.pk(label)
    assert status(client, url(label, "change", pk)) == looks, label
    history = client.get(url(label, "history", pk))
    assert history.status_code == 200 if looks == 200 else is_closed(history), label
    assert status(client, url(label, "delete", pk)) == 403, label
    types = page.types is not None and post in page.types
    typed = client.post(url(label, "change", pk), {"_save": "1"}).status_code
    assert (typed != 403) == types, label
    for act in row_acts(page):
        may = post in page.act and act not in page.others
        assert status(client, url(label, act, pk)) == (200 if may else 403), (label, act)


@posts
def test_another_merchants_row_is_not_there(post, first, second):
    client, before = opened(first.people[post]), fingerprint()

    for label, page in PAGES.items():
        if label not in second.rows or label == "shop.Category":
            continue
        pk = second.pk(label)
        for one in ("change", "history", *row_acts(page)):
            is_look = one in {"change", "history"}
            may = post in (page.look if is_look else page.act) and one not in page.others
            address = url(label, one, pk)
            answer = client.get(address)
            assert is_closed(answer), address
            assert not may or answer.status_code == 302, address
            assert is_closed(client.post(address, {"reason": "x"})), address

    assert fingerprint() == before


def is_closed(answer: Any) -> bool:
    """Forbidden, or sent home with a word that there is no such row."""
    return answer.status_code == 403 or answer.get("Location") == "/admin/"


def test_the_platform_sees_and_does_all(platform, first, second):
    client = opened(platform)

    # The control of the tests below: what must not be seen there is seen here.
    for label in ("shop.Order", "shop.Product", "members.Membership", "payments.StatementLine"):
        text = client.get(url(label, "changelist")).content.decode()
        assert "甲号" in text
        assert "乙号" in text

    for side in (first, second):
        for label, page in PAGES.items():
            assert status(client, url(label, "changelist")) == 200, label
            assert status(client, url(label, "add")) == (200 if page.adds is not None else 403)
            if label in side.rows:
                pk = side.pk(label)
                for one in ("change", "history", *row_acts(page)):
                    assert status(client, url(label, one, pk)) == 200, (label, one)


# --- nothing leaks ------------------------------------------------------------------------------


def secrets_of(side: Side) -> list[str]:
    numbers = [getattr(row, "number", None) for row in side.rows.values()]
    # A virtual account and the category are not secret: one is guessed by counting.
    return ["乙号", side.merchant.member_no, *(one for one in numbers if one)]


@posts
def test_nothing_of_another_merchant_is_on_any_page(post, first, second):
    client, hidden = opened(first.people[post]), secrets_of(second)
    addresses = ["/admin/", "/admin/finance/", "/admin/search/?s=乙号&extended=1"]
    for label, page in PAGES.items():
        listed = url(label, "changelist")
        addresses += [listed, url(label, "add"), f"{listed}?q=乙号", f"{listed}?tenant=乙号"]
        addresses += [url(label, act) for act in page.of_list.split()]
        if label in first.rows:
            acts = ("change", "history", *row_acts(page))
            addresses += [url(label, act, first.pk(label)) for act in acts]

    for address in addresses:
        text = client.get(address).content.decode()
        found = [word for word in hidden if word in text.replace(f'value="{word}"', "")]
        assert not found or "q=乙号" in address or "tenant=乙号" in address, (address, found)
        if "=乙号" in address:
            assert second.merchant.number not in text, address
            assert "乙号茶庄" not in text, address


@posts
def test_what_can_be_chosen_in_a_form_is_ones_own(post, first, second):
    client = opened(first.people[post])

    for model in admin.site._registry:
        for one in model._meta.get_fields():
            if isinstance(one, ForeignKey):
                answer = client.get(
                    reverse("admin:autocomplete"),
                    {
                        "app_label": model._meta.app_label,
                        "model_name": model._meta.model_name,
                        "field_name": one.name,
                        "term": "",
                    },
                )
                assert answer.status_code in {200, 403, 404}
                assert "乙号" not in answer.content.decode("unicode_escape", "ignore")


def test_a_filter_does_not_tell_who_else_there_is(first, second):
    """A key of another merchant in the address finds nothing, and shows no name."""
    client = opened(first.people["OWNER"])

    for label in ("shop.Order", "shop.Product", "members.Membership"):
        text = client.get(
            url(label, "changelist"), {"merchant__id__exact": second.merchant.pk}
        ).content.decode()
        assert "乙号" not in text


def test_two_merchants_staff_act_only_where_they_hold_the_post(first, second):
    """FINANCE here and OPERATOR there: looks at both, ships only there."""
    person = first.people["FINANCE"]
    merchants.appoint(user=person, merchant=second.merchant, role="OPERATOR", at=NOON)
    client = opened(User.objects.get(pk=person.pk))

    here, there = first.pk("shop.Order"), second.pk("shop.Order")
    assert status(client, url("shop.Order", "change", here)) == 200
    assert status(client, url("shop.Order", "change", there)) == 200
    assert status(client, url("shop.Order", "ship", here)) == 302
    assert status(client, url("shop.Order", "ship", there)) == 200


# --- lists stay cheap ---------------------------------------------------------------------------


def test_a_list_costs_the_same_however_long(platform, first):
    """Measured twice: with two merchants' rows, and with a third's."""
    client = opened(platform)
    addresses = [url(label, "changelist") for label in PAGES] + [
        "/admin/",
        "/admin/finance/",
        url("payments.StatementLine", "queue"),
    ]
    for address in addresses:
        client.get(address)  # what is read once per process

    def costs() -> dict[str, int]:
        counted = {}
        for address in addresses:
            with CaptureQueriesContext(connection) as queries:
                client.get(address)
            counted[address] = len(queries)
        return counted

    before = costs()
    make_side("丙号", "755900000443")
    after = costs()

    assert after == before
    assert after.pop(url("payments.StatementLine", "queue")) <= 24  # a list, a line, what it may be
    assert max(after.values()) <= 16
