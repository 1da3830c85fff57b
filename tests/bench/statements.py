"""B6: a bank statement, from upload to all orders paid."""

import http.client
import os
import time
from collections.abc import Iterator, Sequence
from functools import partial
from http import HTTPStatus
from typing import BinaryIO

import orjson

from payments.transfers.models import Statement
from tests.bench import limits, load
from tests.bench.beside import Pace, Times, asked_meanwhile, people
from tests.bench.ccb import statement_of
from tests.bench.filling import Batch, open_batch
from tests.bench.house import House, say
from tests.bench.measure import (
    Figure,
    Report,
    Row,
    Series,
    cpu_of,
    figure_at_pace,
    in_turn,
    memory_of,
)
from tests.bench.seed import Shop, settle_down

SIZES = (10_000, 100_000, 1_000_000)
LEAST = 10_000  # lines a second, of the largest
SLOWEST = 1.3  # times as long as a line of the smallest may take one of the largest
SLOWEST_API = 2  # times its idle p99, meanwhile
PATIENCE = 120  # seconds, and one more for every thousand lines
LOOKS = 1_000_000  # a second and line: 1 % of the time at 10,000 lines a second


def measured(house: House, shop: Shop, rounds: int, sizes: Sequence[int] = SIZES) -> Report:
    """CCB statements, every line of which pays an order; read, matched and posted."""
    seen: list[Times] = []  # of the API, idle and meanwhile
    rows = []
    for lines in sorted(sizes):
        product = partial(_product, house, shop, lines)
        if lines == max(sizes):
            product = partial(_product_beside_people, house, shop, lines, seen)
        found = in_turn(
            {"L6 all rows, set-based": partial(_limit, house, lines), "statement": product},
            _rounds(lines, rounds),
        )
        rows.append(_row(lines, found["statement"], found["L6 all rows, set-based"]))
    return Report([*rows, *_of_the_largest(rows, sorted(sizes)), _api_row(max(sizes), *seen[-2:])])


def _rounds(lines: int, rounds: int) -> int:
    """Large ones take long, and differ less."""
    return min(rounds, 3 if lines < 100_000 else 2 if lines < 1_000_000 else 1)


def _row(lines: int, product: Series, limit: Series) -> Row:
    return Row(
        f"B6 statement of {lines:,} lines to PAID",
        "lines",
        product,
        limit,
        budget=0.25,
        most_megabytes=600,
    )


def _of_the_largest(rows: Sequence[Row], sizes: Sequence[int]) -> Iterator[Row]:
    """In lines a second, and beside the smallest."""
    first, last = (
        [Figure(figure.rate) for figure in row.product.figures] for row in (rows[0], rows[-1])
    )
    product = Series("statement", last)
    asked = Series("asked for", [Figure(LEAST)])
    yield Row(f"B6 {sizes[-1]:,} lines, at least", "lines", product, asked, budget=1)
    if len(sizes) > 1:
        small = Series(f"{sizes[0]:,} lines", first)
        growth = f"B6 growth {sizes[0]:,} → {sizes[-1]:,}"
        yield Row(growth, "lines", product, small, budget=1 / SLOWEST)


def _limit(house: House, lines: int) -> Figure:
    url = os.environ["DATABASE_URL"]
    rows = limits.fill_lines(url, lines)
    settle_down()
    with cpu_of(house) as cpu:
        seconds = limits.settle_lines(url, rows)
    return Figure(lines / seconds, cpu={name: 1000 * used / lines for name, used in cpu.items()})


def _product(house: House, shop: Shop, lines: int) -> Figure:
    return _paid(house, shop, open_batch(lines))


def paid_batch(house: House, shop: Shop, lines: int) -> Batch:
    """Orders that are paid."""
    batch = open_batch(lines)
    _paid(house, shop, batch)
    return batch


def _paid(house: House, shop: Shop, batch: Batch) -> Figure:
    with statement_of(batch) as file:
        settle_down()
        return _imported(house, shop, batch, file)


