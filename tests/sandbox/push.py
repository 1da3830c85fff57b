"""The bank tells the shop of every booking: signed, one after the other, until it says OK."""

import heapq
import http.client
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.faults import PUSH, Fault, Faults
from tests.sandbox.signing import Signer

PATH = "/api/v1/hooks/bank/sandbox"
DELAYS = (1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)
PATIENCE = 5.0  # seconds that the shop has for its answer


@dataclass(order=True)
class Due:
    at: float
    turn: int
    event: dict[str, Any] = field(compare=False)
    attempt: int = field(compare=False, default=0)
    plain: bool = field(compare=False, default=False)  # its fault has been used up


class Pusher:
    """A queue and one thread; `on_taken(event_id)` is called once the shop said OK."""

    def __init__(
        self,
        signer: Signer,
        faults: Faults,
        on_taken: Callable[[str], None],
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self.shop_url = ""
        self.tried: list[dict[str, Any]] = []
        self._signer = signer
        self._faults = faults
        self._on_taken = on_taken
        self._delays = delays
        self._due: list[Due] = []
        self._held: list[Due] = []
        self._turn = 0
        self._busy = 0
        self._age = 0  # of the world: a reset makes what is under way worthless
        self._wake = Condition()
        self._stopped = False
        self._thread = Thread(target=self._run, name="push", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def clear(self) -> None:
        with self._wake:
            self._due, self._held, self.tried = [], [], []
            self._age += 1

    def push(self, event: dict[str, Any]) -> None:
        self._enqueue(Due(monotonic(), 0, event))

    def waiting(self) -> int:
        with self._wake:
            return len(self._due) + len(self._held) + self._busy

    def _enqueue(self, due: Due, *, age: int | None = None) -> None:
        with self._wake:
            if not self.shop_url or age not in {None, self._age}:
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
        fault = None if due.plain else self._faults.take(PUSH)
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            self._enqueue(
                Due(monotonic() + fault.seconds, 0, due.event, due.attempt, plain=True), age=age
            )
            return
        if kind == "out_of_order":
            with self._wake:
                self._held.append(Due(0, 0, due.event, due.attempt, plain=True))
            return
        taken = kind != "error_before" and self._send(due, fault)
        if kind == "duplicate":
            taken = self._send(due, None) and taken
        if taken and kind != "error_after":
            self._on_taken(due.event["event_id"])
        elif due.attempt < len(self._delays):
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

    def _send(self, due: Due, fault: Fault | None) -> bool:
        """One POST to the shop; True when it took the push."""
        address = urlsplit(self.shop_url)
        target = f"{address.path.rstrip('/')}{PATH}"
        body = json.dumps(due.event, ensure_ascii=False).encode()
        signed = body + b" " if fault and fault.kind == "bad_signature" else body
        ago = 3600 if fault and fault.kind == "stale" else 0
        headers = self._signer.headers("POST", target, signed, ago=ago)
        connect = (
            http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        )
        connection = connect(address.hostname or "", address.port, timeout=PATIENCE)
        status, said = 0, ""
        try:
            headers["Content-Type"] = "application/json"
            connection.request("POST", target, body, headers)
            got = connection.getresponse()
            status, said = got.status, got.read(2_000).decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            said = type(error).__name__
        finally:
            connection.close()
        tried = {"event_id": due.event["event_id"], "serial": due.event["serial"]}
        self.tried.append({**tried, "attempt": due.attempt, "status": status, "answer": said})
        return status == 200 and _code(said) == "OK"


def _code(said: str) -> object:
    try:
        return json.loads(said).get("code")
    except (ValueError, AttributeError):
        return None
