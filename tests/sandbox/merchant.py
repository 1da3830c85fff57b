"""A merchant from outside: somebody else's WeChat Pay library, and a hook that hears notices."""

import gzip
import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wechatpayv3 import WeChatPay, WeChatPayType

from tests.sandbox.wechat import APPID
from tests.sandbox.wechat_pay import keys
from tests.sandbox_fixtures import Sandbox

OPENID = "oSandboxBuyer000000000000001"
TRADE_NO = "order-000001"
YUAN_88 = {"total": 8_800, "currency": "CNY"}


@dataclass
class Hook:
    """Hears what is posted to it; answers the statuses in `answers` first, then 200."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    body: bytes = b'{"code": "SUCCESS"}'
    got: list[tuple[dict[str, str], bytes, float]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def ids(self) -> list[str]:
        return [json.loads(body)["id"] for _, body, _ in self.got]


@contextmanager
def listening() -> Iterator[Hook]:
    hook = Hook()

    class Heard(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with hook.lock:
                hook.got.append((dict(self.headers), body, time.monotonic()))
                status = hook.answers.pop(0) if hook.answers else 200
            self.send_response(status)
            self.end_headers()
            if status != 204:
                self.wfile.write(hook.body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Heard)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_address[1]}/hooks/wechat-pay"
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass(frozen=True)
class Merchant:
    """The library, pointed at the sandbox; every answer as (status, JSON)."""

    sandbox: Sandbox
    hook: Hook
    library: WeChatPay

    def pay(self, out_trade_no: str = TRADE_NO, **more: Any) -> tuple[int, Any]:
        asked = {"description": "鞋", "amount": YUAN_88, "payer": {"openid": OPENID}, **more}
        return said(self.library.pay(out_trade_no=out_trade_no, notify_url=self.hook.url, **asked))

    def paid(self, out_trade_no: str = TRADE_NO, **more: Any) -> dict[str, Any]:
        """A trade that its buyer has paid."""
        assert self.pay(out_trade_no, **more)[0] == 200
        return self.control("pay", out_trade_no=out_trade_no)

    def query(self, out_trade_no: str = TRADE_NO) -> tuple[int, Any]:
        return said(self.library.query(out_trade_no=out_trade_no))

    def close(self, out_trade_no: str = TRADE_NO) -> tuple[int, Any]:
        return said(self.library.close(out_trade_no))

    def refund(self, out_refund_no: str, fen: int, **more: Any) -> tuple[int, Any]:
        amount = {"refund": fen, "total": 8_800, "currency": "CNY"}
        asked = {"out_trade_no": TRADE_NO, "amount": amount, "notify_url": self.hook.url, **more}
        return said(self.library.refund(out_refund_no, **asked))

    def refunded(self, out_refund_no: str) -> dict[str, Any]:
        status, found = said(self.library.query_refund(out_refund_no))
        assert status == 200, found
        return dict(found)

    def transfer(self, out_bill_no: str, fen: int = 5_000, name: str = "") -> tuple[int, Any]:
        return said(
            self.library.mch_transfer_bills(
                out_bill_no,
                "1000",
                OPENID,
                fen,
                "退押金",
                user_name=name,
                transfer_scene_report_infos=[{"info_type": "活动名称", "info_content": "退押金"}],
                notify_url=self.hook.url,
            )
        )

    def transferred(self, out_bill_no: str) -> dict[str, Any]:
        status, found = said(self.library.mch_transfer_bills_query(out_bill_no))
        assert status == 200, found
        return dict(found)

    def control(self, name: str, /, **asked: Any) -> dict[str, Any]:
        return self.sandbox.control(f"wechat-pay/{name}", **asked)

    def switch(self, kind: str, **more: Any) -> None:
        self.control("switch", kind=kind, **more)

    def notices(self, seconds: float = 10) -> list[dict[str, Any]]:
        """Deliveries tried, once there is nothing more to tell."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.sandbox.get("/__sandbox__/wechat-pay/notices").json()
            if not found["waiting"]:
                return list(found["tried"])
            time.sleep(0.02)
        raise AssertionError(f"notices still waiting after {seconds} s: {found}")

    def heard(self) -> list[dict[str, Any] | None]:
        """What the library makes of every notice so far: its content, None if it is false."""
        self.notices()
        return [opened(self.library, headers, body) for headers, body, _ in self.hook.got]


def said(answer: tuple[int, Any]) -> tuple[int, Any]:
    status, body = answer
    return status, json.loads(body) if body else None


def downloaded(merchant: Merchant, answer: tuple[int, Any]) -> bytes:
    """What the address of an answer holds, once its SHA-1 is what the answer said."""
    status, offer = said(answer)
    assert (status, offer["hash_type"]) == (200, "SHA1"), offer
    status, packed = merchant.library.download_bill(offer["download_url"])
    assert status == 200
    content = gzip.decompress(packed)
    assert hashlib.sha1(content, usedforsecurity=False).hexdigest() == offer["hash_value"]
    return content


def opened(library: WeChatPay, headers: dict[str, str], body: bytes) -> dict[str, Any] | None:
    found = library.callback(headers, body)
    return dict(found) if found else None


def client(sandbox: Sandbox, regime: str, home: Path) -> WeChatPay:
    """The library with one of the two keys; with a certificate it asks for answers under it.

    It would fetch certificates when it is made, before it can be pointed at the sandbox: it finds
    one in `home` instead.
    """
    held = keys.ensure(sandbox.home)
    if regime == "certificate":
        home.mkdir(exist_ok=True)
        (home / "platform.pem").write_text(held.platform_cert.read_text())
        own: dict[str, str] = {"cert_dir": str(home)}
    else:
        own = {"public_key": held.public_key.read_text(), "public_key_id": held.public_key_id}
    library = WeChatPay(
        wechatpay_type=WeChatPayType.MINIPROG,
        mchid=keys.MCHID,
        private_key=held.merchant_private.read_text(),
        cert_serial_no=held.merchant_serial,
        appid=APPID,
        apiv3_key=held.apiv3_key,
        proxy={"http": "", "https": ""},
        timeout=10,
        **own,
    )
    library._core._gate_way = sandbox.base_url
    return library
