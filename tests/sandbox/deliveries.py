"""A queue of what somebody outside has to be told: one thread, tried again until it is taken.

Who tells gives `deliver(due, fault) -> taken`: one attempt, spoilt as `fault` asks for; None says
that nobody is to be told any more.
"""

import heapq
import http.client
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.faults import Fault

PATIENCE = 5.0  # seconds that the shop has for its answer


@dataclass(order=True)
class Due:
    at: float
    turn: int
    event: dict[str, Any] = field(compare=False)
    attempt: int = field(compare=False, default=0)
    plain: bool = field(compare=False, default=False)  # its fault has been used up


class Deliveries:
    """`delays` are the seconds before each further attempt; after the last one it gives up.

    `fault_of(event)` uses up the fault that waits for this event.  Two of them are about time and
    the queue's own: `slow` sends `seconds` later, `out_of_order` after the next one.
    """

    def __init__(
        self,
        name: str,
        *,
        deliver: Callable[[Due, Fault | None], bool | None],
        fault_of: Callable[[dict[str, Any]], Fault | None],
        on_taken: Callable[[dict[str, Any]], None],
        delays: Sequence[float],
    ) -> None:
        self._deliver_to = deliver
        self._fault_of = fault_of
        self._on_taken = on_taken
        self._delays = delays
        self._due: list[Due] = []
        self._held: list[Due] = []
        self._turn = 0
        self._busy = 0
        self._age = 0  # of the world: a reset makes what is under way worthless
        self._wake = Condition()
        self._stopped = False
        self._thread = Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def clear(self) -> None:
        with self._wake:
            self._due, self._held = [], []
            self._age += 1

    def push(self, event: dict[str, Any], *, after: float = 0) -> None:
        """To be told, `after` seconds from now."""
        self._enqueue(Due(monotonic() + after, 0, event))

    def waiting(self) -> int:
        with self._wake:
            return len(self._due) + len(self._held) + self._busy

    def _enqueue(self, due: Due, *, age: int | None = None) -> None:
        with self._wake:
            if age not in {None, self._age}:
                return
            self._turn += 1
            due.turn = self._turn
            heapq.heappush(self._due, due)
            self._wake.notify_all()

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopped and (not self._due or self._due[0].at > monotonic()):
                    self._wake.wait(self._due[0].at - monotonic() if self._due else None)
                if self._stopped:
                    return
                due, age = heapq.heappop(self._due), self._age
                self._busy = 1
            try:
                self._deliver(due, age)
            finally:
                with self._wake:
                    self._busy = 0

    def _deliver(self, due: Due, age: int) -> None:
        fault = None if due.plain else self._fault_of(due.event)
        if fault and fault.kind == "slow":
            later = monotonic() + fault.seconds
            self._enqueue(Due(later, 0, due.event, due.attempt, plain=True), age=age)
            return
        if fault and fault.kind == "out_of_order":
            with self._wake:
                self._held.append(Due(0, 0, due.event, due.attempt, plain=True))
            return
        taken = self._deliver_to(due, fault)
        if taken:
            self._on_taken(due.event)
        elif taken is not None and due.attempt < len(self._delays):
            later = monotonic() + self._delays[due.attempt]
            self._enqueue(Due(later, 0, due.event, due.attempt + 1), age=age)
        self._release(age)

    def _release(self, age: int) -> None:
        """What was held back to come out of order comes now."""
        with self._wake:
            held, self._held = self._held, []
        for due in held:
            due.at = monotonic()
            self._enqueue(due, age=age)


def post(url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, str]:
    """Status and answer of the shop; status 0 and the name of the trouble when there is none."""
    address = urlsplit(url)
    secure = address.scheme == "https"
    connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = connect(address.hostname or "", address.port, timeout=PATIENCE)
    target = f"{address.path or '/'}{'?' if address.query else ''}{address.query}"
    try:
        connection.request("POST", target, body, dict(headers))
        got = connection.getresponse()
        return got.status, got.read(2_000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def is_here(url: str) -> bool:
    """Whether the address is of this machine: nothing of the sandbox's goes anywhere else."""
    address = urlsplit(url)
    if address.scheme not in {"http", "https"}:
        return False
    try:
        return ipaddress.ip_address(address.hostname or "").is_loopback
    except ValueError:
        return address.hostname == "localhost"
