"""B6: a bank statement, from upload to all orders paid."""

import os
import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

import orjson
from django.db import connection

from members.accounts.models import User
from payments.cashier.models import Payment
from payments.receiving.models import ReceivingAccount, TransferIntent, VirtualAccount
from payments.transfers.models import Statement
from shop.orders.models import Order, OrderEvent, OrderLine
from tests.bench import limits, machine
from tests.bench.house import House
from tests.bench.measure import Figure, Report, Row, cpu_of, in_turn
from tests.bench.seed import ACCOUNT_NO, Shop, fill, settle_down
from tests.sandbox import statements

LINES = 20_000
PATIENCE = 120  # seconds
DAY = datetime(2026, 11, 20, 2, 0, tzinfo=UTC)


def measured(house: House, shop: Shop, rounds: int, lines: int = LINES) -> Report:
    """A CCB statement, every line of which pays an order; read, matched and posted."""
    batches = iter(range(1, rounds + 1))
    found = in_turn(
        {
            "L6 all rows, set-based": partial(_limit, house, lines),
            "statement": lambda: _product(house, shop, lines, next(batches)),
        },
        rounds,
    )
    return Report(
        [
            Row(
                f"B6 statement of {lines:,} lines to PAID",
                "lines",
                found["statement"],
                found["L6 all rows, set-based"],
                budget=0.25,
                most_megabytes=600,
            )
        ]
    )


def _limit(house: House, lines: int) -> Figure:
    url = os.environ["DATABASE_URL"]
    rows = limits.fill_lines(url, lines)
    settle_down()
    with cpu_of(house) as cpu:
        seconds = limits.settle_lines(url, rows)
    return Figure(lines / seconds, cpu={name: 1000 * used / lines for name, used in cpu.items()})


def _product(house: House, shop: Shop, lines: int, batch: int) -> Figure:
    """Upload over HTTP; the worker imports."""
    content = statements.render("ccb_csv", ACCOUNT_NO, DAY.date(), 0, list(_bookings(lines, batch)))
    settle_down()
    machine.forget_peak(house.pids["worker"])
    with cpu_of(house) as cpu:
        began = time.perf_counter()
        _await(_upload(house, shop.staff.token, content), lines)
        seconds = time.perf_counter() - began
    paid = Order.objects.filter(number__startswith=_prefix("D", batch), status="PAID").count()
    assert paid == lines, f"{paid} of {lines} orders are paid"
    return Figure(
        lines / seconds,
        cpu={name: 1000 * used / lines for name, used in cpu.items()},
        megabytes=machine.peak_megabytes(house.pids["worker"]),
    )


def _upload(house: House, token: str, content: bytes) -> str:
    """The statement's number."""
    edge = "statement-of-the-bench"
    body = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="ccb.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n"
    ).encode() + content
    host, port = house.address
    request = urllib.request.Request(
        f"http://{host}:{port}/api/v1/bank/statements",
        data=body + f"\r\n--{edge}--\r\n".encode(),
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": f"multipart/form-data; boundary={edge}",
        },
    )
    with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
        assert answer.status == HTTPStatus.ACCEPTED
        return str(orjson.loads(answer.read())["id"])


def _await(number: str, lines: int) -> None:
    deadline = time.monotonic() + PATIENCE
    statement = Statement.objects.get(number=number)
    while statement.status != "DONE":
        assert time.monotonic() < deadline, f"{number} is {statement.status}: {statement.reason}"
        time.sleep(0.01)
        statement.refresh_from_db(fields=["status", "reason", "matched"])
    assert statement.matched == lines, f"{statement.matched} of {lines} lines are matched"


# --- open orders, and the bookings that pay them ------------------------------------------------


def _prefix(letter: str, batch: int) -> str:
    return f"{letter}{batch:04d}"


def _numbered(letter: str, batch: int) -> str:
    return f"'{_prefix(letter, batch)}' || lpad(g.i::text, 8, '0')"


