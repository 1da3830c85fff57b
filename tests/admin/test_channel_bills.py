"""What the platform's finance sees of payment channels' bills, and does about differences."""

import pytest
from django.utils.timezone import now

from payments.bills.models import ChannelDay, ChannelDifference
from tests.admin.pages import fresh, opened, url

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(platform):
    return opened(platform)


@pytest.fixture
def difference(first):
    """Of `first`, and nobody has looked at it yet."""
    found = first.rows["payments.ChannelDifference"]
    unlooked_at(first)
    return fresh(found)


def unlooked_at(side):
    ours = ChannelDifference.objects.filter(pk=side.pk("payments.ChannelDifference"))
    ours.update(closed_at=None, closed_by="", reason="")
    ChannelDay.objects.filter(pk=side.pk("payments.ChannelDay")).update(status="DIFFERS")


def card(client, title):
    cards = client.get("/admin/").context["cards"]
    return next((one for one in cards if one["title"] == title), None)


def test_a_day_shows_its_differences_side_by_side(desk, first, difference):
    text = desk.get(url("payments.ChannelDay", "change", first.pk("payments.ChannelDay")))

    text = text.content.decode()
    for word in ("不符", "本店没有", "SOMEBODY-ELSE-1", "4200002026", "¥50.00", "未处理"):
        assert word in text, word


def test_a_difference_is_closed_with_a_reason_by_whoever_did_it(desk, first, platform, difference):
    page = url("payments.ChannelDifference", "close_difference", difference.pk)

    assert "必填" in desk.post(page, {"reason": ""}).content.decode()
    assert fresh(difference).closed_at is None
    answer = desk.post(page, {"reason": "别的系统收的款，已登记"}, follow=True)

    closed = fresh(difference)
    assert (closed.closed_by, closed.reason) == (platform.number, "别的系统收的款，已登记")
    assert fresh(first.rows["payments.ChannelDay"]).status == "SETTLED"
    assert "关闭差异：已完成" in answer.content.decode()
    # Its page offers it no more, and an old tab is told so.
    assert (
        page
        not in desk.get(url("payments.ChannelDifference", "change", difference.pk)).content.decode()
    )
    assert "状态已变化" in desk.post(page, {"reason": "again"}).content.decode()
    assert fresh(difference).reason == "别的系统收的款，已登记"


def test_a_day_is_fetched_anew_when_it_is_asked_for(desk, first):
    day = first.rows["payments.ChannelDay"]

    desk.post(url("payments.ChannelDay", "compare_again", day.pk), {})

    assert fresh(day).status == "WAITING"


def test_cards_count_what_is_open_and_what_is_not_in(desk, first, second, difference):
    unlooked_at(second)
    waiting = first.rows["payments.ChannelDay"]
    ChannelDay.objects.filter(pk=waiting.pk).update(status="WAITING", problem="渠道没有应答")

    assert card(desk, "渠道差异")["value"] == 2
    assert card(desk, "渠道账单未取到")["value"] == 1
    for title in ("渠道差异", "渠道账单未取到"):
        shown = desk.get(card(desk, title)["href"]).content.decode()
        assert f"{waiting.day}"[:4] in shown
    ChannelDifference.objects.update(closed_at=waiting.tried_at, reason="已核实")
    assert card(desk, "渠道差异") is None


def test_a_merchants_finance_sees_nothing_of_it(first, difference):
    clerk = opened(first.people["FINANCE"])

    assert card(clerk, "渠道差异") is None
    assert "渠道对账" not in clerk.get("/admin/").content.decode()
    assert clerk.get(url("payments.ChannelDay", "changelist")).status_code == 403


def test_days_and_differences_of_one_channel_are_found(desk, first, difference):
    other = ChannelDay.objects.create(channel="ALIPAY", day="2026-01-05", tried_at=now())
    other.differences.create(
        subject="TRADE", kind="MISSING_HERE", our_number="ELSEWHERE-2", our_fen=0, their_fen=1,
        found_at=now(), seen_at=now(),
    )  # fmt: skip

    days = desk.get(url("payments.ChannelDay", "changelist"), {"channel__exact": "ALIPAY"})
    differences = desk.get(
        url("payments.ChannelDifference", "changelist"), {"channel_day__channel__exact": "ALIPAY"}
    )

    assert [row.pk for row in days.context["cl"].result_list] == [other.pk]
    assert [row.our_number for row in differences.context["cl"].result_list] == ["ELSEWHERE-2"]
