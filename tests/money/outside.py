"""The world outside, of which the books must be true: buyers' phones, channels, a bank, letters."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.http import HttpResponse
from django.test import Client
from rest_framework.test import APIClient

from payments.channels.transfer import bank
from tests.money.ageing import grow_old
from tests.payments.alipay.scene import FORM
from tests.payments.alipay.scene import HOOK as ALIPAY_HOOK
from tests.payments.postbox import Postbox, postbox
from tests.payments.transfers.bank import ACCOUNT
from tests.payments.wechat_pay.scene import HOOK as WECHAT_HOOK
from tests.sandbox.signing import Signer
from tests.sandbox_fixtures import Sandbox

BANK_HOOK = "/api/v1/hooks/bank/sandbox"
OPENING_FEN = 10**10
UNITS = 60
HELD_REFUNDS = 10**6  # all: what ends by itself after a moment would end at another step each time


class Letter(NamedTuple):
    of: str  # whose
    what: str  # of which number
    headers: dict[str, str]
    body: bytes


class Heard(NamedTuple):
    """What the world would tell under oath, in fen by our number."""

    wechat: dict[str, int]  # paid
    wechat_back: dict[str, int]  # refunds that have left
    wechat_out: dict[str, int]  # transfers that have arrived
    alipay: dict[str, int]
    alipay_back: dict[str, int]


@dataclass
class Outside:
    sandbox: Sandbox
    box: Postbox  # of WeChat's and the bank's
    of_alipay: Postbox
    letters: list[Letter] = field(default_factory=list)  # not handed over yet
    known: list[Letter] = field(default_factory=list)  # handed over, and perhaps once more
    bookings: list[dict[str, Any]] = field(default_factory=list)  # of the bank, by its own word
    client: APIClient = field(default_factory=APIClient)

    @property
    def address(self) -> str:
        parts = urlsplit(self.box.url)
        return f"{parts.scheme}://{parts.netloc}"

    def begin(self) -> None:
        """A world of its own for each history."""
        self.sandbox.reset()
        self.box.letters.clear()
        self.of_alipay.letters.clear()
        self.letters, self.known, self.bookings = [], [], []
        self.sandbox.push_to(self.address)
        self.sandbox.open_account(ACCOUNT, OPENING_FEN)
        units = [f"{unit:010d}" for unit in range(1, UNITS + 1)]
        bank("sandbox").register_units(ACCOUNT, units)
        self.switch_wechat("held_refund", times=HELD_REFUNDS)

    # --- misfortunes

    def switch_wechat(self, kind: str, **more: Any) -> None:
        self.sandbox.control("wechat-pay/switch", kind=kind, **more)

    def switch_alipay(self, kind: str, **more: Any) -> None:
        self.sandbox.control("alipay/faults", kind=kind, **more)

    def try_(self, name: str, **asked: Any) -> bool:
        """A person's or a channel's deed, which the world may refuse."""
        return bool(self.sandbox.post(f"/__sandbox__/{name}", asked).ok)

    # --- people

    def transfer(self, to: str, fen: int, *, payer_account: str, remark: str = "") -> bool:
        asked = {
            "account_no": to,
            "amount_fen": fen,
            "payer_name": "王小美",
            "payer_account": payer_account,
            "remark": remark,
        }
        return bool(self.sandbox.post("/bank/transfers", asked).ok)

    def follow(self, pay_url: str) -> bool:
        """The button of our own page, and Alipay opens: now there is a trade."""
        said: HttpResponse = Client().get(f"{urlsplit(pay_url).path}/alipay")
        if said.status_code != 302 or not said["Location"].startswith(self.sandbox.base_url):
            return False
        return bool(self.sandbox.http.get(said["Location"], timeout=10).ok)

    # --- letters

    def listen(self) -> None:
        """Until nobody has anything more to say: what was said lies there as letters."""
        deadline = time.monotonic() + 10
        while self._are_busy():
            assert time.monotonic() < deadline, "the world does not come to rest"
            time.sleep(0.001)
        fresh = [
            _letter(one.headers, one.body)
            for box in (self.box, self.of_alipay)
            for one in box.letters
        ]
        self.box.letters.clear()
        self.of_alipay.letters.clear()
        fresh.sort(key=lambda one: one.of)  # each one's in order; three threads brought them
        self.bookings += [json.loads(one.body) for one in fresh if one.of == "BANK"]
        self.letters += fresh

    def _are_busy(self) -> bool:
        told = self.sandbox.get("/__sandbox__/waiting").json()
        return bool(told["waiting"])

    def read(self, letter: Letter) -> None:
        """It lies there until the shop has answered, for who is not answered tells again."""
        status = self.hand_over(letter)
        assert status < 500, status
        assert status < 300 or letter.of != "BANK", status
        self.letters.remove(letter)
        self.known.append(letter)

    def hand_over(self, letter: Letter) -> int:
        """At the shop's door; what the shop answers.  The bank signs each attempt anew."""
        if letter.of == "ALIPAY":
            return int(self._post(ALIPAY_HOOK, letter.body, FORM).status_code)
        if letter.of == "BANK":
            hook, headers = BANK_HOOK, self._banks_hand.headers("POST", BANK_HOOK, letter.body)
        else:
            hook, headers = WECHAT_HOOK, letter.headers
        given = {
            f"HTTP_{name.upper().replace('-', '_')}": text
            for name, text in headers.items()
            if name.startswith(("Wechatpay", "X-Bank"))
        }
        return int(self._post(hook, letter.body, "application/json", **given).status_code)

    @cached_property
    def _banks_hand(self) -> Signer:
        return Signer(self.sandbox.keys.bank_private)

    def _post(self, path: str, body: bytes, kind: str, **more: Any) -> Any:
        return self.client.generic("POST", path, body, content_type=kind, **more)

    # --- time

    def pass_time(self, by: timedelta) -> None:
        """The channels see the later hour, and close what it closes; then their clock is ours."""
        seconds = by.total_seconds()
        self.sandbox.move_clock(seconds)
        self.sandbox.get("/__sandbox__/alipay/trades")
        self.sandbox.get("/__sandbox__/wechat-pay/trades")
        self.listen()
        self.sandbox.move_clock(-seconds)
        grow_old(by)

    # --- what is so

    def heard(self) -> Heard:
        of_wechat = self.sandbox.get("/__sandbox__/wechat-pay/trades").json()
        of_alipay = self.sandbox.get("/__sandbox__/alipay/trades").json()
        paid = [one for one in of_alipay if one["paid_at"]]
        return Heard(
            {
                one["out_trade_no"]: one["amount"]["total"]
                for one in of_wechat["trades"]
                if one["trade_state"] in {"SUCCESS", "REFUND"}
            },
            {
                one["out_refund_no"]: one["amount"]["refund"]
                for one in of_wechat["refunds"]
                if one["status"] == "SUCCESS"
            },
            {
                one["out_bill_no"]: one["transfer_amount"]
                for one in of_wechat["transfers"]
                if one["state"] == "SUCCESS"
            },
            {one["out_trade_no"]: one["total_fen"] for one in paid},
            {
                refund["request_no"]: refund["amount_fen"]
                for one in paid
                for refund in one["refunds"]
            },
        )

    def refunds_going(self) -> list[str]:
        """What WeChat has accepted and not done."""
        told = self.sandbox.get("/__sandbox__/wechat-pay/trades").json()["refunds"]
        return [one["out_refund_no"] for one in told if one["status"] == "PROCESSING"]

    def transfers_cancelling(self) -> list[str]:
        told = self.sandbox.get("/__sandbox__/wechat-pay/trades").json()["transfers"]
        return [one["out_bill_no"] for one in told if one["state"] == "CANCELING"]

    def bank_fen(self) -> int:
        """What has come and gone since we began."""
        return sum(signed(one) for one in self.bookings)

    def by_account(self) -> Counter[str]:
        """The same of each account on the other side."""
        found: Counter[str] = Counter()
        for one in self.bookings:
            found[one["payer_account"]] += signed(one)
        return found


def signed(booking: dict[str, Any]) -> int:
    return int(booking["amount_fen"]) * (1 if booking["direction"] == "C" else -1)


def _letter(headers: dict[str, str], body: bytes) -> Letter:
    if any(name.startswith("Wechatpay") for name in headers):
        return Letter("WECHAT", json.loads(body)["id"], headers, body)
    if any(name.startswith("X-Bank") for name in headers):
        return Letter("BANK", json.loads(body)["event_id"], headers, body)
    return Letter("ALIPAY", body.decode(), headers, body)


@contextmanager
def outside(sandbox: Sandbox) -> Iterator[Outside]:
    ok = b'{"code": "OK"}'
    with postbox(WECHAT_HOOK, says=ok) as box, postbox(ALIPAY_HOOK, says=b"success") as of_alipay:
        yield Outside(sandbox, box, of_alipay)
