"""Each bill may be whole in itself and the two of a day still differ."""

import pytest
from django.utils.timezone import now

from payments.bills import services
from payments.bills.models import ChannelDifference
from tests.payments.bills import disk
from tests.payments.bills.past import found

pytestmark = pytest.mark.django_db


def test_trades_that_only_one_of_the_two_bills_has_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "CHANNELS", {"WECHAT": disk.channel(tmp_path)})
    disk.ours(3)
    disk.bills(tmp_path, [10_000] * 3, moved=[10_000] * 2)

    day = services.take_in(name="WECHAT", day=disk.DAY, at=now())

    assert day.status == "DIFFERS"
    assert found() == [("TRADE_SUM", "AMOUNT", 30_000, 20_000)]


def test_the_same_bills_agree(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "CHANNELS", {"WECHAT": disk.channel(tmp_path)})
    disk.ours(3)
    disk.bills(tmp_path, [10_000] * 3)

    assert services.take_in(name="WECHAT", day=disk.DAY, at=now()).status == "EVEN"
    assert not ChannelDifference.objects.exists()


def test_another_merchants_bill_is_not_taken(tmp_path, monkeypatch):
    other = disk.channel(tmp_path)
    other.account_no = lambda: "1900000999"
    monkeypatch.setattr(services, "CHANNELS", {"WECHAT": other})
    disk.bills(tmp_path, [10_000])

    with pytest.raises(services.DamagedFile, match="不是本店的"):
        services.take_in(name="WECHAT", day=disk.DAY, at=now())


def test_another_days_fund_bill_is_not_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(services, "CHANNELS", {"WECHAT": disk.channel(tmp_path)})
    disk.bills(tmp_path, [10_000])

    with pytest.raises(services.DamagedFile, match="2026-01-06"):
        services.take_in(name="WECHAT", day=disk.DAY.replace(day=6), at=now())
