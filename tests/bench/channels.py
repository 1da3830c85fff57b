"""M1: a payment by WeChat Pay is opened.  M2: WeChat says that one is paid."""

import os
import time
from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from django.test import Client

from members.accounts.models import WeChatIdentity
from payments.wechat_pay.models import WeChatTrade
from tests.bench import load, products, wechat_pay
from tests.bench.beside import Asks, Pace, asked_meanwhile, bare_views
from tests.bench.filling import open_batch
from tests.bench.house import House
from tests.bench.measure import (
    Figure,
    Report,
    Row,
    Series,
    cpu_of,
    figure_at_pace,
    in_turn,
    over_http,
    statements,
)
from tests.bench.seed import Shop, fill, settle_down
from tests.sandbox.wechat import APPID

PREPAY_SECONDS = 5.0
MOST_PREPAYS = 2_000  # more than are opened in that time, one after the other
ADDED_MS = 10
PACE = Pace(connections=16, per_second=100)
NOTICE_SECONDS = 10.0
MOST_NOTICES = int(2 * NOTICE_SECONDS * PACE.per_second)
ANSWERED_MS = 20


def measured(house: House, shop: Shop, rounds: int) -> Report:
    """One buyer after the other at WeChat Pay; then a hundred notices a second."""
    products.keep_page()
    fill(
        WeChatIdentity,
        "members_user u",
        user_id="u.id",
        appid=f"'{APPID}'",
        openid="'o' || u.id",
        created_at="now()",
    )
    return Report([_prepay_row(house, shop, rounds), _notice_row(house, rounds)])


# --- M1 -----------------------------------------------------------------------------------------


def _prepay_row(house: House, shop: Shop, rounds: int) -> Row:
    one = open_batch(1, method="")
    [journey] = load.payments(shop.buyers, one.prefix("D"), 1, "WECHAT")
    with statements() as sent:
        load.in_process(journey, Client())
    found = in_turn(
        {
            "the sandbox": partial(_asked_directly, house),
            "payment": partial(_opened, house, shop),
        },
        rounds,
    )
    limit = found["the sandbox"]
    return Row(
        "M1 POST payments by WECHAT, prepaid",
        "payments",
        found["payment"],
        Series(f"the sandbox alone, p50 {limit.p50:.1f} ms", limit.figures),
        sql=len(sent),
        most_added_ms=ADDED_MS,
    )


def _asked_directly(house: House) -> Figure:
    """The same prepay by whoever has signed it before."""
    url = urlsplit(os.environ["WECHAT_PAY_URL"])
    address = (str(url.hostname), int(url.port or 80))
    given = (wechat_pay.prepays, (str(house.sandbox),), 1, PREPAY_SECONDS)
    seen: load.Load = house.helpers.submit(load.run, address, *given).result()
    return Figure(seen.rate, seen.percentile(0.5), seen.percentile(0.99))


def _opened(house: House, shop: Shop) -> Figure:
    batch = open_batch(MOST_PREPAYS, method="")
    settle_down()
    asked = (shop.buyers, batch.prefix("D"), MOST_PREPAYS, "WECHAT")
    return over_http(house, load.payments, *asked, connections=1, seconds=PREPAY_SECONDS)


# --- M2 -----------------------------------------------------------------------------------------


def _notice_row(house: House, rounds: int) -> Row:
    found = in_turn(
        {
            "bare view": lambda: _at_pace(house, bare_views)[0],
            "notice": partial(_told, house),
        },
        rounds,
    )
    limit = found["bare view"]
    return Row(
        "M2 WeChat's notice to PAID, 100 a second",
        "notices",
        found["notice"],
        Series(f"L1 at the same pace, p99 {limit.p99:.1f} ms", limit.figures),
        most_p99_ms=ANSWERED_MS,
    )


def _told(house: House) -> Figure:
    """The answer comes after the commit; whether it was true is looked up afterwards."""
    batch = open_batch(MOST_NOTICES, method="WECHAT")
    rows = WeChatTrade.objects.filter(out_trade_no__startswith=batch.prefix("P")).order_by("pk")
    trades = list(rows.values_list("out_trade_no", "amount_fen", "openid"))
    settle_down()
    figure, count = _at_pace(house, wechat_pay.notices, str(house.sandbox), trades)
    assert (paid := batch.paid()) == count, f"{paid} orders are paid after {count} notices"
    return figure


def _at_pace(house: House, asks: Asks, *given: Any) -> tuple[Figure, int]:
    """And how many were answered."""
    with cpu_of(house) as cpu, asked_meanwhile(house, PACE, asks, *given) as times:
        time.sleep(NOTICE_SECONDS)
    (found,) = times.values()
    figure = figure_at_pace(found, PACE.per_second)
    return replace(figure, cpu={name: 1000 * used / len(found) for name, used in cpu.items()}), len(
        found
    )
