"""The door of WeChat Pay: signatures both ways, its roads, the control of tests, the page."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from cryptography import x509

from tests.sandbox.deliveries import Deliveries, Due
from tests.sandbox.faults import Fault, Faults
from tests.sandbox.journal import Journal
from tests.sandbox.web import Answer, No, Refused, Request, answer
from tests.sandbox.wechat_pay import bills, keys, page
from tests.sandbox.wechat_pay.bills import Bills
from tests.sandbox.wechat_pay.books import Books, rfc3339
from tests.sandbox.wechat_pay.desk import Desk
from tests.sandbox.wechat_pay.notices import DELAYS, Notices
from tests.sandbox.wechat_pay.refunds import Refunds
from tests.sandbox.wechat_pay.signing import REGIMES, Merchant, Offer, Platform
from tests.sandbox.wechat_pay.switches import Switches
from tests.sandbox.wechat_pay.trades import Trades
from tests.sandbox.wechat_pay.transfers import Transfers

PREFIX = "/v3/"
Road = Callable[..., Answer]


class WeChatPay:
    """One merchant's WeChat Pay, behind /v3/, /__sandbox__/wechat-pay/ and /wechat-pay/."""

    def __init__(
        self,
        home: Path,
        journal: Journal,
        faults: Faults,
        appid: str,
        delays: Sequence[float] = DELAYS,
    ) -> None:
        held = keys.ensure(home)
        books, switches, platform = Books(journal), Switches(faults), Platform(held)
        self._notices = Notices(books, platform, switches, delays)
        books.tell = self._notices.push
        self._later = Deliveries(
            "wechat-pay-later",
            deliver=self._settle,
            fault_of=lambda event: None,
            on_taken=lambda event: None,
            delays=(),
        )
        self._desk = Desk(
            appid, books, Merchant(held), platform, switches, self._notices, self._later
        )
        self.books = books
        self._books, self._platform, self._switches = books, platform, switches
        self._trades = Trades(self._desk)
        self._refunds = Refunds(self._desk)
        self._transfers = Transfers(self._desk)
        self._bills = Bills(self._desk)
        self._roads = [(method, re.compile(form), road) for method, form, road in self._all()]

    def _all(self) -> list[tuple[str, str, Road]]:
        trade, refund = "/v3/pay/transactions", "/v3/refund/domestic/refunds"
        transfer, one = "/v3/fund-app/mch-transfer/transfer-bills", "([^/]+)"
        return [
            ("POST", f"{trade}/jsapi", self._trades.prepay),
            ("GET", f"{trade}/out-trade-no/{one}", self._trades.query),
            ("GET", f"{trade}/id/{one}", self._trades.query_by_id),
            ("POST", f"{trade}/out-trade-no/{one}/close", self._trades.close),
            ("POST", refund, self._refunds.refund),
            ("GET", f"{refund}/{one}", self._refunds.query),
            ("POST", f"{refund}/{one}/apply-abnormal-refund", self._refunds.apply_abnormal),
            ("POST", transfer, self._transfers.transfer),
            ("GET", f"{transfer}/out-bill-no/{one}", self._transfers.query),
            ("GET", f"{transfer}/transfer-bill-no/{one}", self._transfers.query_by_id),
            ("POST", f"{transfer}/out-bill-no/{one}/cancel", self._transfers.cancel),
            ("GET", "/v3/bill/tradebill", self._bills.trade_bill),
            ("GET", "/v3/bill/fundflowbill", self._bills.fund_bill),
            ("GET", bills.PATH, self._bills.download),
            ("GET", "/v3/certificates", self._certificates),
        ]

    def start(self) -> None:
        """After the journal was replayed: what was on its way goes on."""
        self._platform.regime = self._books.regime or REGIMES[0]
        self._notices.start()
        self._later.start()
        for event in list(self._books.untold.values()):
            self._notices.push(event)
        for refund in self._books.refunds.values():
            self._refunds.end_later(refund)
        for transfer in self._books.transfers.values():
            self._transfers.end_later(transfer)

    def stop(self) -> None:
        self._notices.stop()
        self._later.stop()

    def clear(self) -> None:
        self._switches.clear()
        self._notices.clear()
        self._later.clear()
        self._books.clear()
        self._bills.clear()
        self._platform.clear()

    def waiting(self) -> int:
        """What is to be told, or to end by itself."""
        return self._notices.waiting() + self._later.waiting()

    # --- the protocol

    def answer(self, request: Request) -> Answer:
        try:
            self._desk.merchant.check(request)
        except Refused as no:
            return no.said
        try:
            said = self._road(request)
        except No as no:
            said = no.said
        if request.path == bills.PATH and said.status == 200:
            return said
        flaw = self._switches.answer(request.path)
        headers = self._platform.headers(
            said.body, request.headers.get("Wechatpay-Serial", ""), flaw
        )
        return Answer(said.status, said.body, said.content_type, {**said.headers, **headers})

    def _road(self, request: Request) -> Answer:
        for method, form, road in self._roads:
            found = form.fullmatch(request.path) if method == request.method else None
            if found:
                return road(request, *map(unquote, found.groups()))
        raise Refused(404, "RESOURCE_NOT_EXISTS", "接口不存在")

    def _certificates(self, request: Request) -> Answer:
        if self._platform.regime == "public_key_only":
            said = "无可用的平台证书，请在商户平台-API安全申请使用微信支付公钥"
            raise Refused(404, "RESOURCE_NOT_EXISTS", said)
        return answer({"data": [self._offered(one) for one in self._platform.offered]})

    def _offered(self, one: Offer) -> dict[str, Any]:
        made = x509.load_pem_x509_certificate(one.pem.encode())
        sealed = self._platform.seal(one.pem.encode(), "certificate", badly=one.is_sealed_badly)
        return {
            "serial_no": one.serial,
            "effective_time": rfc3339(made.not_valid_before_utc.timestamp()),
            "expire_time": rfc3339(made.not_valid_after_utc.timestamp()),
            "encrypt_certificate": sealed.said(),
        }

    def _settle(self, due: Due, fault: Fault | None) -> bool:
        if "refund" in due.event:
            self._refunds.settle(due.event["refund"])
        else:
            self._transfers.settle(due.event["transfer"])
        return True

    # --- control

    def control(self, request: Request) -> Answer:
        asked = request.json() or {}
        does: Callable[..., Any] | None = {
            "pay": self._trades.pay,
            "refund": self._refunds.end,
            "transfer": self._transfers.end,
            "regime": self._set_regime,
            "fill": self._fill,
            "rotate": self._rotate,
            "retire": self._platform.retire,
            "switch": self._switches.order,
        }.get(request.path.rpartition("/")[2])
        if does is None:
            raise Refused(404, "NOT_FOUND", "no such control of WeChat Pay")
        try:
            said = does(**asked)
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, "BAD_CONTROL", repr(error)) from error
        return said if isinstance(said, Answer) else answer({"ok": True})

    def look(self, request: Request) -> Answer:
        with self._books.lock:
            self._transfers.expire()
            if request.path.endswith("/notices"):
                return answer({"waiting": self.waiting(), "tried": list(self._notices.tried)})
            if request.path.endswith("/trades"):
                return answer(
                    {
                        "trades": self._trades.shown(),
                        "refunds": self._refunds.shown(),
                        "transfers": self._transfers.shown(),
                        "balances": self._books.balances,
                        "regime": self._platform.regime,
                    }
                )
        raise Refused(404, "NOT_FOUND", "trades or notices")

    def _fill(self, account: str, fen: int) -> None:
        """The merchant moves so much from BASIC to another of its accounts."""
        number = self._books.fresh("42008", 28)
        said = {"business_no": number, "name": "账户间划转", "type": "划转", "voucher": number}
        flows = [
            self._books.flow("BASIC", -fen, **said, note="转出"),
            self._books.flow(account, fen, **said, note="转入"),
        ]
        self._books.record(flows=flows)

    def _rotate(self, **how: Any) -> Answer:
        return answer({"serial": self._platform.rotate(**how)})

    def _set_regime(self, regime: str) -> None:
        if regime not in REGIMES:
            raise ValueError(f"regime is one of {REGIMES}")
        self._books.record(regime=regime)
        self._platform.regime = regime

    # --- the page

    def section(self, request: Request) -> str:
        with self._books.lock:
            self._transfers.expire()
            return page.section(self._trades.open(), self._transfers.waiting(), request.query)

    def by_hand(self, request: Request) -> Answer:
        """A person's click on the page; what came of it is said there."""
        number, how = request.form(), page.DONE
        try:
            if request.path == page.PAY:
                self._trades.pay(out_trade_no=number["out_trade_no"])
                said = "支付成功"
            else:
                self._transfers.end(number["out_bill_no"], "SUCCESS")
                said = "已收款"
        except Refused as no:
            said, how = no.message, page.REFUSED
        except KeyError as error:
            raise Refused(400, "PARAM_ERROR", "a number is missing") from error
        where = f"/?{how}={quote(said)}"
        return Answer(303, content_type="text/plain", headers={"Location": where})
