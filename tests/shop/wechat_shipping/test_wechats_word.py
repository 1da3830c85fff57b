"""What WeChat pushes, and what it answers when asked: it is compared, and moves no money."""

import json
import time
from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils.timezone import now
from rest_framework.test import APIClient

from payments.ledger.models import Posting
from shop.orders.models import Order
from shop.wechat_shipping import services, tasks
from shop.wechat_shipping.models import ShippingReport, WeChatPush
from shop.wechat_shipping.queries import findings
from tests.sandbox.wechat_mail import TOKEN, signed
from tests.shop.wechat_shipping.scene import QUERY

HOOK = "/api/v1/hooks/wechat"
LIVE = pytest.mark.django_db(transaction=True)


def pushed(scene, seconds=10):
    """Until WeChat has nothing more to tell; the deliveries that were tried."""
    deadline = time.monotonic() + seconds
    while (seen := scene.sandbox.get("/__sandbox__/shipping/pushes").json())["waiting"]:
        assert time.monotonic() < deadline, seen
        time.sleep(0.02)
    return seen["tried"]


def reported(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sweep()
    return order


# --- the hook, over HTTP --------------------------------------------------------------------------


@LIVE
def test_the_settlement_is_written_down_and_releases_nothing(scene, live_server):
    scene.sandbox.push_to(live_server.url)
    order = reported(scene)
    postings = Posting.objects.count()

    scene.happens("settle", order, method=2)

    tried = pushed(scene)
    assert [one["status"] for one in tried] == [200, 200]  # when it was sent, when it settled
    assert {one["answer"] for one in tried} == {"success"}
    report = scene.report(order)
    assert (report.status, report.difference) == ("CONFIRMED", "")
    assert report.confirmed_at
    assert report.settled_at
    assert report.events.get(kind="CONFIRMED").facts["method"] == "买家确认"
    assert Order.objects.get(pk=order.pk).status == "SHIPPED"
    assert Posting.objects.count() == postings


@LIVE
@pytest.mark.parametrize("fault", ["duplicate", "error_after", "error_before", "slow"])
def test_each_event_is_taken_once(scene, live_server, fault):
    order = reported(scene)
    scene.sandbox.push_to(live_server.url)
    scene.sandbox.faults("wechat-push", fault, seconds=0.2)

    scene.happens("settle", order)

    pushed(scene)
    assert WeChatPush.objects.count() == 1
    assert scene.report(order).status == "CONFIRMED"
    assert scene.report(order).events.filter(kind="CONFIRMED").count() == 1


@LIVE
@pytest.mark.parametrize("fault", ["bad_signature", "stale", "other_app", "plain"])
def test_a_push_that_proves_nothing_is_refused_and_comes_again(scene, live_server, fault):
    order = reported(scene)
    scene.sandbox.push_to(live_server.url)
    scene.sandbox.faults("wechat-push", fault)

    scene.happens("settle", order)

    assert [one["status"] for one in pushed(scene)] == [401, 200]
    assert WeChatPush.objects.count() == 1
    assert scene.report(order).status == "CONFIRMED"


@LIVE
def test_the_address_is_verified_when_it_is_saved(scene, live_server):
    asked = {"url": live_server.url, "echostr": "<b>1234"}

    good = scene.sandbox.control("shipping/verify", **asked)
    bad = scene.sandbox.control("shipping/verify", **asked, token="somebody")

    assert good == {"status": 200, "said": "<b>1234"}
    assert bad["status"] == 401
    assert "1234" not in bad["said"]


@pytest.mark.django_db
def test_what_is_echoed_is_never_html(scene):
    at = str(int(now().timestamp()))
    query = {"timestamp": at, "nonce": "n", "signature": signed(TOKEN, at, "n"), "echostr": "<b>"}

    answer = APIClient().get(HOOK, query)

    assert answer["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.django_db
def test_without_a_token_there_is_no_hook(scene, settings):
    settings.WECHAT_PUSH_TOKEN = ""

    assert APIClient().get(HOOK).status_code == 404
    assert APIClient().post(HOOK, {}, format="json").status_code == 404


@pytest.mark.django_db
def test_a_push_that_is_too_large_is_not_read(scene):
    body = json.dumps({"Encrypt": "A" * 70_000})

    assert APIClient().generic("POST", HOOK, body).status_code == 413


@LIVE
@pytest.mark.parametrize(
    ("event", "fields", "problem"),
    [
        ("trade_manage_order_settlement", {"transaction_id": "4200"}, "4200 不是本店的"),
        ("trade_manage_remind_shipping", {}, "（空） 不是本店的"),
        ("trade_manage_remind_access_api", {"msg": "请接入"}, "要求接入"),
        ("wxa_trade_controlled", {"msg": "管控"}, "管控"),
    ],
)
def test_what_a_person_must_see_is_kept_with_its_problem(
    scene, live_server, event, fields, problem
):
    scene.sandbox.push_to(live_server.url)

    scene.sandbox.control("shipping/push", event=event, **fields)

    assert [one["status"] for one in pushed(scene)] == [200]
    assert problem in WeChatPush.objects.get().problem


@LIVE
def test_what_is_not_about_orders_is_acknowledged_and_not_kept(scene, live_server):
    scene.sandbox.push_to(live_server.url)

    scene.sandbox.control("shipping/push", event="user_enter_tempsession")

    assert [one["answer"] for one in pushed(scene)] == ["success"]
    assert not WeChatPush.objects.exists()


@LIVE
def test_another_number_with_it_is_nobodys_word(scene, live_server):
    order = reported(scene)
    scene.sandbox.push_to(live_server.url)

    scene.sandbox.control(
        "shipping/push",
        event="trade_manage_order_settlement",
        transaction_id=scene.id_of(order),
        merchant_trade_no="P-SOMEBODY",
        settlement_time=1_800_000_000,
    )

    pushed(scene)
    assert "不符" in WeChatPush.objects.get().problem
    assert scene.report(order).status == "REPORTED"


@LIVE
def test_confirmed_although_nothing_was_told_is_a_difference(scene, live_server):
    order = scene.paid()
    scene.sandbox.push_to(live_server.url)

    scene.happens("settle", order)

    pushed(scene)
    report = scene.report(order)
    assert report.status == "CONFIRMED"
    assert "还没有上报" in report.difference
    services.settle_difference(report=report, reason="已联系微信", actor="U1", at=now())
    assert scene.report(order).difference == ""


@LIVE
def test_a_reminder_of_what_was_told_is_looked_into(scene, live_server):
    order = reported(scene)
    scene.sandbox.push_to(live_server.url)

    scene.happens("remind", order)

    pushed(scene)
    assert scene.report(order).compare_at <= now()
    tasks.compare()
    assert scene.report(order).compare_at > now()
    assert scene.report(order).difference == ""


# --- asking ---------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_what_was_told_is_compared_after_a_while(scene, time_machine):
    order = reported(scene)
    scene.happens("confirm", order)
    tasks.compare()
    assert scene.report(order).status == "REPORTED"

    time_machine.move_to(now() + timedelta(hours=12, minutes=1), tick=True)
    tasks.compare()
    tasks.compare()

    assert scene.report(order).status == "CONFIRMED"
    assert len(scene.sandbox.journal(QUERY)) == 1


@pytest.mark.django_db
def test_no_answer_is_no_word(scene):
    order = reported(scene)
    scene.sandbox.faults(QUERY, "reset")

    report = scene.compare(order)

    assert (report.status, report.difference) == ("REPORTED", "")


@pytest.mark.django_db
def test_told_and_lost_by_wechat_is_a_difference(scene):
    """The control of the comparison: only our own row is changed."""
    order = scene.paid()
    scene.sweep()
    ShippingReport.objects.update(
        status="REPORTED", reported_at=now(), told={"shipping_list": [{"tracking_no": "ZT1"}]}
    )

    assert "仍显示待发货" in scene.compare(order).difference


@pytest.mark.django_db
def test_other_numbers_at_wechat_are_a_difference_that_goes_when_they_agree(scene, caplog):
    order = reported(scene)
    told = scene.report(order).told
    ShippingReport.objects.update(told={"shipping_list": [{"tracking_no": "ZT0"}]})

    assert "ZT1001" in scene.compare(order).difference
    scene.compare(order)
    assert caplog.text.count("differs") == 1

    ShippingReport.objects.update(told=told)
    assert scene.compare(order).difference == ""


@pytest.mark.django_db
def test_an_answer_that_we_never_heard_is_found_by_asking(scene):
    order = reported(scene)
    ShippingReport.objects.update(status="FAILED", told={}, last_error="微信拒绝")

    report = scene.compare(order)

    assert (report.status, report.difference) == ("REPORTED", "")


# --- the database and the audit -------------------------------------------------------------------


@pytest.mark.django_db
def test_a_forgotten_payment_and_an_untold_parcel_are_findings(scene, time_machine):
    order = scene.paid()
    assert list(findings()) == []
    scene.sweep()
    scene.ship(order)
    scene.sweep()
    assert list(findings()) == []

    ShippingReport.objects.update(told={"shipping_list": [{"tracking_no": "ZT0"}]})
    assert "ZT1001 没有上报" in next(findings())
    ShippingReport.objects.update(told={"shipping_list": [{"tracking_no": "ZT1001"}]})


@pytest.mark.django_db
def test_events_are_only_added_to(scene):
    reported(scene)

    with pytest.raises(Exception, match="append"), transaction.atomic():
        connection.cursor().execute("UPDATE shop_shippingevent SET kind = 'X'")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"status": "LOST"}, "shipping_report_status_known"),
        ({"reported_at": None}, "shipping_report_told_has_time"),
        ({"status": "CORRECTED"}, "shipping_report_corrected_was_asked"),
        ({"status": "FAILED"}, "shipping_report_failed_says_why"),
        ({"next_try_at": "2026-11-25T00:00Z"}, "shipping_report_tries_what_waits"),
    ],
)
def test_the_database_refuses_what_cannot_be(scene, change, sentence):
    reported(scene)

    with pytest.raises(IntegrityError, match=sentence), transaction.atomic():
        ShippingReport.objects.update(**change)
