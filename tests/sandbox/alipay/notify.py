"""Alipay tells the shop: a signed form, again on schedule until the body is exactly `success`.

One thread; due times are of the world's clock, so that a test may move a retry near.  Only this
machine is ever told.
"""

import heapq
import http.client
import json
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Condition, Thread
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.sandbox.alipay.faults import NOTIFY, Fault, Faults
from tests.sandbox.alipay.signing import Signer, text
from tests.sandbox.alipay.trades import Notice, Trades
from tests.sandbox.alipay.wire import APP_ID, SELLER_ID, clock, yuan

DELAYS = (240.0, 600.0, 600.0, 3600.0, 7200.0, 21_600.0, 54_000.0)  # 25 hours
PATIENCE = 5.0  # seconds that the shop has for its answer
LOOK_SECONDS = 0.1  # the world's clock may jump
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
BUYER_ID = "2088102175953034"
BUYER_LOGON = "159****5620"
TAKEN = b"success"
FORGED = {"bad_signature", "other_key"}


@dataclass(frozen=True)
class Craft:
    """What a test wants otherwise; nothing, for all that Alipay does by itself.

    `fields` are replaced before they are signed, `unsigned` come after the signature (a name
    may come twice), `without` are left out, `key` is as for Signer.sign.
    """

    fields: Mapping[str, str] = field(default_factory=dict)
    unsigned: Mapping[str, str] = field(default_factory=dict)
    without: Sequence[str] = ()
    key: str = ""
    charset: str = "utf-8"

    def __post_init__(self) -> None:
        if self.charset not in {"utf-8", "gbk"} or self.key not in {"", *FORGED, "sha1"}:
            raise ValueError(f"no such charset or key: {self.charset}, {self.key}")
        if not all(isinstance(value, str) for value in {**self.fields, **self.unsigned}.values()):
            raise ValueError("fields are texts")


PLAIN = Craft()


@dataclass(order=True)
class Due:
    at: float
    turn: int
    notice: Notice = field(compare=False)
    attempt: int = field(compare=False, default=0)
    craft: Craft = field(compare=False, default=PLAIN)
    plain: bool = field(compare=False, default=False)  # its fault has been used up


def is_near(url: str) -> bool:
    """An address of this machine, without a query."""
    try:
        parts = urlsplit(url)
        fine = parts.port is None or parts.port > 0
    except ValueError:
        return False
    return fine and parts.scheme == "http" and parts.hostname in LOOPBACK and not parts.query


def fields(notice: Notice, at: float) -> dict[str, str]:
    """Everything that is signed, as it is sent at that moment."""
    trade, offer = notice.trade, notice.trade.offer
    total = yuan(trade.total_fen)
    said = {
        "notify_time": clock(at),
        "notify_type": "trade_status_sync",
        "notify_id": notice.notify_id,
        "charset": "utf-8",
        "version": "1.0",
        "app_id": APP_ID,
        "auth_app_id": APP_ID,
        "seller_id": SELLER_ID,
        "trade_no": trade.trade_no,
        "out_trade_no": offer.out_trade_no,
        "trade_status": trade.status,
        "total_amount": total,
        "subject": offer.subject,
        "buyer_id": BUYER_ID,
        "buyer_logon_id": BUYER_LOGON,
        "gmt_create": clock(trade.created_at),
        "passback_params": offer.passback,
    }
    if trade.paid_at is not None:
        funds = [{"amount": total, "fundChannel": "ALIPAYACCOUNT"}]
        said |= {
            "gmt_payment": clock(trade.paid_at),
            "receipt_amount": total,
            "buyer_pay_amount": total,
            "invoice_amount": total,
            "point_amount": "0.00",
            "fund_bill_list": json.dumps(funds, separators=(",", ":")),
        }
    if notice.refund is not None:
        said |= {
            "refund_fee": yuan(trade.refunded_fen),
            "gmt_refund": f"{clock(notice.refund.at)}.000",
            "out_biz_no": notice.refund.request_no,
        }
    if trade.closed_at is not None:
        said["gmt_close"] = clock(trade.closed_at)
    return {name: value for name, value in said.items() if value}


