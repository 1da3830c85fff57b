"""Alipay's failure switches: each works `times` times and is then gone.

    POST /__sandbox__/alipay/faults {kind, times?, method?, out_trade_no?, seconds?}

`method` and `out_trade_no` narrow it to one gateway method, to one trade or payout.

kind               at a notification, one attempt of it
drop               the notification is never sent, nor sent again
lost               this attempt is lost on the way; the next comes on schedule
late               comes `seconds` later
out_of_order       comes after the next notification
double             comes twice at the same moment, with one notify_id
double_new         comes twice at the same moment, with two notify_ids
empty_field        carries an empty field, which is not signed
wrong_amount       well signed, but one fen more
wrong_seller       well signed, but another seller_id
wrong_app          well signed, but another app_id
unknown_order      well signed, but an out_trade_no of nobody
bad_signature      the signature is of another text
other_key          signed with a key that is not Alipay's

kind               at the gateway, any method but the cashier's
error_before       503, nothing done
error_after        done, but the answer is a 502
reset_after        done, but the connection breaks
unknown_before     code 20000, nothing done
unknown_after      code 20000, though done
system_error       code 40004 ACQ.SYSTEM_ERROR, though done
unbalanced         a value of the answer holds a `{` without its `}`
answer_bad_signature, answer_other_key    done, but the answer's signature is worthless

kind               at one method
not_closable       close, cancel: the buyer is paying just now, ACQ.TRADE_STATUS_ERROR
paid_during_close  close, cancel: the buyer's payment wins by a hair
no_fund_change     refund: made, but the answer says fund_change N
no_balance         refund, payout: the seller has not the money, nothing done
dealing            payout: DEALING until the control `payout` settles it
"""

from collections.abc import Collection
from dataclasses import dataclass
from threading import Lock
from typing import Any

NOTIFY = {
    "drop",
    "lost",
    "late",
    "out_of_order",
    "double",
    "double_new",
    "empty_field",
    "wrong_amount",
    "wrong_seller",
    "wrong_app",
    "unknown_order",
    "bad_signature",
    "other_key",
}
GATEWAY = {
    "error_before",
    "error_after",
    "reset_after",
    "unknown_before",
    "unknown_after",
    "system_error",
    "unbalanced",
    "answer_bad_signature",
    "answer_other_key",
}
METHOD = {"not_closable", "paid_during_close", "no_fund_change", "no_balance", "dealing"}


@dataclass
class Fault:
    kind: str
    times: int = 1
    method: str = ""
    out_trade_no: str = ""
    seconds: float = 6.0

    def __post_init__(self) -> None:
        if self.kind not in NOTIFY | GATEWAY | METHOD:
            raise ValueError(f"no such fault: {self.kind}")
        self.times, self.seconds = int(self.times), float(self.seconds)


class Faults:
    """The switches, oldest first."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._set: list[Fault] = []

    def add(self, wanted: dict[str, Any]) -> None:
        fault = Fault(**wanted)
        with self._lock:
            self._set.append(fault)

    def take(self, kinds: Collection[str], number: str, method: str = "") -> Fault | None:
        """The oldest of these kinds for this trade or payout, used up by one."""
        with self._lock:
            for fault in self._set:
                is_here = fault.out_trade_no in {"", number} and fault.method in {"", method}
                if fault.kind in kinds and is_here:
                    fault.times -= 1
                    self._set = [one for one in self._set if one.times > 0]
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._set = []
