"""Faults to order: what a network and a tired server do to an honest protocol.

kind           at an endpoint                              at the push (path "push")
slow           does it, answers `seconds` later            is sent `seconds` later
error_before   503, nothing done                           lost on the way, sent again later
error_after    done, but the answer is a 500               taken, but the bank missed the answer
bad_signature  the answer's signature is wrong             the push's signature is wrong
stale          the answer is an hour old                   the push is an hour old
duplicate      –                                           delivered twice
out_of_order   –                                           delivered after the next one
errcode        WeChat answers `errcode`, nothing done      –
garbage        done, but the answer is half a JSON         –
halved         done, and half of the answer is signed as the whole      –
any_payer      done, and signed: of a limit the payer is left out       –
reset          done, but the connection breaks             –
"""

from dataclasses import dataclass
from threading import Lock
from typing import Any

KINDS = {
    "slow",
    "error_before",
    "error_after",
    "bad_signature",
    "stale",
    "duplicate",
    "out_of_order",
    "errcode",
    "garbage",
    "halved",
    "any_payer",
    "reset",
}
PUSH = "push"


@dataclass
class Fault:
    path: str
    kind: str
    times: int = 1
    seconds: float = 6.0
    errcode: int = -1

    def hits(self, path: str) -> bool:
        if self.path.endswith("*"):
            return path.startswith(self.path[:-1])
        return path == self.path


class Faults:
    """The switches; each works `times` times and is then gone."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._set: list[Fault] = []

    def add(self, wanted: dict[str, Any]) -> None:
        fault = Fault(**wanted)
        if fault.kind not in KINDS:
            raise ValueError(f"no such fault: {fault.kind}")
        if fault.path.startswith("/api/v1/hooks/bank/"):
            fault.path = PUSH
        self.order(fault)

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._set.append(fault)

    def take(self, path: str) -> Fault | None:
        """The oldest fault waiting for this path, used up by one."""
        with self._lock:
            for fault in self._set:
                if fault.hits(path):
                    fault.times -= 1
                    self._set = [one for one in self._set if one.times > 0]
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._set = []
