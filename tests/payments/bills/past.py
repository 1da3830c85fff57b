"""Days that are over at a channel, whose bills can be had now; and a forger on the wire."""

import gzip
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic, sleep
from typing import Any, ClassVar

import requests
from django.utils.timezone import localtime, now

from payments.bills import services
from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import SHANGHAI
from payments.cashier import refunds
from payments.cashier import tasks as cashier_tasks
from payments.cashier.models import Payment, Refund
from payments.cashier.rules import Owed
from tests.payments.alipay.scene import Scene as AlipayScene
from tests.sandbox.alipay import account_bill, wire
from tests.sandbox.alipay.bills import zipped
from tests.sandbox.wechat_pay import keys
from tests.sandbox.wechat_pay.books import OPENING_FEN

ACCOUNT = f"wechat:{keys.MCHID}"
ALIPAY_ACCOUNT = f"alipay:{wire.SELLER_ID}"
OPENING = OPENING_FEN
ALIPAY_OPENING = account_bill.OPENING_FEN


@dataclass
class Past:
    """The sandbox's clock, which this sets; the shop's own goes on as ever.  Of WeChat Pay."""

    scene: Any
    channel: ClassVar[str] = "WECHAT"
    account: ClassVar[str] = ACCOUNT
    opening_fen: ClassVar[int] = OPENING
    method: ClassVar[str] = "WECHAT"
    told: ClassVar[tuple[str, ...]] = ("WECHAT_PAY", "WECHAT_APPID", "PAYER_OPENID")
    ahead: float = 0
    day: date = date.min

    def go(self, *, days: int, hour: int = 12, minute: int = 0, second: int = 0) -> date:
        """So many days ago, at that time in Shanghai."""
        self.day = localtime(now(), SHANGHAI).date() - timedelta(days=days)
        at = datetime.combine(self.day, time(hour, minute, second), SHANGHAI)
        self._set((at - now()).total_seconds())
        return self.day

    def back(self) -> None:
        self._set(0)

    def _set(self, ahead: float) -> None:
        self.scene.sandbox.move_clock(ahead - self.ahead)
        self.ahead = ahead

    # --- what happens

    def paid(self, fen: int = 9900, *, told: bool = True) -> Payment:
        """A buyer pays; not `told`: the notice is lost."""
        payment = self.scene.opened(fen)
        if not told:
            self.lose_notice()
        self.scene.pay(payment)
        if told:
            self.hear(payment)
        payment.refresh_from_db()
        return payment

    def lose_notice(self) -> None:
        self.scene.switch("drop", on="TRANSACTION.SUCCESS")

    def hear(self, payment: Payment) -> None:
        assert self.scene.deliver() == [204]

    def refunded(self, payment: Payment, fen: int, *, ends: bool = True) -> Refund:
        """So much goes back, and we hear how it ended; not `ends`: it is only asked for, once."""
        [row] = Payment.objects.filter(pk=payment.pk).locked()
        [pk] = refunds.owe_back(
            owed=[Owed(row, fen)], reason="CANCELLED", status="APPROVED", at=now()
        )
        refund = Refund.objects.get(pk=pk)
        self.send(refund)
        if ends:
            self.wait_for(refund.number)
            self.send(refund)
        return refund

    def send(self, refund: Refund) -> None:
        cashier_tasks.send_refund(refund_id=refund.pk)
        refund.refresh_from_db()

    def wait_for(self, out_refund_no: str) -> None:
        until = monotonic() + 10
        while {one["out_refund_no"]: one["status"] for one in self.scene.refunds()}[
            out_refund_no
        ] == "PROCESSING":
            assert monotonic() < until
            sleep(0.02)

    # --- what comes of it

    def taken_in(self, day: date | None = None) -> ChannelDay:
        self.back()
        return services.take_in(name=self.channel, day=day or self.day, at=now())


class AlipayPast(Past):
    scene: AlipayScene
    channel = "ALIPAY"
    account = ALIPAY_ACCOUNT
    opening_fen = ALIPAY_OPENING
    method = "ALIPAY_QR"
    told = ("ALIPAY",)

    def lose_notice(self) -> None:
        self.scene.switch("drop")

    def hear(self, payment: Payment) -> None:
        """Among whatever letters of refunds are here."""
        until = monotonic() + 10
        while payment.status == "WAITING":
            assert monotonic() < until
            assert {*self.scene.deliver()} == {(200, b"success")}
            payment.refresh_from_db()

    def wait_for(self, out_refund_no: str) -> None:
        """Alipay gives back at once."""


def fee(fen: int) -> int:
    """0.6 %, half a fen up."""
    return (fen * 6 + 500) // 1_000


def found(**which: object) -> list[tuple[str, str, int, int]]:
    """Differences that are open: subject, kind, our fen, their fen."""
    rows = ChannelDifference.objects.filter(closed_at=None, **which)
    return sorted(rows.values_list("subject", "kind", "our_fen", "their_fen"))


def close_all(reason: str = "已核实") -> None:
    for difference in ChannelDifference.objects.filter(closed_at=None):
        services.close(difference=difference, reason=reason, actor="U1", at=now())


@contextmanager
def behind(base_url: str) -> Iterator[tuple[str, dict[str, bytes]]]:
    """A way to the channels on which `forged["bill"]` (as it comes, packed) replaces each bill.

    Of Alipay's also one kind of them: `forged["trade"]`, `forged["signcustomer"]`.
    """
    forged: dict[str, bytes] = {}
    kinds = [""]  # of the bill that Alipay was asked for

    class Between(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._pass_on(b"")

        def do_POST(self) -> None:
            self._pass_on(self.rfile.read(int(self.headers["Content-Length"])))

        def _pass_on(self, body: bytes) -> None:
            headers = dict(self.headers.items())  # with our own address, at which bills are fetched
            kinds.extend(kind for kind in ("trade", "signcustomer") if f"%22{kind}%22" in self.path)
            with requests.Session() as http:
                http.trust_env = False
                said = http.request(
                    self.command, f"{base_url}{self.path}", data=body, headers=headers, timeout=10
                )
            answer = said.content
            if "billdownload" in self.path or self.path.startswith("/alipay/bill"):
                forged["seen"] = forged[f"seen {kinds[-1]}"] = answer
                answer = forged.get(kinds[-1], forged.get("bill", answer))
            self.send_response(said.status_code)
            for name, text in said.headers.items():
                if name.startswith("Wechatpay") or name == "Content-Type":
                    self.send_header(name, text)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Silence."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Between)
    Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", forged
    finally:
        server.shutdown()
        server.server_close()


def repacked(packed: bytes, old: bytes, new: bytes) -> bytes:
    content = gzip.decompress(packed)
    assert old in content
    return gzip.compress(content.replace(old, new))


def rezipped(packed: bytes, *changes: tuple[str, str]) -> bytes:
    """Alipay's zip with other words in it, in each file that has them."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        files = {
            member.filename.encode("cp437").decode("gbk"): archive.read(member).decode("gbk")
            for member in archive.infolist()
        }
    for old, new in changes:
        assert any(old in content for content in files.values())
        files = {name: content.replace(old, new) for name, content in files.items()}
    return zipped(files)
