"""The bank tells the shop of every booking: signed, one after the other, until it says OK."""

import json
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from tests.sandbox.deliveries import Deliveries, Due, post
from tests.sandbox.faults import PUSH, Fault, Faults
from tests.sandbox.signing import Signer

PATH = "/api/v1/hooks/bank/sandbox"
DELAYS = (1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0)


class Pusher:
    """What the bank says; `on_taken(event_id)` is called once the shop said OK."""

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
        self._queue = Deliveries(
            "push",
            deliver=self._deliver,
            fault_of=lambda event: faults.take(PUSH),
            on_taken=lambda event: on_taken(event["event_id"]),
            delays=delays,
        )
        self.start, self.stop = self._queue.start, self._queue.stop
        self.waiting = self._queue.waiting

    def clear(self) -> None:
        self._queue.clear()
        self.tried = []

    def push(self, event: dict[str, Any]) -> None:
        if self.shop_url:
            self._queue.push(event)

    def _deliver(self, due: Due, fault: Fault | None) -> bool | None:
        if not self.shop_url:
            return None
        kind = fault.kind if fault else ""
        taken = kind != "error_before" and self._send(due, fault)
        if kind == "duplicate":
            taken = self._send(due, None) and taken
        return taken and kind != "error_after"

    def _send(self, due: Due, fault: Fault | None) -> bool:
        """One POST to the shop; True when it took the push."""
        target = f"{urlsplit(self.shop_url).path.rstrip('/')}{PATH}"
        body = json.dumps(due.event, ensure_ascii=False).encode()
        signed = body + b" " if fault and fault.kind == "bad_signature" else body
        ago = 3600 if fault and fault.kind == "stale" else 0
        headers = self._signer.headers("POST", target, signed, ago=ago)
        headers["Content-Type"] = "application/json"
        status, said = post(f"{self.shop_url}{PATH}", body, headers)
        tried = {"event_id": due.event["event_id"], "serial": due.event["serial"]}
        self.tried.append({**tried, "attempt": due.attempt, "status": status, "answer": said})
        return status == 200 and _code(said) == "OK"


def _code(said: str) -> object:
    try:
        return json.loads(said).get("code")
    except (ValueError, AttributeError):
        return None
