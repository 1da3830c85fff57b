"""A buyer with Alipay on his phone, Alipay in the sandbox, and the letters that it sends us."""

import itertools
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from django.db.models import F
from django.http import HttpResponse
from django.test import Client
from django.utils.timezone import now

from payments.alipay import offers, tasks
from payments.alipay.models import AlipayTrade
from payments.cashier import queries, services
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Refund
from tests.factories import make_user
from tests.payments import payable
from tests.payments.postbox import Postbox
from tests.sandbox.alipay import signing
from tests.sandbox.alipay.wire import APP_ID, SELLER_ID
from tests.sandbox_fixtures import Sandbox

HOOK = "/api/v1/hooks/alipay"
FORM = "application/x-www-form-urlencoded; charset=utf-8"
_orders = itertools.count(1)


def name_of(merchant: str) -> str:
    return "西湖茶业"


@dataclass
class Scene:
    sandbox: Sandbox
    box: Postbox

    def told(self) -> dict[str, str]:
        """What the shop's ALIPAY says."""
        held = signing.ensure(self.sandbox.home)
        return {
            "app_id": APP_ID,
            "seller_id": SELLER_ID,
            "gateway": f"{self.sandbox.base_url}/alipay/gateway.do",
            "notify_url": self.box.url,
            "private_key": held.app_private.read_text(),
            "public_key": held.alipay_public.read_text(),
        }

    # --- the shop

    def opened(self, fen: int = 9900, **more: Any) -> Payment:
        """A payment for a thing of its own, ready to be paid: by code, unless told otherwise."""
        payment = self.unprepared(fen, **more)
        services.prepare(payment=payment, at=now())
        return payment

    def unprepared(
        self, fen: int = 9900, method: str = "ALIPAY_QR", reference: str = "", payer: Any = None
    ) -> Payment:
        reference = reference or f"A{next(_orders)}"
        payable.told.amounts[reference] = fen
        return services.open_payment(
            payer_id=(payer or make_user()).pk,
            purpose="ORDER",
            reference=reference,
            method=method,
            at=now(),
        )

    def paid(self, fen: int = 9900, **more: Any) -> Payment:
        payment = self.opened(fen, **more)
        if payment.method == "ALIPAY_LINK":
            self.follow(payment)
        self.pay(payment)
        assert self.deliver() == [(200, b"success")]
        return payment

    def instructions(self, payment: Payment) -> dict[str, Any]:
        [shown] = queries.shown([Payment.objects.get(pk=payment.pk)])
        return dict(shown["instructions"])

    def letters(self, count: int = 1) -> list[bytes]:
        """So many letters of Alipay's, once they are here."""
        return [letter.body for letter in self.box.wait(count)]

    def deliver(self, count: int = 1) -> list[tuple[int, bytes]]:
        """Hand so many letters over; the shop's answers."""
        return [self.hand_over(letter) for letter in self.letters(count)]

    def hand_over(self, body: bytes, content_type: str = FORM, **more: str) -> tuple[int, bytes]:
        answer = Client().generic("POST", HOOK, body, content_type=content_type, **more)
        return answer.status_code, answer.content

    # --- the buyer

    def page(self, payment: Payment, path: str = "", **more: Any) -> HttpResponse:
        """Of our own, in the browser: the address of the link, and below it."""
        address = self.instructions(payment).get("pay_url") or link_of(payment)
        return Client().get(urlsplit(address).path + path, **more)

    def leave(self, payment: Payment) -> str:
        """The button of our page is pressed: where it leads."""
        answer = self.page(payment, "/alipay")
        assert answer.status_code == 302, answer.content.decode()
        return answer["Location"]

    def follow(self, payment: Payment) -> str:
        """The button, and Alipay opens: now there is a trade.  What Alipay's page says."""
        return self.sandbox.http.get(self.leave(payment), timeout=10).text

    def qr(self, payment: Payment) -> str:
        """Where a phone's camera is led by the code."""
        return str(self.instructions(payment)["qr_content"])

    def scan(self, payment: Payment) -> None:
        self.control("scan", payment)

    def pay(self, payment: Payment, **more: Any) -> None:
        self.control("pay", payment, **more)

    # --- the world

    def grow_old(self, by: timedelta) -> None:
        """What was handed out is so much older, here and at Alipay.

        The clocks stay, for Alipay refuses requests of another time: our rows are moved back, and
        Alipay's clock moves on, and back again once it has closed what it closes.
        """
        seconds = by.total_seconds()
        self.sandbox.move_clock(seconds)
        self.trades()
        self._wait_told()
        self.sandbox.move_clock(-seconds)
        for name in ("offered_until", "opened_at", "ask_at", "closed_at"):
            AlipayTrade.objects.exclude(**{name: None}).update(**{name: F(name) - by})

    def _wait_told(self) -> None:
        """What Alipay has to say of that goes out by the moved clock; moved back, it would wait."""
        deadline = time.monotonic() + 10
        while self.sandbox.get("/__sandbox__/alipay/notifies").json()["waiting"]["now"]:
            assert time.monotonic() < deadline, "Alipay did not say all that it had to say"
            time.sleep(0.01)

    def control(self, name: str, payment: Payment, **more: Any) -> dict[str, Any]:
        number = self.number(payment)
        return self.sandbox.control(f"alipay/{name}", out_trade_no=number, **more)

    def number(self, payment: Payment) -> str:
        """Of the payment's newest trade."""
        trades = AlipayTrade.objects.filter(payment=payment).order_by("pk")
        return trades.values_list("out_trade_no", flat=True).last() or ""

    def switch(self, kind: str, **more: Any) -> None:
        self.sandbox.control("alipay/faults", kind=kind, **more)

    def trades(self) -> dict[str, dict[str, Any]]:
        """What Alipay knows, by our number."""
        seen = self.sandbox.get("/__sandbox__/alipay/trades").json()
        return {one["out_trade_no"]: one for one in seen}


def link_of(payment: Payment) -> str:
    """Also of one that need not be paid any more."""
    return offers.page_url(offers.token(payment))


# --- words of these tests -------------------------------------------------------------------------

CLEARING = "clearing:alipay"
TAKEN = (200, b"success")
# Switches of an answer that proves nothing, whether or not anything was done.
UNPROVEN = [
    "error_before", "error_after", "reset_after", "unknown_before", "unknown_after",
    "system_error", "answer_bad_signature", "answer_other_key",
]  # fmt: skip
WAYS = ["ALIPAY_QR", "ALIPAY_LINK"]


def status(payment: Payment) -> str:
    return Payment.objects.get(pk=payment.pk).status


def trade_of(payment: Payment) -> AlipayTrade:
    return AlipayTrade.objects.get(payment=payment)


def swept(time_machine: Any, *, after: timedelta) -> None:
    """The sweep, so much later."""
    time_machine.move_to(now() + after, tick=True)
    tasks.ask_open()


def give_up(payment: Payment) -> None:
    services.shut(purpose="ORDER", reference=payment.reference, at=now())


def sent(refund: Refund, tries: int = 20) -> str:
    """The sweep, until Alipay has an answer."""
    for _ in range(tries):
        cashier_tasks.send_refund(refund_id=refund.pk)
        refund.refresh_from_db()
        if refund.status != "SENDING":
            break
    return refund.status
