"""WeChat Pay tells the merchant how something ended, until it is taken: 200 or 204 in 5 seconds.

What the body of that 200 says is not read: {"code": "FAIL"} is taken like any other.
"""

import json
import secrets
from collections.abc import Sequence
from threading import Thread
from typing import Any

from tests.sandbox.deliveries import Deliveries, Due, is_here, post
from tests.sandbox.faults import Fault
from tests.sandbox.journal import Fact
from tests.sandbox.wechat_pay.books import Books, rfc3339
from tests.sandbox.wechat_pay.signing import Platform
from tests.sandbox.wechat_pay.switches import Switches

MINUTE, HOUR = 60.0, 3_600.0
DELAYS = (
    *(15.0, 15.0, 30.0, 3 * MINUTE, 10 * MINUTE, 20 * MINUTE, 30 * MINUTE, 30 * MINUTE),
    *(30 * MINUTE, HOUR, 3 * HOUR, 3 * HOUR, 3 * HOUR, 6 * HOUR, 6 * HOUR),
)
# event: what it says of itself, the type of its resource, and the associated data
KINDS = {
    "TRANSACTION.SUCCESS": ("支付成功", "transaction", "transaction"),
    "REFUND.SUCCESS": ("退款成功", "refund", "refund"),
    "REFUND.ABNORMAL": ("退款异常", "refund", "refund"),
    "REFUND.CLOSED": ("退款关闭", "refund", "refund"),
    "MCHTRANSFER.BILL.FINISHED": ("商家转账单据终态通知", "mch_payment", "mch_payment"),
}
NAMES = ("out_refund_no", "out_trade_no", "out_bill_no")
AMOUNTS = ("refund", "total")
FOREIGN = {"currency": "USD", "payer_currency": "USD"}


class Notices:
    """A queue of events; the bytes of a notice are the same at each attempt, its signature new."""

    def __init__(
        self,
        books: Books,
        platform: Platform,
        switches: Switches,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        self.tried: list[dict[str, Any]] = []
        self._books = books
        self._platform = platform
        self._queue = Deliveries(
            "wechat-pay-notices",
            deliver=self._deliver,
            fault_of=lambda event: switches.notice(event["event_type"]),
            on_taken=books.told,
            delays=delays,
        )
        self.start, self.stop = self._queue.start, self._queue.stop
        self.waiting = self._queue.waiting
        self.push = self._queue.push

    def clear(self) -> None:
        self._queue.clear()
        self.tried = []

    def made(self, event_type: str, notify_url: str, resource: Fact) -> list[Fact]:
        """The event to record with what it is about; none without an address."""
        if not notify_url:
            return []
        event = {
            "id": _fresh_id(),
            "event_type": event_type,
            "at": self._books.now(),
            "notify_url": notify_url,
            "resource": resource,
        }
        return [event | {"body": self._body(event)}]

    def _body(self, event: Fact) -> str:
        summary, original_type, associated_data = KINDS[event["event_type"]]
        text = json.dumps(event["resource"], ensure_ascii=False).encode()
        sealed = self._platform.seal(text, associated_data)
        said = {
            "id": event["id"],
            "create_time": rfc3339(event["at"]),
            "resource_type": "encrypt-resource",
            "event_type": event["event_type"],
            "summary": summary,
            "resource": {"original_type": original_type, **sealed.said()},
        }
        return json.dumps(said, ensure_ascii=False)

    def _deliver(self, due: Due, fault: Fault | None) -> bool:
        """One attempt, of one notice or two."""
        event, kind = due.event, fault.kind if fault else ""
        if kind == "drop" or not is_here(event["notify_url"]):
            self._note(due, event, kind, 0, "dropped" if kind == "drop" else "not this machine")
            return True
        if kind == "double_at_once":
            twins = [Thread(target=self._send, args=(due, event, kind)) for _ in range(2)]
            for twin in twins:
                twin.start()
            for twin in twins:
                twin.join()
            last = [one["status"] for one in self.tried if one["id"] == event["id"]][-2:]
            return any(status in {200, 204} for status in last)
        if kind in {"signtest", "double", "double_new_id"}:
            first = self._send(due, event, kind)
            again = self._again(event) if kind == "double_new_id" else event
            second = self._send(due, again, "" if kind == "signtest" else kind)
            return second if kind == "signtest" else first and second
        return self._send(due, self._altered(event, kind), kind)

    def _send(self, due: Due, event: Fact, kind: str) -> bool:
        body = event["body"].encode()
        headers = {
            "Content-Type": "application/json",
            "Accept": "*/*",
            "User-Agent": "Mozilla/4.0",
            **self._platform.headers(body, flaw=kind),
        }
        status, said = post(event["notify_url"], body, headers)
        self._note(due, event, kind, status, said)
        return status in {200, 204}

    def _note(self, due: Due, event: Fact, kind: str, status: int, said: str) -> None:
        resource = due.event["resource"]
        number = next(resource[name] for name in NAMES if name in resource)
        self.tried.append(
            {
                "id": event["id"],
                "event_type": event["event_type"],
                "number": number,
                "attempt": due.attempt,
                "switch": kind,
                "status": status,
                "answer": said,
            }
        )

    def _again(self, event: Fact) -> Fact:
        again = event | {"id": _fresh_id()}
        return again | {"body": self._body(again)}

    def _altered(self, event: Fact, kind: str) -> Fact:
        """The same event, and its resource says something else; sealed and signed well."""
        resource = altered(event["resource"], kind)
        if resource == event["resource"]:
            return event
        false = event | {"resource": resource}
        return false | {"body": self._body(false)}


def altered(resource: Fact, kind: str) -> Fact:
    """What the event would say were it of another merchant, app, number, amount or currency."""
    number = next(name for name in NAMES if name in resource)
    mchid = "mch_id" if "mch_id" in resource else "mchid"
    changes: dict[str, Fact] = {
        "wrong_mchid": {mchid: "1900009999"},
        "wrong_appid": {"appid": "wx0000000000000000"},
        "unknown_order": {number: f"unknown{secrets.token_hex(8)}"},
        "wrong_amount": _more(resource),
        "wrong_currency": {"amount": {**resource.get("amount", {}), **FOREIGN}},
    }
    return resource | changes.get(kind, {})


def _more(resource: Fact) -> Fact:
    """One fen more."""
    if "transfer_amount" in resource:
        return {"transfer_amount": resource["transfer_amount"] + 1}
    amount = resource["amount"]
    name = next(name for name in AMOUNTS if name in amount)
    return {"amount": amount | {one: amount[one] + 1 for one in (name, f"payer_{name}")}}


def _fresh_id() -> str:
    """A UUID, as real ones are."""
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
