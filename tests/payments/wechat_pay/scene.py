"""A buyer on his phone, WeChat Pay in the sandbox, and the letters that it sends the shop."""

import itertools
from dataclasses import dataclass
from typing import Any

from django.utils.timezone import now
from rest_framework.test import APIClient

from payments.cashier import queries, services
from payments.cashier.models import Payment
from tests.factories import make_user
from tests.payments import payable
from tests.payments.postbox import Postbox
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import Sandbox

HOOK = "/api/v1/hooks/wechat-pay"
_orders = itertools.count(1)


@dataclass
class Scene:
    sandbox: Sandbox
    box: Postbox

    def told(self, certificates: bool = True, public_key: bool = True) -> dict[str, Any]:
        """What the shop's WECHAT_PAY says."""
        held = keys.ensure(self.sandbox.home)
        public = {held.public_key_id: held.public_key.read_text()}
        return {
            "mchid": keys.MCHID,
            "base_url": self.sandbox.base_url,
            "notify_url": self.box.url,
            "merchant_certificate": held.merchant_cert.read_text(),
            "private_key": held.merchant_private.read_text(),
            "apiv3_key": held.apiv3_key,
            "certificates": [held.platform_cert.read_text()] if certificates else [],
            "public_keys": public if public_key else {},
        }

    # --- the shop

    def opened(self, fen: int = 9900, **more: Any) -> Payment:
        """A payment by WeChat Pay for a thing of its own, ready to be paid on the phone."""
        payment = self.unprepared(fen, **more)
        services.prepare(payment=payment, at=now())
        return payment

    def unprepared(self, fen: int = 9900, reference: str = "", payer: Any = None) -> Payment:
        reference = reference or f"W{next(_orders)}"
        payable.told.amounts[reference] = fen
        return services.open_payment(
            payer_id=(payer or make_user()).pk,
            purpose="ORDER",
            reference=reference,
            method="WECHAT",
            at=now(),
        )

    def deliver(self, letters: int = 1) -> list[int]:
        """Wait for so many letters of WeChat's, hand them over; the shop's answers."""
        return [self.hand_over(*letter) for letter in self.box.wait(letters)]

    def hand_over(self, headers: dict[str, str], body: bytes) -> int:
        given = {
            f"HTTP_{name.upper().replace('-', '_')}": text
            for name, text in headers.items()
            if name.startswith("Wechatpay")
        }
        answer = APIClient().generic("POST", HOOK, body, content_type="application/json", **given)
        return int(answer.status_code)

    # --- the world

    def pay(self, payment: Payment, amount_fen: int | None = None) -> dict[str, Any]:
        """The buyer taps, with what the shop gave to wx.requestPayment."""
        [shown] = queries.shown([Payment.objects.get(pk=payment.pk)])
        given = {"request_payment": shown["instructions"]}
        if amount_fen is not None:
            given["amount_fen"] = amount_fen
        return self.sandbox.control("wechat-pay/pay", **given)

    def switch(self, kind: str, **more: Any) -> None:
        self.sandbox.control("wechat-pay/switch", kind=kind, **more)

    def trades(self) -> dict[str, dict[str, Any]]:
        """What WeChat knows, by our number."""
        seen = self.sandbox.get("/__sandbox__/wechat-pay/trades").json()
        return {one["out_trade_no"]: one for one in seen["trades"]}

    def refunds(self) -> list[dict[str, Any]]:
        return list(self.sandbox.get("/__sandbox__/wechat-pay/trades").json()["refunds"])
