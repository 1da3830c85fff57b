"""A day of 100,000 trades is compared in seconds, in memory that does not grow with it."""

import gzip
import json
import subprocess
import sys
from datetime import date, datetime

import pytest
from django.db import connection

from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import SHANGHAI
from payments.cashier.models import Payment
from payments.wechat_pay.models import WeChatTrade
from tests.factories import make_user
from tests.livestream.processes import ROOT, environment
from tests.payments.parsers.made_bills import (
    FLOWS,
    FUND,
    FUND_FOOTER,
    MCHID,
    PAID,
    TRADE,
    TRADE_FOOTER,
)

pytestmark = pytest.mark.django_db(transaction=True)
TRADES = 100_000
DAY = date(2026, 1, 5)
AT = datetime(2026, 1, 5, 8, 0, 24, tzinfo=SHANGHAI)
MOST_SECONDS = 60  # 9 were measured on a busy machine
MOST_MEGABYTES = 60  # above what a program has before it begins; 24 were measured
MOST_STATEMENTS = 40  # whatever the number of rows, which are written 5,000 to a COPY

# Everything but the wire: the files are there.
TAKE_IN = """
import gzip, json, pathlib, re, sys, time
import django; django.setup()
from datetime import date
from types import SimpleNamespace
from django.db import connection
from django.utils.timezone import now
from payments.bills import services, wechat
def megabytes():
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s*(\\d+)", status)[1]) // 1024
def bill(name):
    return lambda day: gzip.open(pathlib.Path(sys.argv[1]) / name)
from_disk = {"trade_bill": bill("trades.gz"), "fund_bill": bill("funds.gz"),
             "account_no": lambda: sys.argv[2]}
services.CHANNELS = {"WECHAT": SimpleNamespace(**(vars(wechat) | from_disk))}
before, began, count = megabytes(), time.monotonic(), 0
def counted(execute, *more):
    global count
    count += 1
    return execute(*more)
with connection.execute_wrapper(counted):
    services.take_in(name="WECHAT", day=date(2026, 1, 5), at=now())
print(json.dumps([megabytes() - before, time.monotonic() - began, count]))
"""


def taken_in(folder):
    done = subprocess.run(
        [sys.executable, "-c", TAKE_IN, str(folder), MCHID],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def bills(folder, fens):
    """Both bills of trades P0, P1, … of so many fen, whose fee is 0.6 %."""
    sums = fees = 0
    balance = 100_000
    with gzip.open(folder / "trades.gz", "wt", encoding="utf-8-sig", newline="") as trades:
        trades.write(",".join(TRADE) + "\r\n")
        for n, fen in enumerate(fens):
            fee = (fen * 6 + 500) // 1000
            sums, fees = sums + fen, fees + fee
            row = PAID | {
                "微信订单号": f"42{n:026d}",
                "商户订单号": f"P{n}",
                "应结订单金额": yuan(fen),
                "订单金额": yuan(fen),
                "手续费": yuan(fee) + "000",
            }
            trades.write(",".join("`" + row.get(name, "") for name in TRADE) + "\r\n")
        said = [str(len(fens)), yuan(sums), "0.00", "0.00", yuan(fees), yuan(sums), "0.00"]
        trades.write(f"{TRADE_FOOTER}\r\n{','.join('`' + one for one in said)}\r\n")
    with gzip.open(folder / "funds.gz", "wt", encoding="utf-8-sig", newline="") as funds:
        funds.write(",".join(FUND) + "\r\n")
        for n, fen in enumerate(fens):
            fee = (fen * 6 + 500) // 1000
            for kind, side, moved in (("交易", "收入", fen), ("扣除交易手续费", "支出", -fee)):
                balance += moved
                row = FLOWS[0] | {
                    "资金流水单号": f"F{n}{kind[0]}",
                    "业务类型": kind,
                    "收支类型": side,
                    "收支金额(元)": yuan(abs(moved)),
                    "账户结余(元)": yuan(balance),
                }
                funds.write(",".join("`" + row.get(name, "") for name in FUND) + "\r\n")
        count = len(fens)
        said = [str(2 * count), str(count), yuan(sums), str(count), yuan(fees)]
        funds.write(f"{FUND_FOOTER}\r\n{','.join('`' + one for one in said)}\r\n")


def yuan(fen):
    return f"{fen // 100}.{fen % 100:02d}"


def ours(count):
    """Trades P0, P1, … of 100.00 each, all of one payment: only their numbers matter here."""
    payment = Payment.objects.create(
        number="P", payer=make_user(), merchant="M1", purpose="ORDER", reference="O1",
        method="WECHAT", amount_fen=10_000, pay_before=AT, opened_at=AT,
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments_wechattrade (payment_id, out_trade_no, openid, amount_fen, status,
                prepay_id, transaction_id, opened_at, ask_at, paid_at, success_at)
            SELECT %s, 'P' || n, 'o', 10000, 'PAID', '', '42' || lpad(n::text, 26, '0'),
                   %s, %s, %s, %s
            FROM generate_series(0, %s - 1) n
            """,
            [payment.pk, AT, AT, AT, AT, count],
        )


def test_a_hundred_thousand_trades_are_compared_set_against_set(tmp_path):
    bills(tmp_path, [10_000] * (TRADES - 5) + [9_999] * 5 + [10_000] * 2)
    ours(TRADES + 10)
    WeChatTrade.objects.filter(out_trade_no__in=["P10", "P11"]).delete()

    megabytes, seconds, statements = taken_in(tmp_path)

    day = ChannelDay.objects.get()
    assert (day.status, day.trades) == ("DIFFERS", TRADES + 2)
    kinds = list(ChannelDifference.objects.values_list("kind", flat=True))
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "MISSING_HERE": 2,
        "MISSING_THERE": 8,
        "AMOUNT": 5,
    }
    assert WeChatTrade.objects.filter(billed_on=DAY).count() == TRADES
    assert seconds < MOST_SECONDS
    assert megabytes < MOST_MEGABYTES
    assert statements < MOST_STATEMENTS
