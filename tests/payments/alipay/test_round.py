"""A payment by Alipay until it is paid, with every misfortune on the way."""

import time
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from django.utils.timezone import now

from payments.alipay.models import AlipayNotice
from payments.cashier import services as cashier
from payments.cashier.models import Receipt
from payments.channels.answers import ChannelSilent
from payments.ledger import queries as books
from tests.factories import make_user
from tests.payments import payable
from tests.payments.alipay.scene import (
    CLEARING,
    TAKEN,
    UNPROVEN,
    WAYS,
    status,
    swept,
    trade_of,
)

pytestmark = pytest.mark.django_db
ways = pytest.mark.parametrize("way", WAYS)


# --- paid ---------------------------------------------------------------------------------------


@ways
def test_a_notice_turns_a_payment(scene, way):
    payment = scene.opened(9900, method=way)
    if way == "ALIPAY_LINK":
        scene.follow(payment)

    scene.pay(payment)
    assert status(payment) == "WAITING"

    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"
    assert payable.told.paid == [payment.reference]
    assert books.balance(CLEARING) == 9900
    assert Receipt.objects.get().channel_txn == trade_of(payment).trade_no
    assert not AlipayNotice.objects.exclude(problem="").exists()


def test_before_anybody_scans_there_is_no_trade_and_that_is_no_error(scene, time_machine):
    payment = scene.opened()

    swept(time_machine, after=timedelta(seconds=15))

    assert (status(payment), scene.trades()) == ("WAITING", {})
    assert not AlipayNotice.objects.exists()


def test_asked_twice_there_is_one_number_and_one_code(scene):
    payer = make_user()
    first = scene.opened(reference="A0", payer=payer)
    code = scene.instructions(first)["qr_content"]

    again = scene.opened(reference="A0", payer=payer)

    assert again.pk == first.pk
    assert scene.instructions(again)["qr_content"] == code
    assert trade_of(first).out_trade_no == first.number


@pytest.mark.parametrize("fault", UNPROVEN)
def test_a_code_without_a_good_answer_is_asked_for_again_under_the_same_number(scene, fault):
    payment = scene.unprepared()
    scene.switch(fault, method="alipay.trade.precreate")

    with pytest.raises(ChannelSilent):
        cashier.prepare(payment=payment, at=now())
    assert scene.instructions(payment) == {}

    cashier.prepare(payment=payment, at=now())
    assert trade_of(payment).out_trade_no == payment.number
    scene.pay(payment)
    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"


def test_a_brace_in_a_value_does_not_lead_the_reader_astray(scene):
    payment = scene.unprepared()
    scene.switch("unbalanced")

    cashier.prepare(payment=payment, at=now())

    assert scene.instructions(payment)["qr_content"]


