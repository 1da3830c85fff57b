"""Two workers at one report, and two clerks at one correction; beside a control each."""

import os
import signal
import time

import pytest
from django.db import connection
from django.utils.timezone import now

from config.kit import wechat
from shop.wechat_shipping import sending, services, tasks
from shop.wechat_shipping.models import ShippingEvent, ShippingReport
from tests.concurrency.together import together
from tests.sandbox.shipping import COMPANIES
from tests.shop.wechat_shipping.conftest import (  # noqa: F401
    sandbox,
    sandbox_process,
    scene,
)  # fmt: skip
from tests.shop.wechat_shipping.scene import UPLOAD

pytestmark = pytest.mark.django_db(transaction=True)


def due(scene):  # noqa: F811
    order = scene.paid()
    scene.ship(order)
    services.discover(at=now())
    services.notice(at=now())
    return order


def test_six_workers_tell_wechat_once(scene):  # noqa: F811
    order = due(scene)

    assert together(6, lambda _: tasks.report()) == {"ok": 6}

    assert len(scene.uploads()) == 1
    assert scene.report(order).status == "REPORTED"
    assert ShippingEvent.objects.filter(kind="REPORTED").count() == 1


def test_without_the_claim_each_would_tell_it(scene):  # noqa: F811
    """If this ever fails, the test above proves nothing."""
    due(scene)

    def careless(_):
        row = ShippingReport.objects.select_related("trade", "order").to_send(now()).first()
        if row is None:
            return "nothing due"
        time.sleep(0.05)
        claim = services.Claim(
            row.pk, row.turn, 1, now(), row.trade.transaction_id, row.trade.openid,
            services.sent_of(row, services._shipments(row)),
        )  # fmt: skip
        sending.report(claim=claim, at=now())
        return "told"

    assert together(4, careless) == {"told": 4}
    assert len(scene.uploads()) == 4


def test_two_payments_and_two_workers_meet_nowhere(scene):  # noqa: F811
    orders = [due(scene), due(scene)]

    together(2, lambda _: tasks.report())

    assert {scene.report(order).status for order in orders} == {"REPORTED"}
    assert len(scene.uploads()) == 2


def test_of_two_corrections_at_once_one_is_made(scene):  # noqa: F811
    order = due(scene)
    tasks.report()

    endings = together(4, lambda i: scene.correct(order, f"ZT{i}"))

    assert endings["ok"] == 1
    assert endings["ok"] + endings["CORRECTION_USED"] + endings["STALE_STATE"] == 4
    tasks.report()
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 2
    assert ShippingEvent.objects.filter(kind="CORRECTION").count() == 1


@pytest.mark.parametrize(
    ("path", "arrived"), [(COMPANIES, False), (UPLOAD, True)], ids=["before it told", "after it"]
)
def test_a_worker_killed_in_the_middle_leaves_nothing_untold_and_nothing_twice(
    scene,  # noqa: F811
    path,
    arrived,
):
    order = due(scene)
    scene.sandbox.faults(path, "slow", seconds=4)

    killed_at(scene, path)

    assert bool(scene.uploads()) == arrived
    report = scene.report(order)
    assert (report.status, report.turn) == ("WAITING", 1)
    scene.sweep()  # the lease still holds
    assert scene.report(order).turn == 1
    scene.later(order)
    assert scene.report(order).status == "REPORTED"
    assert scene.at_wechat(order)["shipping"]["finish_shipping_count"] == 1


def killed_at(scene, path):  # noqa: F811
    """A worker process, killed (-9) while WeChat takes its time to answer this call."""
    connection.close()  # nothing of the parent's is inherited
    if (worker := os.fork()) == 0:
        wechat._client.cache_clear()
        tasks.report()
        os._exit(0)
    try:
        deadline = time.monotonic() + 10
        while not scene.sandbox.journal(path):
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        os.kill(worker, signal.SIGKILL)
        os.waitpid(worker, 0)


def test_the_carriers_are_asked_for_while_nobody_knows_them(scene):  # noqa: F811
    together(3, lambda _: sending.companies())
    assert sending.companies() == wechat.client().delivery_companies()
    assert len(scene.sandbox.journal(COMPANIES)) <= 4
