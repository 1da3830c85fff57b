"""What was sent is told to WeChat once, whatever happens on the way."""

import logging
import time
from datetime import timedelta

import pytest
from django.utils.timezone import now

from config.kit.errors import StaleState
from payments.cashier import tasks as cashier
from payments.cashier.models import Refund
from shop.orders import services as orders
from shop.wechat_shipping import sending, services, tasks
from shop.wechat_shipping.models import ShippingEvent, ShippingReport
from tests.sandbox.shipping import COMPANIES
from tests.shop.wechat_shipping.scene import UPLOAD

pytestmark = pytest.mark.django_db


def test_a_payment_is_expected_to_be_reported_within_48_hours(scene):
    order = scene.paid()

    scene.sweep()

    report = scene.report(order)
    assert (report.status, report.next_try_at) == ("WAITING", None)
    assert report.deadline == report.trade.paid_at + timedelta(hours=48)
    assert scene.uploads() == []


def test_one_parcel_is_told_with_its_carriers_code(scene):
    order = scene.paid()
    scene.ship(order)

    scene.sweep()
    scene.sweep()

    [told] = scene.uploads()
    assert (told["logistics_type"], told["delivery_mode"]) == (1, 1)
    [parcel] = told["shipping_list"]
    assert parcel == {
        "tracking_no": "ZT1001",
        "express_company": "ZTO",
        "item_desc": "明前龙井 250g ×1",
    }
    assert scene.report(order).status == "REPORTED"
    assert scene.at_wechat(order)["order_state"] == 2


def test_the_buyers_number_goes_to_sf_only_and_masked(scene):
    order = scene.paid()
    scene.ship(order, "SF1", carrier="顺丰")

    scene.sweep()

    [parcel] = scene.uploads()[0]["shipping_list"]
    assert parcel["express_company"] == "SF"
    assert parcel["contact"] == {"receiver_contact": "138****8000"}


def test_several_parcels_are_told_as_they_leave(scene):
    order = scene.paid(skus=2)
    scene.ship(order, "ZT1", lines=[1])
    scene.sweep()
    assert scene.report(order).status == "WAITING"
    assert scene.at_wechat(order)["order_state"] == 1

    scene.ship(order, "ZT2", lines=[2])
    scene.sweep()

    assert scene.report(order).status == "REPORTED"
    assert scene.numbers(order) == ["ZT1", "ZT2"]
    known = scene.at_wechat(order)["shipping"]
    assert (known["delivery_mode"], known["finish_shipping_count"]) == (2, 1)
    assert len(scene.uploads()) == 2


def test_without_logistics_it_is_a_pick_up_told_when_all_is_gone(scene):
    order = scene.paid(skus=2)
    scene.ship(order, "", lines=[1])
    scene.sweep()
    assert scene.uploads() == []

    scene.ship(order, "", lines=[2])
    scene.sweep()

    [told] = scene.uploads()
    assert told["logistics_type"] == 4
    assert told["shipping_list"] == [{"item_desc": "茶0 250g ×1；茶1 250g ×1"}]
    assert scene.report(order).status == "REPORTED"


def test_what_came_without_a_carrier_is_named_with_the_parcel(scene):
    order = scene.paid(skus=2)
    scene.ship(order, "", lines=[1])
    scene.ship(order, "ZT2", lines=[2])

    scene.sweep()

    [parcel] = scene.uploads()[0]["shipping_list"]
    assert parcel["item_desc"] == "茶1 250g ×1；茶0 250g ×1"
    assert scene.report(order).status == "REPORTED"


def test_a_clerk_says_that_it_is_virtual(scene):
    order = scene.paid()
    scene.sweep()
    services.choose_kind(report=scene.report(order), kind=3, actor="U1", at=now())
    scene.ship(order, "")

    scene.sweep()

    assert scene.uploads()[0]["logistics_type"] == 3
    with pytest.raises(StaleState):
        services.choose_kind(report=scene.report(order), kind=4, actor="U1", at=now())


def test_what_goes_back_before_it_was_sent_is_not_told(scene):
    order = scene.paid()
    scene.sweep()
    orders.cancel(order=order, actor="", at=now())
    scene.sweep()
    # Not before WeChat says that the money is back.
    assert scene.report(order).status == "WAITING"

    refunded(scene, order)

    assert scene.report(order).status == "CLOSED"
    assert scene.uploads() == []


def refunded(scene, order):
    """The refund ends at WeChat, and is asked about until it has."""
    deadline = time.monotonic() + 10
    while scene.report(order).status == "WAITING":
        assert time.monotonic() < deadline
        cashier.send_refund(refund_id=Refund.objects.get().pk)
        scene.sweep()
        time.sleep(0.1)


# --- misfortunes ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset", "error_after", "garbage", "slow"])
def test_a_lost_answer_is_repeated_and_changes_nothing(scene, kind):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, kind, seconds=6)

    scene.sweep()
    report = scene.report(order)
    assert (report.status, report.attempts) == ("WAITING", 1)
    assert "没有应答" in report.last_error
    assert report.next_try_at > now()
    assert scene.at_wechat(order)["order_state"] == 2  # it had arrived

    scene.later(order)
    assert scene.report(order).status == "REPORTED"
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 1


