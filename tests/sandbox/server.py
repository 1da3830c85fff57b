"""HTTP in front of WeChat and the bank: routing, signatures, faults, journal, control."""

import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.sandbox import keys, page
from tests.sandbox.alipay import notify as alipay_notify
from tests.sandbox.alipay.control import Alipay
from tests.sandbox.bank import Bank
from tests.sandbox.carrier import Carrier
from tests.sandbox.faults import Fault, Faults
from tests.sandbox.journal import Journal
from tests.sandbox.push import DELAYS, Pusher
from tests.sandbox.shipping import Shipping
from tests.sandbox.signing import Signer, Unsigned, Verifier
from tests.sandbox.web import Answer, Errcode, No, Refused, Request, answer
from tests.sandbox.wechat import APPID, SECRET, WeChat
from tests.sandbox.wechat_pay import WeChatPay
from tests.sandbox.wechat_pay.notices import DELAYS as WECHAT_PAY_DELAYS

MOST_BYTES = 16 * 1_048_576
SECRETS = {"secret", "access_token"}
Road = Callable[[Request], Answer]


class World:
    """Everything behind the port."""

    def __init__(
        self,
        home: Path,
        *,
        shop_url: str = "",
        appid: str = APPID,
        secret: str = SECRET,
        push_delays: Sequence[float] = DELAYS,
        wechat_pay_delays: Sequence[float] = WECHAT_PAY_DELAYS,
        alipay_delays: Sequence[float] = alipay_notify.DELAYS,
    ) -> None:
        held = keys.ensure(home)
        self.faults = Faults()
        self.journal = Journal(home / "journal.jsonl")
        self._signer = Signer(held.bank_private)
        self._carrier_signer = Signer(held.carrier_private)
        self._verifier = Verifier(held.shop_public)
        self.pusher = Pusher(self._signer, self.faults, self._taken, push_delays)
        self.pusher.shop_url = shop_url
        self.bank = Bank(self.journal, self.pusher)
        self.carrier = Carrier(self.journal)
        self.wechat = WeChat(self.journal, appid, secret)
        self.wechat_pay = WeChatPay(home, self.journal, self.faults, appid, wechat_pay_delays)
        self.alipay = Alipay(self.journal, home, alipay_delays)
        self.shipping = Shipping(
            self.journal,
            self.wechat,
            self.wechat_pay.books,
            self.faults,
            appid=appid,
            delays=wechat_pay_delays,
        )
        self.shipping.shop_url = shop_url
        self._signed: dict[tuple[str, str], Road] = {
            ("POST", "/bank/units"): self.bank.register_units,
            ("POST", "/bank/units/limits"): self.bank.limit_unit,
            ("GET", "/bank/files"): self.bank.file,
            ("POST", "/bank/payouts"): self.bank.pay_out,
            ("GET", "/bank/payouts/*"): self.bank.payout,
            **self.carrier.roads(),
        }
        self._open: dict[tuple[str, str], Road] = {
            ("GET", "/"): self._page,
            ("POST", "/bank/transfers"): self._transfer,
            ("GET", "/bank/statements"): self.bank.statement,
            ("POST", "/cgi-bin/stable_token"): self.wechat.stable_token,
            ("GET", "/sns/jscode2session"): self.wechat.code_to_session,
            ("POST", "/wxa/getwxacodeunlimit"): self.wechat.unlimited_code,
            ("POST", "/cgi-bin/message/subscribe/send"): self.wechat.send_message,
            **self.shipping.roads(),
            ("POST", "/wechat-pay/pay"): self.wechat_pay.by_hand,
            ("POST", "/wechat-pay/confirm"): self.wechat_pay.by_hand,
            ("GET", "/__sandbox__/wechat-pay/*"): self.wechat_pay.look,
            ("POST", "/__sandbox__/wechat-pay/*"): self.wechat_pay.control,
            ("GET", "/__sandbox__/shipping/*"): self.shipping.look,
            ("POST", "/__sandbox__/shipping/*"): self.shipping.control,
            ("GET", "/__sandbox__/*"): self._look,
            ("POST", "/__sandbox__/*"): self._control,
            **self.alipay.roads,
        }

    def start(self) -> None:
        self.journal.replay()
        self.pusher.start()
        self.bank.push_again()
        self.wechat_pay.start()
        self.alipay.start()
        self.shipping.start()

    def stop(self) -> None:
        self.pusher.stop()
        self.wechat_pay.stop()
        self.alipay.stop()
        self.shipping.stop()
        self.journal.close()

    # --- one request

    def serve(self, request: Request) -> Answer | None:
        """The answer, after any fault that was ordered; None breaks the connection."""
        if request.path.startswith("/__sandbox__/"):
            return self._answer(request)
        fault = self.faults.take(request.path)
        said = self._refused_early(fault) or self._answer(request)
        self._note(request, said, fault)
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
        if fault and fault.kind == "stale":
            return self._sign(request, said, request.headers.get("X-Bank-Nonce", ""), ago=3600)
        if fault and fault.kind == "halved":
            half = Answer(
                said.status, said.body[: len(said.body) // 2], said.content_type, said.headers
            )
            return self._sign(request, half, request.headers.get("X-Bank-Nonce", ""))
        if fault and fault.kind == "any_payer":
            kept = {key: told for key, told in json.loads(said.body).items() if "payer" not in key}
            return self._sign(request, answer(kept), request.headers.get("X-Bank-Nonce", ""))
        return _spoilt(said, fault)

    def _refused_early(self, fault: Fault | None) -> Answer | None:
        if fault and fault.kind == "error_before":
            return Answer(503, b"<html><h1>503 Service Unavailable</h1></html>", "text/html")
        if fault and fault.kind == "errcode":
            return Errcode(fault.errcode, "ordered by a test").said
        return None

    def _answer(self, request: Request) -> Answer:
        if request.path.startswith("/v3/"):
            return self.wechat_pay.answer(request)
        place = request.path
        if place.startswith(("/__sandbox__/", "/bank/payouts/")):
            place = f"{place.rpartition('/')[0]}/*"
        signed = self._signed.get((request.method, place))
        try:
            if signed is not None:
                return self._answer_signed(request, signed)
            road = self._open.get((request.method, place))
            if road is None:
                raise Refused(404, "NOT_FOUND", f"no {request.method} {request.path} here")
            return road(request)
        except No as no:
            return no.said

    def _answer_signed(self, request: Request, road: Road) -> Answer:
        try:
            self._verifier.check(request.headers, request.method, request.target, request.body)
            said = road(request)
        except Unsigned as unsigned:
            said = Refused(401, unsigned.code, "the bank does not accept this message").said
        except No as no:
            said = no.said
        nonce = request.headers.get("X-Bank-Nonce", "")
        return self._sign(request, said, nonce)

    def _sign(self, request: Request, said: Answer, nonce: str, ago: int = 0) -> Answer:
        """An answer repeats the nonce of its request, so that no other answer can stand for it."""
        if not nonce:
            return said
        signer = self._carrier_signer if request.path.startswith("/carrier/") else self._signer
        headers = signer.headers(request.method, request.target, said.body, nonce=nonce, ago=ago)
        return Answer(said.status, said.body, said.content_type, {**said.headers, **headers})

    def _transfer(self, request: Request) -> Answer:
        if not request.is_form:
            return self.bank.transfer(request)
        try:
            said = self.bank.transfer(request)
        except Refused as no:
            return self._page(request, refused=no)
        serial = json.loads(said.body)["serial"]
        return Answer(303, content_type="text/plain", headers={"Location": f"/?booked={serial}"})

    def _page(self, request: Request, refused: Refused | None = None) -> Answer:
        return page.show(self.bank, request, refused, more=self.wechat_pay.section(request))

    def _note(self, request: Request, said: Answer, fault: Fault | None) -> None:
        body = request.json()
        if isinstance(body, dict):
            body = {name: "***" if name in SECRETS else body[name] for name in body}
        known = said.content_type.startswith("application/json")
        self.journal.requests.append(
            {
                "at": time.time(),
                "method": request.method,
                "path": request.path,
                "query": {
                    name: "***" if name in SECRETS else value
                    for name, value in request.query.items()
                },
                "body": body,
                "status": said.status,
                "errcode": json.loads(said.body).get("errcode", 0) if known else 0,
                "fault": fault.kind if fault else None,
            }
        )

    # --- control

    def _look(self, request: Request) -> Answer:
        with self.journal.lock:
            if request.path.endswith("/journal"):
                return answer(list(self.journal.requests))
            if request.path.endswith("/pushes"):
                tried = list(self.pusher.tried)
                return answer({"waiting": self.pusher.waiting(), "tried": tried})
        if request.path.endswith("/waiting"):
            parts = (self.pusher, self.wechat_pay, self.alipay, self.shipping)
            return answer({"waiting": sum(part.waiting() for part in parts)})
        raise Refused(404, "NOT_FOUND", "journal, pushes or waiting")

    def _control(self, request: Request) -> Answer:
        asked = request.json() or {}
        name = request.path.rpartition("/")[2]
        does = {
            "code": lambda: self.wechat.mint(asked["name"]),
            "user": lambda: answer({"openid": self.wechat.person(**asked)}, 201),
            "credit": lambda: self.wechat.allow(
                asked["openid"], asked["template_id"], asked["credits"]
            ),
            "account": lambda: self.bank.open_account(asked),
            "reverse": lambda: self.bank.reverse(asked),
            "carrier": lambda: self.carrier.switch(asked),
            "faults": lambda: self.faults.add(asked),
            "shop": lambda: self._tell(asked["url"].rstrip("/")),
            "clock": lambda: self.journal.advance(asked["seconds"]),
            "reset": self._reset,
        }.get(name)
        if does is None:
            raise Refused(404, "NOT_FOUND", f"no control {name}")
        try:
            said: Any = does()
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, "BAD_CONTROL", repr(error)) from error
        return said if isinstance(said, Answer) else answer({"ok": True})

    def _reset(self) -> None:
        with self.journal.lock:
            self.faults.clear()
            self.pusher.clear()
            self.bank.clear()
            self.carrier.clear()
            self.wechat.clear()
            self.wechat_pay.clear()
            self.alipay.clear()
            self.shipping.clear()
            self.journal.forget()

    def _tell(self, shop_url: str) -> None:
        self.pusher.shop_url = self.shipping.shop_url = shop_url

    def _taken(self, event_id: str) -> None:
        self.journal.record("pushed", event_id=event_id)