def test_beijing_s_time_is_told_whatever_the_server_s_zone(scene, monkeypatch):
    """The library would tell the server's own; Alipay refuses what is ten minutes off."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        payment = scene.opened()
    finally:
        monkeypatch.undo()
        time.tzset()

    assert scene.instructions(payment)["qr_content"]


# --- notices that say something else -------------------------------------------------------------


@pytest.mark.parametrize("kind", ["double", "double_new"])
def test_told_twice_is_paid_once(scene, kind):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)

    assert scene.deliver(2) == [TAKEN, TAKEN]
    assert Receipt.objects.count() == 1
    assert books.balance(CLEARING) == 9900
    assert not AlipayNotice.objects.exclude(problem="").exists()


@pytest.mark.parametrize("kind", ["bad_signature", "other_key"])
def test_a_forged_notice_is_refused_and_made_up_for_by_asking(scene, time_machine, kind):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)

    assert scene.deliver() == [(401, b"failure")]
    assert (status(payment), AlipayNotice.objects.count()) == ("WAITING", 0)

    swept(time_machine, after=timedelta(seconds=15))
    assert (status(payment), books.balance(CLEARING)) == ("CONFIRMED", 9900)


def test_a_letter_lost_on_the_way_comes_again(scene):
    payment = scene.opened()
    scene.switch("lost")
    scene.pay(payment)
    scene.sandbox.move_clock(250)

    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"


def test_an_empty_field_is_not_signed(scene):
    payment = scene.opened()
    scene.switch("empty_field")

    scene.pay(payment)

    assert scene.deliver() == [TAKEN]
    assert status(payment) == "CONFIRMED"


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ("wrong_amount", "金额 9901 分，应为 9900 分"),
        ("wrong_seller", "卖家 2088000000000002 不是本店的 2088000000000001"),
        ("wrong_app", "应用 2021000000000002 不是本店的 2021000000000001"),
        ("unknown_order", "不是本店的"),
    ],
)
def test_what_a_retry_cannot_mend_is_kept_for_a_person(scene, kind, problem):
    payment = scene.opened(9900)
    scene.switch(kind)

    scene.pay(payment)

    assert scene.deliver() == [TAKEN]
    assert problem in AlipayNotice.objects.get().problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


def test_another_amount_found_by_asking_is_kept_for_a_person_once(scene, time_machine):
    payment = scene.opened(9900)
    scene.pay(payment, amount_fen=1)

    swept(time_machine, after=timedelta(seconds=15))
    swept(time_machine, after=timedelta(seconds=60))

    assert "金额 1 分，应为 9900 分" in AlipayNotice.objects.get().problem
    assert (status(payment), books.balance(CLEARING)) == ("WAITING", 0)


@pytest.mark.parametrize(
    "craft",
    [
        {"fields": {"trade_status": "WAIT_BUYER_PAY"}},
        {"fields": {"trade_status": "TRADE_PENDING"}},
    ],
)
def test_what_is_no_success_pays_nothing(scene, craft):
    payment = scene.opened()
    scene.switch("drop")
    scene.pay(payment)

    scene.control("notify", payment, **craft)

    assert scene.deliver() == [TAKEN]
    assert status(payment) == "WAITING"


@pytest.mark.parametrize(
    "craft",
    [
        {"key": "sha1"},
        {"without": ["sign_type"]},
        {"without": ["sign"]},
        {"unsigned": {"total_amount": "0.01"}},
        {"unsigned": {"extra": "1"}},
        {"charset": "gbk"},
    ],
)
def test_only_what_is_signed_as_we_have_asked_is_heard(scene, craft):
    payment = scene.opened()
    scene.switch("drop")
    scene.pay(payment)

    scene.control("notify", payment, **craft)

    assert scene.deliver() == [(401, b"failure")]
    assert (status(payment), AlipayNotice.objects.count()) == ("WAITING", 0)


def test_the_same_letter_again_is_known(scene):
    payment = scene.opened()
    scene.pay(payment)
    [letter] = scene.letters()

    assert [scene.hand_over(letter) for _ in range(3)] == [TAKEN] * 3
    assert (Receipt.objects.count(), AlipayNotice.objects.count()) == (1, 1)
    assert status(payment) == "CONFIRMED"


@pytest.mark.parametrize("kind", ["drop", "late"])
def test_a_lost_notice_is_made_up_for_by_asking(scene, time_machine, kind):
    payment = scene.opened(9900)
    scene.switch(kind)
    scene.pay(payment)

    swept(time_machine, after=timedelta(seconds=15))

    assert status(payment) == "CONFIRMED"
    assert books.balance(CLEARING) == 9900


def test_the_late_notice_of_what_was_asked_about_is_no_second_payment(scene, time_machine):
    payment = scene.opened(9900)
    scene.pay(payment)
    swept(time_machine, after=timedelta(seconds=15))

    assert scene.deliver() == [TAKEN]
    assert Receipt.objects.count() == 1


@pytest.mark.parametrize("fault", UNPROVEN)
def test_nothing_is_concluded_from_an_unproven_answer(scene, time_machine, fault):
    payment = scene.opened(9900)
    scene.switch("drop")
    scene.pay(payment)
    scene.switch(fault, method="alipay.trade.query")

    swept(time_machine, after=timedelta(seconds=15))
    assert status(payment) == "WAITING"

    swept(time_machine, after=timedelta(seconds=30))
    assert status(payment) == "CONFIRMED"


def test_the_address_of_the_cashier_names_product_amount_and_the_last_moment(scene):
    payment = scene.opened(123456, method="ALIPAY_LINK")

    asked = parse_qs(urlsplit(scene.leave(payment)).query)

    content = asked["biz_content"][0]
    assert asked["method"] == ["alipay.trade.wap.pay"]
    assert '"product_code":"QUICK_WAP_WAY"' in content
    assert '"total_amount":"1234.56"' in content
    assert '"time_expire":"' in content