def _bookings(lines: int, batch: int) -> Iterator[statements.Booking]:
    """Fills the shop with orders that wait for a transfer, each on its virtual account."""
    _open_orders(lines, batch)
    _open_payments(batch)
    rows = TransferIntent.objects.filter(
        payment__number__startswith=_prefix("P", batch)
    ).values_list("virtual_account__number", "payment__amount_fen", "code")
    for i, (account, fen, code) in enumerate(rows.order_by("code")):
        yield statements.Booking(
            serial=f"{batch:04d}{i:010d}",
            booked_at=DAY + timedelta(seconds=i),
            amount_fen=fen,
            direction="C",
            payer_name="王小明",
            payer_account=f"62220202{i:010d}",
            payer_bank="工商银行杭州分行",
            remark=f"货款 {code}",
            virtual_account=account,
        )


def _open_orders(lines: int, batch: int) -> None:
    first_buyer = User.objects.order_by("pk").values_list("pk", flat=True)[0]
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS bench_goods")
        cursor.execute(
            "CREATE TABLE bench_goods AS SELECT row_number() OVER (ORDER BY k.id) AS i,"
            " k.id AS sku, k.list_price_fen AS fen, m.id AS merchant, m.number AS merchant_no"
            " FROM shop_sku k JOIN shop_product p ON p.id = k.product_id"
            " JOIN members_merchant m ON m.id = p.merchant_id ORDER BY k.id LIMIT %s",
            [lines],
        )
        cursor.execute(
            "UPDATE shop_stock SET promised = promised + 1"
            " WHERE sku_id IN (SELECT sku FROM bench_goods)"
        )
    fill(
        Order,
        "bench_goods g",
        number=_numbered("D", batch),
        buyer_id=f"{first_buyer} + g.i %% 1000",
        merchant_id="g.merchant",
        commission_rate="5",
        total_fen="g.fen",
        consignee="'{}'",
        placed_at="now()",
        pay_before="now() + interval '3 days'",
    )
    fill(
        OrderLine,
        f"bench_goods g JOIN shop_order o ON o.number = {_numbered('D', batch)}",
        order_id="o.id",
        line="1",
        sku_id="g.sku",
        title="'狮峰山明前特级龙井'",
        sku_name="'250g 罐装'",
        quantity="1",
        unit_price_fen="g.fen",
        total_fen="g.fen",
        price_reason="'LIST'",
    )
    fill(
        OrderEvent,
        f"shop_order o WHERE o.number LIKE '{_prefix('D', batch)}%%'",
        order_id="o.id",
        kind="'PLACED'",
        at="now()",
    )


def _open_payments(batch: int) -> None:
    fill(
        Payment,
        f"bench_goods g JOIN shop_order o ON o.number = {_numbered('D', batch)}",
        number=_numbered("P", batch),
        payer_id="o.buyer_id",
        merchant="g.merchant_no",
        purpose="'ORDER'",
        reference="o.number",
        method="'BANK_TRANSFER'",
        amount_fen="g.fen",
        opened_at="now()",
        pay_before="o.pay_before",
    )
    account = ReceivingAccount.objects.get(account_no=ACCOUNT_NO).pk
    unit = f"'9{batch:02d}' || lpad(g.i::text, 7, '0')"
    fill(
        VirtualAccount,
        "bench_goods g",
        number=f"'{ACCOUNT_NO}' || {unit}",
        unit=unit,
        receiving_account_id=str(account),
        state="'ASSIGNED'",
    )
    # Multiples of 97 are never real codes, whose check digits leave 1: no two can meet, and the
    # virtual account alone must do.
    fill(
        TransferIntent,
        f"bench_goods g JOIN payments_payment p ON p.number = {_numbered('P', batch)}"
        f" JOIN payments_virtualaccount v ON v.number = '{ACCOUNT_NO}' || {unit}",
        payment_id="p.id",
        receiving_account_id=str(account),
        virtual_account_id="v.id",
        code=f"lpad((({batch} * 25000 + g.i) * 97)::text, 8, '0')",
        assigned_at="now()",
    )
