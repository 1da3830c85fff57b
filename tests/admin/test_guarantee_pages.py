"""The platform sets rates and criteria, and decides who is guaranteed; finance looks on."""

import pytest
from django.utils.timezone import now

from members.guarantee.models import Guarantee, GuaranteeCriterion
from payments.settlement.models import FeeRate
from tests.admin.pages import fingerprint, opened, url
from tests.factories import make_sku, make_user, pay, place

pytestmark = pytest.mark.django_db
RATES, CRITERIA = "payments.FeeRate", "members.GuaranteeCriterion"
RATE = {
    "merchant": "", "category": "tea", "ppm": "6000", "since_at_0": "", "since_at_1": "",
    "note": "合同 7 号",
}  # fmt: skip


@pytest.fixture
def client(platform):
    return opened(platform)


def test_a_rate_is_added_and_holds_at_once(client, first):
    client.post(url(RATES, "add"), RATE)

    rate = FeeRate.objects.get(merchant="")
    assert (rate.category, rate.ppm, rate.note) == ("tea", 6000, "合同 7 号")
    assert rate.since_at == rate.made_at
    assert "0.6000%" in client.get(url(RATES, "changelist")).content.decode()


@pytest.mark.parametrize(
    ("typed", "word"),
    [
        ({"merchant": "M000"}, "没有这个商家编号"),
        ({"category": "coffee"}, "没有这个类目代码"),
        ({"ppm": "300001"}, "费率不能超过百分之三十"),
        ({"since_at_0": "2020-01-01", "since_at_1": "00:00:00"}, "只能从现在或以后生效"),
        ({"note": ""}, ""),
    ],
)
def test_a_rate_that_nobody_meant_is_refused(client, first, typed, word):
    before = fingerprint()

    page = client.post(url(RATES, "add"), RATE | typed, follow=True)

    assert word in page.content.decode()
    assert fingerprint() == before


def test_a_criterion_is_about_something_that_is_counted(client, first):
    typed = {"name": "纠纷", "least": "", "most": "3", "is_on": "on"}
    page = client.post(url(CRITERIA, "add"), typed | {"code": "STARS"}, follow=True)
    assert "可用的指标" in page.content.decode()
    client.post(url(CRITERIA, "add"), typed | {"code": "OPEN_CASES"})

    assert [(one.code, one.most) for one in GuaranteeCriterion.objects.all()] == [("OPEN_CASES", 3)]


def test_the_platform_lets_in_suspends_and_ends(client, first):
    found = first.rows["members.Guarantee"]
    steps = [("approve", {}, "ACTIVE"), ("suspend", {"reason": "投诉"}, "SUSPENDED")]
    for name, told, status in [*steps, ("leave", {"reason": "商家要求"}, "LEFT")]:
        client.post(url("members.Guarantee", name, found.pk), told)
        assert Guarantee.objects.get(pk=found.pk).status == status

    reasons = list(found.events.order_by("pk").values_list("status", "reason"))
    assert reasons[-2:] == [("SUSPENDED", "投诉"), ("LEFT", "商家要求")]


def test_finance_sees_its_own_statistics(client, first):
    found = first.rows["members.Guarantee"]
    client.post(url("members.Guarantee", "approve", found.pk), {})
    order = place(make_user(), make_sku(first.merchant), at=now())
    pay(order, at=now())

    for who in (client, opened(first.people["FINANCE"])):
        text = who.get(url("shop.HeldLine", "statistics")).content.decode()
        assert f'<th scope="row">{now().year}</th><td>1</td><td>1</td>' in text