def _spoilt(said: Answer, fault: Fault | None) -> Answer | None:
    kind = fault.kind if fault else ""
    if kind == "reset" or not said.status:
        return None
    if kind == "error_after":
        return Answer(500, b"<html><h1>500 Internal Server Error</h1></html>", "text/html")
    if kind == "garbage":
        return Answer(said.status, said.body[: len(said.body) // 2], said.content_type)
    if kind == "bad_signature" and "X-Bank-Signature" in said.headers:
        headers = {**said.headers, "X-Bank-Signature": said.headers["X-Bank-Signature"][::-1]}
        return Answer(said.status, said.body, said.content_type, headers)
    return said


class Handler(BaseHTTPRequestHandler):
    """Bytes to Request, Answer to bytes."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body in one packet
    timeout = 60
    world: World

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = self.headers.get("Content-Length", "0")
        if not length.isdecimal() or int(length) > MOST_BYTES:
            self.close_connection = True
            self._send(Answer(413, b"", "text/plain"))
            return
        url = urlsplit(self.path)
        said = self.world.serve(
            Request(
                self.command,
                url.path,
                self.path,
                dict(parse_qsl(url.query, keep_blank_values=True)),
                self.headers,  # type: ignore[arg-type]
                self.rfile.read(int(length)),
            )
        )
        if said is None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        self._send(said)

    def _send(self, said: Answer) -> None:
        self.send_response(said.status)
        self.send_header("Content-Type", said.content_type)
        self.send_header("Content-Length", str(len(said.body)))
        for name, value in said.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(said.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:
        """Silence: the journal has it."""


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, host: str, port: int, world: World) -> None:
        super().__init__((host, port), type("WorldHandler", (Handler,), {"world": world}))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle (it had no patience) is normal here."""
        if not isinstance(sys.exc_info()[1], ConnectionError | TimeoutError):
            super().handle_error(request, client_address)
