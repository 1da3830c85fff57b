"""The page of shipping information: what a clerk sees and does, what the dashboard says."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils.timezone import now

from shop.fulfilment.models import Shipment
from shop.wechat_shipping import tasks
from shop.wechat_shipping.models import ShippingReport
from tests.admin.pages import opened, url
from tests.admin.stage import PASSWORD
from tests.factories import make_merchant, make_staff, make_user
from tests.shop.wechat_shipping.conftest import (  # noqa: F401
    sandbox,
    sandbox_process,
    scene,
)  # fmt: skip
from tests.shop.wechat_shipping.scene import UPLOAD

pytestmark = pytest.mark.django_db
LABEL = "shop.ShippingReport"
ASK = "/wxa/sec/order/notify_confirm_receive"


def clerk(order, role="OPERATOR"):
    person = make_user("小李", username=f"clerk{role}".lower(), password=PASSWORD)
    return opened(make_staff(order.merchant, role, user=person))


def reported(scene):  # noqa: F811
    order = scene.paid()
    scene.ship(order)
    scene.sweep()
    return order


def text_of(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_list_says_what_is_wrong_in_chinese(scene):  # noqa: F811
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "errcode", errcode=10060031)
    scene.sweep()

    text = text_of(clerk(order), url(LABEL, "changelist") + "?for_a_person=1")

    assert order.number in text
    assert "上报失败" in text
    assert "付款人的微信与订单不符" in text


def test_a_clerk_reports_again(scene):  # noqa: F811
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "errcode", errcode=10060031)
    scene.sweep()
    client, row = clerk(order), scene.report(order)

    assert client.post(url(LABEL, "retry", row.pk), {}).status_code == 302
    scene.sweep()

    assert scene.report(order).status == "REPORTED"
    assert "重新上报" in text_of(client, url(LABEL, "change", row.pk))


def test_a_clerk_corrects_once_and_is_told_so_the_second_time(scene):  # noqa: F811
    order = reported(scene)
    client, row = clerk(order), scene.report(order)
    typed = {"shipment": Shipment.objects.get().pk, "carrier": "中通快递", "tracking_no": "ZT2"}

    assert "只允许更正一次" in text_of(client, url(LABEL, "correct", row.pk))
    assert client.post(url(LABEL, "correct", row.pk), typed).status_code == 302
    scene.sweep()
    assert scene.report(order).status == "CORRECTED"

    again = client.post(url(LABEL, "correct", row.pk), {**typed, "tracking_no": "ZT3"})
    assert "已经更正过" in again.content.decode()
    assert Shipment.objects.get().tracking_no == "ZT2"


def test_a_difference_is_closed_with_a_reason(scene):  # noqa: F811
    order = reported(scene)
    ShippingReport.objects.update(difference="微信登记的运单号与本店不同：ZT9")
    client, row = clerk(order), scene.report(order)
    assert "微信发货待处理" in text_of(client, "/admin/")

    assert client.post(url(LABEL, "settle", row.pk), {"reason": ""}).status_code == 200
    assert scene.report(order).difference
    assert client.post(url(LABEL, "settle", row.pk), {"reason": "已核对"}).status_code == 302

    assert scene.report(order).difference == ""
    assert "微信发货待处理" not in text_of(client, "/admin/")


def test_the_buyer_is_asked_for_his_word_once(scene):  # noqa: F811
    order = reported(scene)
    client, row = clerk(order), scene.report(order)
    typed = {"delivered_at": "2026-11-25 12:00"}

    scene.sandbox.faults(ASK, "errcode", errcode=45009)
    assert "繁忙" in client.post(url(LABEL, "ask_receipt", row.pk), typed).content.decode()
    scene.sandbox.faults(ASK, "errcode", errcode=10060004)
    assert "没有接受" in client.post(url(LABEL, "ask_receipt", row.pk), typed).content.decode()
    assert scene.report(order).receipt_asked_at is None

    assert client.post(url(LABEL, "ask_receipt", row.pk), typed).status_code == 302
    assert scene.report(order).receipt_asked_at
    again = client.post(url(LABEL, "ask_receipt", row.pk), typed)
    assert "只提醒一次" in again.content.decode()
    assert len(scene.sandbox.journal(ASK)) == 3


def test_without_an_answer_the_buyer_counts_as_asked(scene):  # noqa: F811
    order = reported(scene)
    client, row = clerk(order), scene.report(order)
    scene.sandbox.faults(ASK, "reset")

    client.post(url(LABEL, "ask_receipt", row.pk), {"delivered_at": "2026-11-25 12:00"})

    assert scene.report(order).receipt_asked_at
    assert len(scene.sandbox.journal(ASK)) == 1


def test_the_dashboard_warns_before_the_deadline(scene):  # noqa: F811
    order = scene.paid()
    scene.sweep()
    client = clerk(order)
    assert "微信发货将逾期" not in text_of(client, "/admin/")

    ShippingReport.objects.update(deadline=now() + timedelta(hours=11))

    assert "微信发货将逾期" in text_of(client, "/admin/")
    tasks.alert()
    metrics = Client().get("/metrics").content.decode()
    assert 'siyu_wechat_shipping_alarms{state="late"} 1.0' in metrics
    assert 'siyu_wechat_shipping{state="WAITING"} 1.0' in metrics


def test_only_who_ships_there_may_act_and_others_see_nothing(scene):  # noqa: F811
    order = reported(scene)
    row = scene.report(order)
    ShippingReport.objects.update(difference="不同")
    stranger = make_user("外人", username="stranger", password=PASSWORD)
    other = opened(make_staff(make_merchant("别家"), "OPERATOR", user=stranger))
    finance = clerk(order, "FINANCE")

    assert finance.get(url(LABEL, "change", row.pk)).status_code == 200
    for client in (other, finance):
        answer = client.post(url(LABEL, "settle", row.pk), {"reason": "x"})
        assert answer.status_code in {302, 403}
    assert scene.report(order).difference == "不同"
    assert other.get(url(LABEL, "change", row.pk)).status_code == 302
    assert order.number not in text_of(other, url(LABEL, "changelist"))
