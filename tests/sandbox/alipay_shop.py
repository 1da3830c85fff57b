"""A shop at the sandbox's Alipay: python-alipay-sdk speaks for it, a small server listens.

Not of the sandbox, but its counterpart, so that no mistake of ours is on both sides.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl

from alipay import AliPay

from tests.sandbox.alipay import signing
from tests.sandbox.alipay.wire import APP_ID
from tests.sandbox_fixtures import Sandbox

Said = dict[str, str]


@dataclass
class Shop:
    """`answers`: status and body for the next notifications; `success` after them."""

    client: AliPay
    sandbox: Sandbox
    notify_url: str
    answers: list[tuple[int, bytes]] = field(default_factory=list)
    bodies: list[str] = field(default_factory=list)

    def precreate(self, number: str, amount: str = "88.00", **more: Any) -> dict[str, Any]:
        more = {"notify_url": self.notify_url, **more}
        return dict(self.client.api_alipay_trade_precreate("一箱苹果", number, amount, **more))

    def wap_url(
        self, number: str, amount: str = "88.00", *, subject: str = "一箱苹果", **more: Any
    ) -> str:
        asked = {"notify_url": self.notify_url, "product_code": "QUICK_WAP_WAY", **more}
        query = self.client.api_alipay_trade_wap_pay(subject, number, amount, **asked)
        return f"{self.sandbox.base_url}/alipay/gateway.do?{query}"

    def query(self, number: str) -> dict[str, Any]:
        return dict(self.client.api_alipay_trade_query(number))

    def refund(self, number: str, amount: str, request: str) -> dict[str, Any]:
        return dict(self.client.api_alipay_trade_refund(amount, number, out_request_no=request))

    def call(self, method: str, **biz: Any) -> dict[str, Any]:
        return dict(self.client.server_api(method, biz))

    def order(self, name: str, /, **asked: Any) -> dict[str, Any]:
        return self.sandbox.control(f"alipay/{name}", **asked)

    def paid(self, number: str, amount: str = "88.00", **more: Any) -> None:
        """Precreated, scanned and paid, and told."""
        before = len(self.bodies)
        self.precreate(number, amount, **more)
        self.order("scan", out_trade_no=number)
        self.order("pay", out_trade_no=number)
        if more.get("notify_url", self.notify_url):
            self.heard(before + 1)

    def heard(self, count: int, seconds: float = 10) -> list[Said]:
        """The notifications so far, once there are so many and no more is under way."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            is_quiet = not self.sandbox.get("/__sandbox__/alipay/notifies").json()["waiting"]["now"]
            if is_quiet and len(self.bodies) >= count:
                break
            time.sleep(0.02)
        assert len(self.bodies) == count, self.bodies
        return [fields(body) for body in self.bodies]

    def verifies(self, said: Said) -> bool:
        """As the documentation says: without sign, sign_type and what is empty."""
        signed = {name: value for name, value in said.items() if value and name != "sign"}
        return bool(self.client.verify(signed, said["sign"]))

    def trade(self, number: str) -> dict[str, Any]:
        trades = self.sandbox.get("/__sandbox__/alipay/trades").json()
        return next(one for one in trades if one["out_trade_no"] == number)

    def tried(self) -> list[dict[str, Any]]:
        return list(self.sandbox.get("/__sandbox__/alipay/notifies").json()["tried"])


def fields(body: str) -> Said:
    return dict(parse_qsl(body, keep_blank_values=True))


def client_of(sandbox: Sandbox) -> AliPay:
    held = signing.ensure(sandbox.home)
    client = AliPay(
        appid=APP_ID,
        app_private_key_string=held.app_private.read_text(),
        alipay_public_key_string=held.alipay_public.read_text(),
    )
    client._gateway = f"{sandbox.base_url}/alipay/gateway.do"
    return client


@contextmanager
def shop_of(sandbox: Sandbox) -> Iterator[Shop]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            status, said = here.answers.pop(0) if here.answers else (200, b"success")
            here.bodies.append(body)
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/hooks/alipay"
        here = Shop(client_of(sandbox), sandbox, url)
        thread = Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield here
        finally:
            server.shutdown()
            thread.join()
