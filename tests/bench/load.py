"""Buyers at the other end of the wire: keep-alive connections in one process, by epoll.

A journey is a generator: it yields requests as bytes, is sent the answers, and ends when the buyer
has what he came for.  One connection makes one journey after the other.
"""

import json
import random
import selectors
import socket
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

Answer = tuple[int, bytes]
Journey = Generator[bytes, Answer, bool]  # whether the buyer got what he came for
Journeys = Iterator[Journey]
Address = tuple[str, int]
API = "/api/v1"


class Unexpected(RuntimeError):
    """An answer that no figure may be made of."""


@dataclass(frozen=True)
class Load:
    """What the buyers saw: seconds of all journeys, sorted; and when those ended that got it."""

    seconds: float
    times: list[float]
    requests: int
    ends: list[float]  # time.monotonic(), which all processes of a machine share

    @property
    def rate(self) -> float:
        return len(self.times) / self.seconds

    def percentile(self, share: float) -> float:
        """In milliseconds."""
        return 1000 * percentile(self.times, share)


def percentile(times: Sequence[float], share: float) -> float:
    """Of sorted times."""
    return times[min(len(times) - 1, int(share * len(times)))]


# --- the loop -----------------------------------------------------------------------------------


class Connection:
    def __init__(self, address: Address, journeys: Iterator[Journey]) -> None:
        self.socket = socket.create_connection(address, timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._journeys = journeys
        self._buffer = b""
        self.times: list[float] = []
        self.ends: list[float] = []
        self.requests = 0

    def begin(self) -> bool:
        """Whether there is one more journey to make."""
        journey = next(self._journeys, None)
        if journey is None:
            return False
        self._journey, self._began = journey, time.perf_counter()
        self.socket.sendall(next(journey))
        return True

    def read(self) -> bool:
        """Take what has arrived; False when no journey is left."""
        some = self.socket.recv(262_144)
        if not some:
            raise Unexpected("the server closed the connection")
        self._buffer += some
        answer = self._answer()
        if answer is None:
            return True
        self.requests += 1
        try:
            self.socket.sendall(self._journey.send(answer))
        except StopIteration as end:
            self.times.append(time.perf_counter() - self._began)
            if end.value:
                self.ends.append(time.monotonic())
            return self.begin()
        return True

    def _answer(self) -> Answer | None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return None
        _, _, length = head.lower().partition(b"content-length:")
        size = int(length.split(b"\r\n", 1)[0])
        if len(rest) < size:
            return None
        self._buffer = b""
        return int(head[9:12]), rest


def run(
    address: Address,
    journeys: Callable[..., Iterator[Journey]],
    given: Sequence[Any],
    connections: int,
    seconds: float,
) -> Load:
    """Make `journeys(*given)` until the time is over or there are no more of them."""
    supply = journeys(*given)
    began = time.perf_counter()
    crowd = [Connection(address, supply) for _ in range(connections)]
    with selectors.DefaultSelector() as selector:
        for one in crowd:
            if one.begin():
                selector.register(one.socket, selectors.EVENT_READ, one)
        while selector.get_map() and time.perf_counter() - began < seconds:
            for key, _ in selector.select(1):
                if not key.data.read():
                    selector.unregister(key.fileobj)
        passed = time.perf_counter() - began
    for one in crowd:
        one.socket.close()
    times = sorted(taken for one in crowd for taken in one.times)
    if not times:
        raise Unexpected(f"no journey was finished in {passed:.1f} s")
    ends = sorted(at for one in crowd for at in one.ends)
    return Load(passed, times, sum(one.requests for one in crowd), ends)


def in_process(journey: Journey, client: Any) -> None:
    """One journey through Django's test client, where what it does can be counted."""
    asked = next(journey)
    while True:
        head, _, body = asked.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        method, path, _ = first.split(" ")
        headers = dict(line.split(": ", 1) for line in lines)
        kind = headers.pop("Content-Type", "")
        answer = client.generic(method, path, body, kind, headers=headers)
        try:
            asked = journey.send((answer.status_code, answer.content))
        except StopIteration:
            return


# --- requests -----------------------------------------------------------------------------------


def get(path: str, token: str = "") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_bearer(token)}\r\n".encode()


def post(path: str, token: str, body: Any) -> bytes:
    text = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{_bearer(token)}"
        f"Content-Type: application/json\r\nIdempotency-Key: {uuid4()}\r\n"
        f"Content-Length: {len(text)}\r\n\r\n"
    )
    return head.encode() + text


def _bearer(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n" if token else ""


def expect(answer: Answer, status: int) -> bytes:
    if answer[0] != status:
        raise Unexpected(f"{answer[0]} instead of {status}: {answer[1][:300].decode()}")
    return answer[1]


# --- journeys -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Buyer:
    token: str
    address: str


def _once(request: bytes, status: int = 200) -> Journey:
    expect((yield request), status)
    return True


def pages(path: str, tokens: Sequence[str] = ("",)) -> Iterator[Journey]:
    """The same page again and again, by ever other people."""
    requests = [get(path, token) for token in tokens]
    while True:
        yield _once(random.choice(requests))


def limit_orders(path: str, skus: int) -> Iterator[Journey]:
    while True:
        wish = {"key": str(uuid4()), "sku": random.randint(1, skus), "qty": 1, "user": 7}
        yield _once(post(path, "", wish), 201)


def limit_payments(path: str, wallets: int) -> Iterator[Journey]:
    while True:
        wish = {"key": str(uuid4()), "wallet": random.randint(1, wallets), "fen": 9_900}
        yield _once(post(path, "", wish), 201)


def orders(buyers: Sequence[Buyer], skus: Sequence[str]) -> Iterator[Journey]:
    while True:
        yield _order(random.choice(buyers), random.choice(skus))


def _order(buyer: Buyer, sku: str) -> Journey:
    """Quote, order, open the payment."""
    lines = [{"sku": sku, "quantity": 1}]
    quote = json.loads(expect((yield post(f"{API}/quotes", buyer.token, {"lines": lines})), 200))
    wish = {"lines": lines, "address_id": buyer.address, "quote_token": quote["quote_token"]}
    placed = json.loads(expect((yield post(f"{API}/orders", buyer.token, wish)), 201))
    pay = {"order": placed["orders"][0]["number"], "method": "BANK_TRANSFER"}
    expect((yield post(f"{API}/payments", buyer.token, pay)), 201)
    return True


def payments(
    buyers: Sequence[Buyer], orders: str, count: int, method: str, of: int = 0
) -> Iterator[Journey]:
    """One for each of the orders with number `orders` and i, of 1 to `count`.

    Order i is of the buyer i modulo `of`, the number of buyers unless it is told.
    """
    for i in range(1, count + 1):
        buyer = buyers[i % (of or len(buyers))]
        asked = {"order": f"{orders}{i:08d}", "method": method}
        yield _once(post(f"{API}/payments", buyer.token, asked), 201)


def claims(lot: str, buyers: Sequence[Buyer]) -> Iterator[Journey]:
    """Every buyer claims one piece, once."""
    yield from (_claim(f"{API}/live/lots/{lot}/claims", buyer) for buyer in buyers)


def _claim(path: str, buyer: Buyer) -> Journey:
    answer = yield post(path, buyer.token, {"quantity": 1, "address_id": buyer.address})
    if answer[0] == 409 and b"SOLD_OUT" in answer[1]:
        return False
    expect(answer, 202)
    return True
