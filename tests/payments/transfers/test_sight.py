"""A merchant's finance staff read nothing of another merchant's payments, wherever lines are told.

Merchant A's buyer transfers to merchant B's account with the code of A's payment: B's staff have
to see the money, and that it is not theirs; never whose it is.
"""

import pytest

from payments.transfers.models import StatementLine
from tests.admin.pages import opened, url
from tests.members.people import client_of, make_merchant, make_staff, make_user
from tests.payments.transfers import bank
from tests.payments.transfers.bank import arrive, booking, code_of, expected, virtual_of

pytestmark = pytest.mark.django_db
B_ACCOUNT = "755900000220"
PRICE, OTHER = 98_701, 34_501


@pytest.fixture
def merchant():
    return make_merchant("乙店")


@pytest.fixture
def strangers(account, merchant):
    """Two payments of merchant A, and B's account, on which money with their codes has come."""
    first, second = expected(PRICE), expected(OTHER)
    bank.account(B_ACCOUNT, merchant=merchant.number)
    arrive(
        booking(PRICE, remark=code_of(first)),  # another's, on the wrong account
        booking(PRICE, remark=code_of(first), virtual_account=virtual_of(second)),  # and torn
        booking(PRICE + OTHER, remark=f"{code_of(first)} {code_of(second)}"),  # dividing it
        booking(PRICE, remark=code_of(first)[:-1]),  # near, of just that amount
        account_no=B_ACCOUNT,
    )
    return first, second


def pages(person):
    """Every answer in which a line is told, as text by address."""
    api, site = client_of(person), opened(person)
    found = {"/api/v1/bank/lines": api.get("/api/v1/bank/lines")}
    queue = url("payments.StatementLine", "queue")
    found[queue] = site.get(queue)
    for line in StatementLine.objects.all():
        detail = f"/api/v1/bank/lines/{line.number}"
        found[detail] = api.get(detail)
        for address in (
            f"{queue}?line={line.number}",
            f"{queue}?line={line.number}&act=split",
            url("payments.StatementLine", "change", line.pk),
            url("payments.StatementLine", "ignore", line.pk),
        ):
            found[address] = site.get(address)
    # An answer to an act tells the line as well.
    line = StatementLine.objects.order_by("pk")[0]
    acted = f"/api/v1/bank/lines/{line.number}/ignore"
    found[acted] = api.post(acted, {"reason": "不是本店的"}, format="json")
    assert {address: one.status_code for address, one in found.items()} == dict.fromkeys(found, 200)
    return {address: one.content.decode() for address, one in found.items()}


def test_nothing_of_another_merchants_payment_is_told(strangers, merchant):
    told = pages(make_staff(merchant, "FINANCE"))

    secrets = [number for one in strangers for number in (one.number, f'"{one.reference}"')]
    leaks = {(where, word) for where, text in told.items() for word in secrets if word in text}
    assert leaks == set()


def test_the_platform_reads_them(strangers):
    """The control: the numbers are in the very answers that the merchant's staff get."""
    told = pages(make_user("平台", is_superuser=True, is_staff=True))

    shown = {where for where, text in told.items() if strangers[0].number in text}
    assert len(shown) >= 2 * StatementLine.objects.count()
    assert "/api/v1/bank/lines" in shown


def test_what_is_ones_own_stays(strangers, account, merchant):
    """Of a line that names both, each merchant's part is told to that merchant's staff."""
    first, second = strangers
    line = StatementLine.objects.filter(rule="W").order_by("pk")[1]
    type(first).objects.filter(pk=second.pk).update(merchant=merchant.number)

    answer = client_of(make_staff(merchant, "FINANCE")).get("/api/v1/bank/lines").json()
    (told,) = (one for one in answer["results"] if one["id"] == line.number)

    assert [one["payment"] for one in told["candidates"]] == [second.number]
    assert first.number not in str(told)
    assert "（其他商家的支付单）" in told["reasons"][0]
