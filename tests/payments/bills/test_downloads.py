"""Bills that are not what WeChat signed for: nothing comes of them, and the day waits."""

import gzip
import hashlib
import random
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.bills import services, tasks
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import MOST_DAYS, SHANGHAI, due
from payments.channels import downloads, wechat
from payments.channels.answers import ChannelSilent
from payments.ledger.models import Posting
from payments.transfers.parsers import Unreadable
from payments.transfers.parsers.channels.bill import BillRow
from tests.payments.bills.past import close_all, found, repacked

pytestmark = pytest.mark.django_db


def nothing_came_of_it():
    return not Posting.objects.filter(kind__in=["CHANNEL_DAY", "OPENING"]).exists()


def waits(day):
    return ChannelDay.objects.get(day=day).status == "WAITING"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda bill: repacked(bill, b"`99.00", b"`98.00"), "哈希不符"),
        (lambda bill: bill[: len(bill) // 2], "不完整"),
        (lambda bill: bill + b"more", "不完整"),
        (lambda bill: b"", "不完整"),
        (gzip.decompress, "损坏"),
        (lambda bill: gzip.compress(bytes(2 * 1024 * 1024)), "太大"),
    ],
    ids=["tampered", "half", "longer", "empty", "not packed", "a bomb"],
)
def test_a_bill_that_is_not_what_its_hash_says_is_not_taken(
    past, forger, spoil, problem, monkeypatch
):
    monkeypatch.setattr(downloads, "MAX_BYTES", 1024 * 1024)
    past.paid(9900)
    past.back()
    wechat.wechat_pay().trade_bill(past.day).close()
    forger["bill"] = spoil(forger["seen"])

    with pytest.raises(ChannelSilent, match=problem):
        past.taken_in()

    assert nothing_came_of_it()