@pytest.mark.parametrize(("errcode", "at_least"), [(45009, 590), (45011, 55), (10060019, 25)])
def test_who_is_told_to_wait_waits(scene, errcode, at_least):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "errcode", errcode=errcode)

    scene.sweep()

    report = scene.report(order)
    assert report.status == "WAITING"
    assert report.next_try_at > now() + timedelta(seconds=at_least)
    scene.later(order)
    assert scene.report(order).status == "REPORTED"


def test_a_payment_that_wechat_has_not_heard_of_yet(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.control("shipping/ingest", seconds=3600)

    waits = []
    for _ in range(3):
        scene.later(order)
        report = scene.report(order)
        waits.append((report.next_try_at - now()).total_seconds())
    assert "没有收录" in report.last_error
    assert [round(wait, -1) for wait in waits] == [10, 60, 300]

    scene.sandbox.move_clock(3600)
    scene.later(order)
    assert scene.report(order).status == "REPORTED"


def test_no_rights_at_wechat_is_a_crash_for_a_person_and_is_repeated(scene, caplog):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "errcode", errcode=48001)

    with caplog.at_level(logging.ERROR, "shop.wechat_shipping"):
        scene.sweep()

    assert "cannot be reported" in caplog.text
    assert "权限" in scene.report(order).last_error
    scene.later(order)
    assert scene.report(order).status == "REPORTED"


def test_what_wechat_refuses_waits_for_a_person(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "errcode", errcode=10060031)

    scene.sweep()
    scene.sweep()

    report = scene.report(order)
    assert (report.status, report.next_try_at) == ("FAILED", None)
    assert report.last_error == "付款人的微信与订单不符（10060031）"
    assert len(scene.uploads()) == 1

    services.retry(report=report, actor="U1", at=now())
    scene.sweep()
    assert scene.report(order).status == "REPORTED"
    kinds = list(ShippingEvent.objects.order_by("pk").values_list("kind", flat=True))
    assert kinds == ["FAILED", "RETRIED", "REPORTED"]


def test_a_carrier_that_wechat_does_not_know_is_told_to_the_clerk(scene):
    order = scene.paid()
    scene.ship(order, "X1", carrier="村口老王")

    scene.sweep()

    report = scene.report(order)
    assert report.status == "FAILED"
    assert "村口老王" in report.last_error
    assert scene.uploads() == []
    assert len(scene.sandbox.journal(COMPANIES)) == 1

    # Nothing was told, so this is not the one correction.
    scene.correct(order, "ZT9")
    scene.sweep()
    report = scene.report(order)
    assert (report.status, report.correction_asked_at) == ("REPORTED", None)
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 1


def test_told_by_somebody_else_meanwhile_wechats_list_decides(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sweep()
    scene.happens("confirm", order)
    ShippingReport.objects.update(status="WAITING", told={}, next_try_at=now())

    scene.sweep()

    assert scene.report(order).status == "CONFIRMED"


def test_a_worker_that_died_loses_his_turn_after_the_lease(scene):
    order = scene.paid()
    scene.ship(order)
    services.discover(at=now())
    services.notice(at=now())
    assert services.claim(at=now()) is not None  # and was killed

    scene.sweep()
    assert scene.report(order).status == "WAITING"

    scene.later(order)
    assert scene.report(order).status == "REPORTED"


def test_a_worker_that_woke_up_late_changes_nothing(scene):
    """He had read the parcel before it was corrected: WeChat keeps the newer word, and so do we."""
    order = scene.paid()
    scene.ship(order)
    services.discover(at=now())
    services.notice(at=now())
    slow = services.claim(at=now())
    scene.later(order)
    scene.correct(order, "ZT2")
    scene.sweep()
    assert scene.report(order).status == "CORRECTED"

    sending.report(claim=slow, at=now())

    assert scene.report(order).status == "CORRECTED"
    assert scene.numbers(order) == ["ZT2"]
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 2


def test_without_wechat_pay_nobody_is_asked(scene, settings):
    settings.WECHAT_PAY = {}
    for job in (tasks.report, tasks.compare, tasks.alert, tasks.check_managed):
        job()

    assert scene.sandbox.journal() == []


def test_a_mini_program_outside_the_management_is_said(scene, caplog):
    tasks.check_managed()
    assert not caplog.records
    scene.sandbox.control("shipping/managed", is_managed=False)

    tasks.check_managed()

    assert "发货信息管理" in caplog.text


# --- deadlines ------------------------------------------------------------------------------------


def test_what_is_not_told_before_the_deadline_is_an_alarm_once(scene, caplog, time_machine):
    order = scene.paid()
    scene.sweep()
    tasks.alert()
    assert not caplog.records

    time_machine.move_to(now() + timedelta(hours=36, minutes=1), tick=True)
    tasks.alert()
    tasks.alert()

    assert caplog.text.count("is due at") == 1
    assert order.number in caplog.text
    assert scene.report(order).alerted_at


def test_what_was_told_is_no_alarm(scene, caplog, time_machine):
    order = scene.paid()
    scene.ship(order)
    scene.sweep()

    time_machine.move_to(now() + timedelta(hours=47), tick=True)
    tasks.alert()

    assert not caplog.records
    assert scene.report(order).alerted_at is None
