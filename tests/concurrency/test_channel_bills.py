"""A day's bills taken in by several workers at once; each race beside a control."""

import time

import pytest
from django.db import transaction
from django.utils.timezone import now

from payments.bills import services
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import Moved, posting
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.models import Posting
from tests.concurrency.together import together
from tests.payments.bills.conftest import (  # noqa: F401
    alipay_scene,
    sandbox,
    sandbox_process,
    scene,
)
from tests.payments.bills.past import AlipayPast, Past, close_all, fee

pytestmark = pytest.mark.django_db(transaction=True)
DEAR = {"wechat": 1, "alipay": 1}  # not what they take


@pytest.fixture(params=[(Past, "scene"), (AlipayPast, "alipay_scene")], ids=["WeChat", "Alipay"])
def past(request):
    kind, of = request.param
    past = kind(request.getfixturevalue(of))
    past.go(days=2)
    return past


def take_in(past, day=None):
    return services.take_in(name=past.channel, day=day or past.day, at=now()).status


def test_one_day_at_four_workers_is_booked_once(past, settings):
    settings.CHANNEL_FEE_PERCENT = DEAR
    past.paid(10_000)
    past.paid(20_000, told=False)
    past.back()

    assert together(4, lambda i: take_in(past)) == {"DIFFERS": 4}

    assert Posting.objects.filter(kind="CHANNEL_DAY").count() == 1
    assert ChannelDay.objects.count() == 1
    assert ChannelDifference.objects.count() == 2
    assert books.balance(past.account) == past.opening_fen + 30_000 - fee(10_000) - fee(20_000)
    close_all()


def test_two_days_at_once_open_the_books_once(past):
    past.go(days=3)
    past.paid(10_000)
    first = past.day
    past.go(days=2)
    past.paid(20_000)
    past.back()

    assert together(2, lambda i: take_in(past, [first, past.day][i])) == {"EVEN": 2}

    assert books.balance(f"opening:{past.channel.lower()}") == past.opening_fen
    assert books.balance(past.account) == past.opening_fen + 30_000 - fee(10_000) - fee(20_000)


def test_who_looks_without_the_lock_finds_nothing_and_books_again(past):
    """If this ever fails, the tests above prove nothing."""
    name = past.channel.lower()

    def careless(i):
        with transaction.atomic():
            told = Posting.objects.filter(kind="CHANNEL_DAY", reference=f"{name}:{past.day}")
            if told.exists():
                return "known"
            time.sleep(0.1)
            moved = Moved(paid_fen=100)
            draft = posting(name=name, account=past.account, day=past.day, moved=moved)
            ledger.post([draft], at=now())
            transaction.set_rollback(True)  # the control's books are nobody's
            return "booked"

    assert together(4, careless)["booked"] == 4


def test_a_difference_is_closed_by_one_of_two_people(past, settings):
    settings.CHANNEL_FEE_PERCENT = DEAR
    past.paid(10_000)
    past.taken_in()
    difference = ChannelDifference.objects.get()

    def close(i):
        services.close(difference=difference, reason=f"第 {i} 人", actor=f"U{i}", at=now())

    assert together(4, close) == {"ok": 1, "STALE_STATE": 3}
    assert ChannelDay.objects.get().status == "SETTLED"


def test_the_last_two_differences_closed_at_once_settle_the_day(past, settings):
    settings.CHANNEL_FEE_PERCENT = DEAR
    past.paid(10_000)
    past.paid(20_000)
    past.taken_in()
    both = list(ChannelDifference.objects.order_by("pk"))

    def close(i):
        services.close(difference=both[i], reason="已核实", actor="U1", at=now())

    assert together(2, close) == {"ok": 2}
    assert ChannelDay.objects.get().status == "SETTLED"
