"""A day of 100,000 trades is compared in seconds, in memory that does not grow with it."""

import json
import subprocess
import sys

import pytest

from payments.alipay.models import AlipayTrade
from payments.bills.models import ChannelDay, ChannelDifference
from payments.wechat_pay.models import WeChatTrade
from tests.livestream.processes import ROOT, environment
from tests.payments.bills.disk import DAY, alipay_bills, alipay_ours, bills, ours

pytestmark = pytest.mark.django_db(transaction=True)
TRADES = 100_000
MOST_SECONDS = 60  # 9 were measured on a busy machine
MOST_MEGABYTES = 60  # above what a program has before it begins; 24 were measured
MOST_STATEMENTS = 40  # whatever the number of rows, which are written 5,000 to a COPY

TAKE_IN = """
import json, pathlib, re, sys, time
import django; django.setup()
from django.db import connection
from django.utils.timezone import now
from payments.bills import services
from tests.payments.bills import disk
def megabytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) // 1024
made = {"WECHAT": disk.channel, "ALIPAY": disk.alipay_channel}[sys.argv[2]]
services.CHANNELS = {sys.argv[2]: made(pathlib.Path(sys.argv[1]))}
before, began, count = megabytes(), time.monotonic(), 0
def counted(execute, *more):
    global count
    count += 1
    return execute(*more)
with connection.execute_wrapper(counted):
    services.take_in(name=sys.argv[2], day=disk.DAY, at=now())
print(json.dumps([megabytes() - before, time.monotonic() - began, count]))
"""


def taken_in(folder, name):
    done = subprocess.run(
        [sys.executable, "-c", TAKE_IN, str(folder), name],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "bills", "ours", "trades"),
    [("WECHAT", bills, ours, WeChatTrade), ("ALIPAY", alipay_bills, alipay_ours, AlipayTrade)],
)
def test_a_hundred_thousand_trades_are_compared_set_against_set(
    tmp_path, name, bills, ours, trades
):
    bills(tmp_path, [10_000] * (TRADES - 5) + [9_999] * 5 + [10_000] * 2)
    ours(TRADES + 10)
    trades.objects.filter(out_trade_no__in=["P10", "P11"]).delete()

    megabytes, seconds, statements = taken_in(tmp_path, name)

    day = ChannelDay.objects.get()
    assert (day.status, day.trades) == ("DIFFERS", TRADES + 2)
    kinds = list(ChannelDifference.objects.values_list("kind", flat=True))
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "MISSING_HERE": 2,
        "MISSING_THERE": 8,
        "AMOUNT": 5,
    }
    assert trades.objects.filter(billed_on=DAY).count() == TRADES
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
    assert statements < MOST_STATEMENTS