class Notifier:
    """A queue and one thread."""

    def __init__(
        self, trades: Trades, signer: Signer, faults: Faults, delays: Sequence[float] = DELAYS
    ) -> None:
        self.tried: deque[dict[str, Any]] = deque(maxlen=20_000)
        self._trades = trades
        self._signer = signer
        self._faults = faults
        self._delays = delays
        self._due: list[Due] = []
        self._held: list[Due] = []
        self._turn = 0
        self._busy = 0
        self._age = 0  # of the world: a reset makes what is under way worthless
        self._wake = Condition()
        self._stopped = False
        self._thread = Thread(target=self._run, name="alipay", daemon=True)
        trades.on_owed = self.tell

    def start(self) -> None:
        """Begins with what the shop had not taken before a restart."""
        for notice in list(self._trades.owed.values()):
            self.tell(notice)
        self._thread.start()

    def stop(self) -> None:
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def clear(self) -> None:
        with self._wake:
            self._due, self._held = [], []
            self.tried.clear()
            self._age += 1

    def tell(self, notice: Notice, craft: Craft = PLAIN) -> None:
        self._enqueue(Due(self._trades.now(), 0, notice, craft=craft))

    def waiting(self) -> dict[str, int]:
        """`now`: due or under way; `later`: retries, late ones, and those held back."""
        with self._wake:
            now = sum(due.at <= self._trades.now() for due in self._due) + self._busy
            return {"now": now, "later": len(self._due) + self._busy + len(self._held) - now}

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
            self._trades.sweep()
            with self._wake:
                if self._stopped:
                    return
                if not self._due or self._due[0].at > self._trades.now():
                    self._wake.wait(LOOK_SECONDS)
                    continue
                due, age = heapq.heappop(self._due), self._age
                self._busy = 1
            try:
                self._deliver(due, age)
            finally:
                with self._wake:
                    self._busy = 0

    def _deliver(self, due: Due, age: int) -> None:
        number = due.notice.trade.offer.out_trade_no
        fault = None if due.plain else self._faults.take(NOTIFY, number)
        kind = fault.kind if fault else ""
        if kind == "drop":
            return
        if fault and kind == "late":
            due.at, due.plain = self._trades.now() + fault.seconds, True
            self._enqueue(due, age=age)
            return
        if kind == "out_of_order":
            due.plain = True
            with self._wake:
                self._held.append(due)
            return
        if kind != "lost" and self._send_all(due, fault):
            self._trades.told(due.notice.notify_id)
        elif due.attempt < len(self._delays):
            later = self._trades.now() + self._delays[due.attempt]
            self._enqueue(Due(later, 0, due.notice, due.attempt + 1, due.craft), age=age)
        self._release(age)

    def _release(self, age: int) -> None:
        """What was held back to come out of order comes now."""
        with self._wake:
            held, self._held = self._held, []
        for due in held:
            self._enqueue(due, age=age)

    def _send_all(self, due: Due, fault: Fault | None) -> bool:
        """Once, or at the same moment twice; True when the shop took it."""
        kind = fault.kind if fault else ""
        if not kind.startswith("double"):
            return self._send(due, kind, due.notice.notify_id)
        again = due.notice.notify_id
        if kind == "double_new":
            again = again[:-1] + str((int(again[-1]) + 1) % 10)
        twin = Thread(target=self._send, args=(due, "", again), daemon=True)
        twin.start()
        taken = self._send(due, "", due.notice.notify_id)
        twin.join()
        return taken

    def _send(self, due: Due, kind: str, notify_id: str) -> bool:
        body = self._body(due, kind, notify_id)
        address = urlsplit(due.notice.url)
        connection = http.client.HTTPConnection(
            address.hostname or "", address.port, timeout=PATIENCE
        )
        status, said = 0, b""
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        try:
            connection.request("POST", address.path or "/", body, headers)
            got = connection.getresponse()
            status, said = got.status, got.read(2_000)
        except (OSError, http.client.HTTPException) as error:
            said = type(error).__name__.encode()
        finally:
            connection.close()
        self.tried.append(
            {
                "notify_id": notify_id,
                "out_trade_no": due.notice.trade.offer.out_trade_no,
                "trade_status": due.notice.trade.status,
                "attempt": due.attempt,
                "fault": kind or None,
                "status": status,
                "answer": said.decode("utf-8", "replace"),
            }
        )
        return status == 200 and said == TAKEN

    def _body(self, due: Due, kind: str, notify_id: str) -> bytes:
        craft = due.craft
        said = fields(due.notice, self._trades.now()) | {"notify_id": notify_id}
        said |= {"charset": craft.charset, **craft.fields}
        if kind == "wrong_amount":
            said["total_amount"] = yuan(due.notice.trade.total_fen + 1)
        said |= {
            "wrong_seller": {"seller_id": "2088000000000002"},
            "wrong_app": {"app_id": "2021000000000002"},
            "unknown_order": {"out_trade_no": f"NOBODY{due.notice.notify_id}"},
            "empty_field": {"body": ""},
        }.get(kind, {})
        how = craft.key or (kind if kind in FORGED else "")
        said["sign"] = self._signer.sign(text(said), how, craft.charset)
        said["sign_type"] = "RSA" if how == "sha1" else "RSA2"
        pairs = [pair for pair in said.items() if pair[0] not in craft.without]
        return urlencode(
            [*pairs, *craft.unsigned.items()], encoding=craft.charset, errors="replace"
        ).encode()
