"""Requests at a pace of their own while something else goes on: what a single person waits."""

import http.client
import itertools
import json
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from tests.bench.house import House
from tests.bench.load import API, Address, Buyer, Unexpected
from tests.sandbox.push import PATH as PUSHES
from tests.sandbox.signing import Signer

TIMEOUT = 60  # seconds


class Ask(NamedTuple):
    """A request; `route` is under which name its times are kept."""

    route: str
    method: str
    path: str
    headers: dict[str, str]
    body: bytes | None = None


Asks = Callable[..., Iterator[Ask]]
Times = dict[str, list[float]]  # milliseconds from sending to the whole answer, by route, sorted


class Pace(NamedTuple):
    connections: int
    per_second: float


@contextmanager
def asked_meanwhile(house: House, pace: Pace, asks: Asks, *given: Any) -> Iterator[Times]:
    """`asks(*given)` by one of the helpers until the block ends; then the times are filled in."""
    times: Times = {}
    with tempfile.NamedTemporaryFile(prefix="siyu-bench-") as flag:
        asking = house.helpers.submit(_ask_all, house.address, pace, flag.name, asks, given)
        yield times
    times.update(asking.result())


def _ask_all(address: Address, pace: Pace, flag: str, asks: Asks, given: Sequence[Any]) -> Times:
    """Until the file `flag` is gone.  Connections take turns; one that is late skips its wait."""
    supply, lock = asks(*given), Lock()
    times: Times = {}
    began = time.perf_counter()

    def ask(place: int) -> None:
        wire = http.client.HTTPConnection(*address, timeout=TIMEOUT)
        due = began + place / pace.per_second
        while Path(flag).exists():
            time.sleep(max(0, due - time.perf_counter()))
            with lock:
                one = next(supply, None)
            if one is None:
                break
            taken = _asked(wire, one)
            with lock:
                times.setdefault(one.route, []).append(taken)
            due = max(due + pace.connections / pace.per_second, time.perf_counter())
        wire.close()

    with ThreadPoolExecutor(pace.connections) as pool:
        list(pool.map(ask, range(pace.connections)))
    return {route: sorted(taken) for route, taken in times.items()}


def _asked(wire: http.client.HTTPConnection, one: Ask) -> float:
    """Milliseconds; raises Unexpected for any answer but 200 and 204."""
    began = time.perf_counter()
    wire.request(one.method, one.path, one.body, one.headers)
    answer = wire.getresponse()
    content = answer.read()
    taken = 1000 * (time.perf_counter() - began)
    if answer.status not in {200, 204}:
        raise Unexpected(f"{one.path}: {answer.status}: {content[:300].decode()}")
    return taken


# --- what is asked ------------------------------------------------------------------------------


def bare_views() -> Iterator[Ask]:
    return itertools.repeat(Ask("bare view", "GET", "/limits/bare", {}))


def people(buyers: Sequence[Buyer], payments: str, count: int) -> Iterator[Ask]:
    """Buyers look after their payments and orders, guests at the goods; in turn.

    The payment with number `payments` and i, of 1 to `count`, is of the buyer i modulo buyers.
    """
    while True:
        i = random.randint(1, count)
        buyer = {"Authorization": f"Bearer {buyers[i % len(buyers)].token}"}
        yield Ask("GET payment", "GET", f"{API}/payments/{payments}{i:08d}", buyer)
        yield Ask("GET orders", "GET", f"{API}/orders", buyer)
        yield Ask("GET products", "GET", f"{API}/products", {})


def pushes(bookings: Sequence[dict[str, Any]], key: str) -> Iterator[Ask]:
    """The bank signs one by one, as they are sent."""
    signer = Signer(Path(key))
    for booking in bookings:
        body = json.dumps(booking, ensure_ascii=False).encode()
        headers = {"Content-Type": "application/json"} | signer.headers("POST", PUSHES, body)
        yield Ask("push", "POST", PUSHES, headers, body)
