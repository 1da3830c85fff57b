"""A wrong number may be put right once, after WeChat knows it."""

import pytest

from config.kit.errors import StaleState
from shop.fulfilment.models import Shipment
from shop.wechat_shipping.models import ShippingEvent
from shop.wechat_shipping.services import (
    BeingReported,
    CorrectionUsed,
    NotAllSent,
    NotToBeCorrected,
)  # fmt: skip
from tests.shop.wechat_shipping.scene import UPLOAD

pytestmark = pytest.mark.django_db


def reported(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sweep()
    return order


def test_the_correction_is_told_and_there_is_no_second(scene):
    order = reported(scene)

    scene.correct(order, "ZT2")
    assert scene.report(order).status == "CORRECTING"
    with pytest.raises(CorrectionUsed):
        scene.correct(order, "ZT3")
    scene.sweep()
    assert scene.report(order).status == "CORRECTED"
    assert scene.numbers(order) == ["ZT2"]

    with pytest.raises(CorrectionUsed, match="只允许更正一次"):
        scene.correct(order, "ZT3")
    scene.sweep()
    assert Shipment.objects.get().tracking_no == "ZT2"
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 2
    assert len(scene.uploads()) == 2
    asked = ShippingEvent.objects.get(kind="CORRECTION")
    assert asked.facts == {"from": "中通快递 ZT1001", "to": "中通快递 ZT2"}
    assert asked.actor == "U1"


def test_a_correction_whose_answer_was_lost_is_used_once(scene):
    order = reported(scene)
    scene.correct(order, "ZT2")
    scene.sandbox.faults(UPLOAD, "reset")

    scene.sweep()
    assert scene.report(order).status == "CORRECTING"
    scene.later(order)

    assert scene.report(order).status == "CORRECTED"
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 2


def test_used_at_wechats_own_console_the_clerk_is_told_so(scene):
    order = reported(scene)
    scene.correct(order, "ZT2")
    scene.sandbox.faults(UPLOAD, "errcode", errcode=10060003)

    scene.sweep()

    report = scene.report(order)
    assert report.status == "FAILED"
    assert "只允许更正一次" in report.last_error
    # What WeChat has is not what we say: the comparison tells, and gives no second chance.
    report = scene.compare(order)
    assert (report.status, "不同" in report.difference) == ("FAILED", True)


def test_a_correction_to_a_carrier_that_nobody_knows_can_be_mended(scene):
    order = reported(scene)
    scene.correct(order, "X1", carrier="村口老王")
    scene.sweep()
    assert scene.report(order).status == "FAILED"

    scene.correct(order, "ZT2")
    scene.sweep()

    assert scene.report(order).status == "CORRECTED"
    assert scene.numbers(order) == ["ZT2"]


def test_before_wechat_was_told_it_is_free(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.control("shipping/managed", is_managed=True)
    from django.utils.timezone import now

    from shop.wechat_shipping import services

    services.discover(at=now())
    scene.correct(order, "ZT2")
    scene.sweep()

    report = scene.report(order)
    assert (report.status, report.correction_asked_at) == ("REPORTED", None)
    assert scene.numbers(order) == ["ZT2"]


def test_while_an_answer_is_outstanding_nothing_is_corrected(scene):
    order = scene.paid()
    scene.ship(order)
    scene.sandbox.faults(UPLOAD, "reset")
    scene.sweep()

    with pytest.raises(BeingReported):
        scene.correct(order, "ZT2")

    assert Shipment.objects.get().tracking_no == "ZT1001"


def test_a_part_that_was_told_waits_for_the_rest(scene):
    order = scene.paid(skus=2)
    scene.ship(order, "ZT1", lines=[1])
    scene.sweep()

    with pytest.raises(NotAllSent):
        scene.correct(order, "ZT9")

    assert Shipment.objects.get().tracking_no == "ZT1"


def test_what_the_buyer_has_is_not_corrected(scene):
    order = reported(scene)
    scene.happens("confirm", order)
    scene.compare(order)

    with pytest.raises(NotToBeCorrected):
        scene.correct(order, "ZT2")


def test_of_another_order_it_is_nobodys_shipment(scene):
    order, other = reported(scene), reported(scene)
    from django.utils.timezone import now

    from shop.wechat_shipping import services

    with pytest.raises(StaleState):
        services.correct(
            report=scene.report(order), shipment=Shipment.objects.get(order=other),
            carrier="中通快递", tracking_no="ZT2", actor="U1", at=now(),
        )  # fmt: skip
    assert scene.report(order).status == "REPORTED"