def _product_beside_people(house: House, shop: Shop, lines: int, seen: list[Times]) -> Figure:
    """Also `seen`: what others wait for the API on the same tables, before and meanwhile."""
    batch = open_batch(lines)
    asked = (people, shop.buyers, batch.prefix("P"), lines)
    with statement_of(batch) as file:
        settle_down()
        with asked_meanwhile(house, PACE, *asked):  # what was just filled is in nobody's cache
            time.sleep(WARM_SECONDS)
        with asked_meanwhile(house, PACE, *asked) as idle:
            time.sleep(IDLE_SECONDS)
        with asked_meanwhile(house, PACE, *asked) as busy:
            figure = _imported(house, shop, batch, file)
    seen += [idle, busy]
    return figure


# --- one import ---------------------------------------------------------------------------------


def _imported(house: House, shop: Shop, batch: Batch, file: BinaryIO) -> Figure:
    """From the first byte of the upload over HTTP until the worker has imported the last line."""
    with memory_of(house) as memory, cpu_of(house) as cpu:
        began = time.perf_counter()
        number = _upload(house, shop.staff.token, file)
        taken = time.perf_counter() - began
        _await(number, batch.lines)
        seconds = time.perf_counter() - began
    say(f"  {batch.lines:,} lines: uploaded in {taken:.1f} s, paid after {seconds:.1f} s")
    paid = batch.paid()
    assert paid == batch.lines, f"{paid} of {batch.lines} orders are paid"
    spent = {name: 1000 * used / batch.lines for name, used in cpu.items()}
    return Figure(batch.lines / seconds, cpu=spent, megabytes=memory)


def _upload(house: House, token: str, file: BinaryIO) -> str:
    """The statement's number.  The file is never whole in memory, neither here."""
    edge = "statement-of-the-bench"
    head = (
        f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="ccb.csv"\r\n'
        f"Content-Type: text/csv\r\n\r\n"
    ).encode()
    tail = f"\r\n--{edge}--\r\n".encode()
    wire = http.client.HTTPConnection(*house.address, timeout=PATIENCE, blocksize=1_048_576)
    wire.putrequest("POST", f"{load.API}/bank/statements")
    wire.putheader("Authorization", f"Bearer {token}")
    wire.putheader("Content-Type", f"multipart/form-data; boundary={edge}")
    wire.putheader("Content-Length", str(len(head) + file.seek(0, os.SEEK_END) + len(tail)))
    wire.endheaders(head)
    file.seek(0)
    wire.send(file)
    wire.send(tail)
    answer = wire.getresponse()
    said = answer.read()
    wire.close()
    assert answer.status == HTTPStatus.ACCEPTED, said
    return str(orjson.loads(said)["id"])


def _await(number: str, lines: int) -> None:
    deadline = time.monotonic() + PATIENCE + lines / 1000
    stands = Statement.objects.filter(number=number).values_list("status", "reason", "matched")
    while (now := stands.get())[0] != "DONE":
        assert now[0] == "RUNNING", f"{number}: {now}"
        assert time.monotonic() < deadline, f"{number}: {now}"
        time.sleep(lines / LOOKS)
    assert now[2] == lines, f"{now[2]} of {lines} lines are matched"


# --- people who use the shop meanwhile ----------------------------------------------------------

PACE = Pace(connections=2, per_second=20)
WARM_SECONDS = 3
IDLE_SECONDS = 15


def _api_row(lines: int, idle: Times, busy: Times) -> Row:
    """Of the route that suffers most."""
    each = PACE.per_second / len(busy)
    before, meanwhile = (
        {route: figure_at_pace(times, each) for route, times in seen.items()}
        for seen in (idle, busy)
    )
    for route, figure in meanwhile.items():
        say(f"  {route}: p99 {before[route].p99:.1f} ms idle, {figure.p99:.1f} ms meanwhile")
    worst = max(meanwhile, key=lambda route: meanwhile[route].p99 / before[route].p99)
    return Row(
        f"API p99 while {lines:,} lines are imported (worst: {worst})",
        "requests",
        Series("meanwhile", [meanwhile[worst]]),
        Series(f"idle, p99 {before[worst].p99:.1f} ms", [before[worst]]),
        most_p99_by_limit=SLOWEST_API,
    )
