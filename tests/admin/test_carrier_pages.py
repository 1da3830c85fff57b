"""What the platform's finance sees of the carrier."""

from datetime import timedelta

import pytest
from django.utils.timezone import now

from payments.bills.models import ChannelDay, ChannelDifference
from payments.carrier.models import CarrierBatch
from tests.admin.pages import opened, url
from tests.admin.test_channel_bills import card

pytestmark = pytest.mark.django_db


@pytest.fixture
def desk(platform):
    return opened(platform)


def test_a_sub_account_shows_what_is_told_and_what_is_not(desk, first):
    page = url("payments.CarrierAccount", "change", first.pk("payments.CarrierAccount"))

    text = desk.get(page).content.decode()

    for word in (f"held:{first.merchant.number}", "账面余额", "尚未报送"):
        assert word in text, word


def test_the_number_of_a_difference_leads_to_its_posting(desk, first):
    batch = first.rows["payments.CarrierBatch"]
    posting = first.rows["payments.Posting"]

    text = desk.get(url("payments.CarrierMove", "changelist") + f"?q={batch.number}")

    text = text.content.decode()
    assert f"{batch.number}-1" in text
    assert posting.reference in text


def test_a_difference_of_the_carrier_stands_beside_the_others_and_is_closed_there(desk, first):
    at = now()
    day = ChannelDay.objects.create(
        channel="CARRIER", day=at.date(), status="DIFFERS", tried_at=at, fetched_at=at
    )
    row = ChannelDifference.objects.create(
        channel_day=day,
        subject="ACCOUNT",
        kind="BALANCE",
        their_number="wallet:U1",
        our_fen=700,
        their_fen=699,
        found_at=at,
        seen_at=at,
    )

    text = desk.get(url("payments.ChannelDifference", "changelist")).content.decode()
    for word in ("资金存管", "存管子账户", "余额不同", "wallet:U1", "¥7.00", "¥6.99", "-¥0.01"):
        assert word in text, word
    page = url("payments.ChannelDifference", "close_difference", row.pk)
    desk.post(page, {"reason": "存管机构已补记"})

    day.refresh_from_db()
    assert day.status == "SETTLED"


def test_the_first_page_says_that_there_is_no_carrier(desk, first, settings):
    assert card(desk, "资金存管")["value"] == "未接入"
    assert "二清" in card(desk, "资金存管")["note"]

    settings.CARRIER = "payments.carrier.signed.carrier"

    assert card(desk, "资金存管") is None
    assert card(opened(first.people["FINANCE"]), "资金存管") is None


def test_a_batch_that_is_not_taken_is_counted(desk, first, settings):
    settings.CARRIER = "payments.carrier.signed.carrier"
    batch = CarrierBatch.objects.create(number="K1", status="SENDING", moves=1, made_at=now())
    assert card(desk, "存管报送受阻") is None  # it may be on its way

    CarrierBatch.objects.filter(pk=batch.pk).update(problem="NOT_COVERED 子账户余额不足")

    shown = card(desk, "存管报送受阻")
    assert shown["value"] == 1
    assert "NOT_COVERED" in desk.get(shown["href"]).content.decode()
    late = {"problem": "", "made_at": now() - timedelta(hours=2)}
    CarrierBatch.objects.filter(pk=batch.pk).update(**late)
    assert card(desk, "存管报送受阻")["value"] == 1


def test_a_merchants_finance_sees_nothing_of_it(first):
    clerk = opened(first.people["FINANCE"])

    assert "存管" not in clerk.get("/admin/").content.decode()
    for label in ("CarrierBatch", "CarrierMove", "CarrierAccount"):
        assert clerk.get(url(f"payments.{label}", "changelist")).status_code == 403