def test_a_bill_that_is_larger_than_memory_may_hold_is_a_file_of_the_disk():
    content = random.Random(1).randbytes(3 * downloads.IN_MEMORY // 2)
    packed = gzip.compress(content, 1)
    chunks = [packed[n : n + 100_000] for n in range(0, len(packed), 100_000)]

    sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()

    with downloads.unpacked(chunks, sha1=sha1.upper()) as file:
        assert file.read() == content
        assert file.seek(0) == 0


def test_a_file_that_grows_too_large_on_the_way_is_given_up(past, monkeypatch):
    monkeypatch.setattr(downloads, "MAX_PACKED", 100)
    past.paid(9900)

    with pytest.raises(ChannelSilent, match="太大"):
        past.taken_in()


def test_a_download_that_breaks_off_is_fetched_the_next_time(past):
    past.paid(9900)
    past.scene.switch("garbage", on="/v3/billdownload/file")

    with pytest.raises(ChannelSilent):
        past.taken_in()
    assert nothing_came_of_it()

    assert past.taken_in().status == "EVEN"


def test_an_unproven_offer_of_a_bill_is_not_followed(past):
    past.paid(9900)
    past.scene.switch("answer_other_key", on="/v3/bill/tradebill")

    with pytest.raises(ChannelSilent):
        past.taken_in()
    assert not past.scene.sandbox.journal("/v3/billdownload/file")


def test_a_bill_that_is_made_at_ten_is_waited_for(past):
    past.go(days=1, hour=12)
    past.paid(9900)
    # Nine o'clock of the next morning out there.
    past._set(past.ahead + 21 * 3600)

    with pytest.raises(ChannelSilent, match="生成"):
        services.take_in(name="WECHAT", day=past.day, at=now())


def test_a_refund_whose_note_we_cannot_read_is_not_guessed(past):
    with pytest.raises(Unreadable, match="备注"):
        services.CHANNELS["WECHAT"].moved(row(kind="退款", fen=-795, remark="退款"))


def test_what_is_neither_trade_nor_refund_nor_fee_is_elsewhere(past):
    moved = services.CHANNELS["WECHAT"].moved

    assert moved(row(kind="提现", fen=-5_000)).other_fen == -5_000
    assert moved(row(kind="充值", fen=5_000)).other_fen == 5_000
    back = moved(row(kind="退款退回", fen=795, remark="退款总金额8.00元;含手续费0.05元"))
    assert back == (0, 0, 800, -5, 0)


def row(*, kind, fen, remark=""):
    return BillRow(
        serial="1", booked_at=now(), amount_fen=fen, currency="CNY", balance_fen=0,
        payer_name="", payer_account="", payer_bank="", remark=remark, texts=(),
        virtual_account=None, is_reversal=False, reverses=None, position=3, kind=kind,
    )  # fmt: skip


# --- the round -----------------------------------------------------------------------------------


def test_the_round_takes_what_is_due_and_says_what_differs(past, settings, caplog):
    settings.CHANNEL_FEE_PERCENT = {"wechat": 1}
    past.paid(10_000)
    past.back()
    ChannelDay.objects.create(channel="WECHAT", day=past.day, tried_at=now())

    tasks.fetch_bills()

    assert ChannelDay.objects.get(day=past.day).status == "DIFFERS"
    assert "differ from our trades" in caplog.text
    assert found() == [("TRADE", "FEE", 100, 60)]
    close_all()


def test_a_day_in_trouble_leaves_the_others_and_is_tried_again(past, caplog):
    past.go(days=3)
    past.paid(9900)
    older = past.day
    past.go(days=2)
    past.paid(9900)
    past.back()
    for day in (older, past.day):
        ChannelDay.objects.create(channel="WECHAT", day=day, tried_at=now())
    past.scene.switch("error_before", on="/v3/bill/tradebill")

    tasks.fetch_bills()
    assert waits(older)
    assert ChannelDay.objects.get(day=older).problem
    assert ChannelDay.objects.get(day=past.day).status == "EVEN"

    tasks.fetch_bills()
    assert not waits(older)
    assert ChannelDay.objects.get(day=older).problem == ""


def test_a_channel_that_is_off_is_not_asked(past, settings):
    settings.WECHAT_PAY = {}

    tasks.fetch_bills()

    assert not ChannelDay.objects.exists()


def test_more_than_can_be_asked_in_one_round_goes_on_in_the_next(past, monkeypatch):
    monkeypatch.setattr(services, "ASKED_AT_ONCE", 1)
    past.paid(9900, told=False)
    past.paid(8800, told=False)

    with pytest.raises(ChannelSilent, match="没有向渠道查询完"):
        past.taken_in()
    assert nothing_came_of_it()

    assert past.taken_in().status == "EVEN"


def test_a_difference_is_closed_once_and_with_a_reason(past, settings):
    settings.CHANNEL_FEE_PERCENT = {"wechat": 1}
    past.paid(10_000)
    day = past.taken_in()
    difference = ChannelDifference.objects.get()

    with pytest.raises(IntegrityError, match="closed_with_reason"), transaction.atomic():
        services.close(difference=difference, reason="", actor="U1", at=now())
    services.close(difference=difference, reason="费率协议为 0.6%", actor="U1", at=now())
    with pytest.raises(StaleState):
        services.close(difference=difference, reason="again", actor="U2", at=now())

    day.refresh_from_db()
    difference.refresh_from_db()
    assert (day.status, difference.closed_by) == ("SETTLED", "U1")


# --- which days ---------------------------------------------------------------------------------

NOON = datetime(2026, 11, 25, 12, tzinfo=SHANGHAI)


def test_a_new_channel_begins_with_yesterday_once_its_bill_is_made():
    assert due(last=None, waiting=[], at=NOON) == [date(2026, 11, 24)]
    early = NOON.replace(hour=9, minute=59)
    assert due(last=None, waiting=[], at=early) == [date(2026, 11, 23)]
    assert due(last=date(2026, 11, 24), waiting=[], at=NOON.astimezone(UTC)) == []


def test_after_a_pause_days_come_by_the_week_and_missing_ones_again():
    last, waiting = NOON.date() - timedelta(days=20), [NOON.date() - timedelta(days=30)]

    days = due(last=last, waiting=waiting, at=NOON)

    assert days[0] == waiting[0]
    assert days[1:] == [last + timedelta(days=n) for n in range(1, MOST_DAYS + 1)]
    assert due(last=NOON.date() - timedelta(days=200), waiting=[], at=NOON)[0] > date(2026, 8, 25)
