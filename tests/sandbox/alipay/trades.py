"""Trades: what was offered, what the buyer opened, paid, got back; and what the shop is told.

WAIT_BUYER_PAY → TRADE_SUCCESS → TRADE_FINISHED (the refund window is over), or TRADE_CLOSED: not
paid in time, closed by the shop, or refunded in full.  An offer is not a trade: that begins once
a buyer scans the code or opens the cashier.  Amounts in fen, moments in seconds of the journal's
clock; every change is a fact of the journal, under its lock.
"""

import hashlib
import heapq
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from tests.sandbox.alipay.wire import Failed
from tests.sandbox.journal import SHANGHAI, Fact, Journal

WAITING, SUCCESS = "WAIT_BUYER_PAY", "TRADE_SUCCESS"
FINISHED, CLOSED = "TRADE_FINISHED", "TRADE_CLOSED"
WAP, PRECREATE = "wap", "precreate"
# Which states a product tells by itself: yq.aliyun.com/articles/707649.
TOLD = {WAP: {SUCCESS, FINISHED, CLOSED}, PRECREATE: {SUCCESS}}
PAY_SECONDS = 15 * 86_400  # without time_expire and timeout_express
QR_SECONDS = 2 * 3600
REFUND_SECONDS = 90 * 86_400


@dataclass(frozen=True)
class Offer:
    """What the shop asked for; `token` is in the QR code or in the cashier's form.

    `until`: the code can be scanned before.  The trade ends at `expires_at`, or
    `pay_seconds` after it was opened.
    """

    token: str
    product: str
    out_trade_no: str
    subject: str
    total_fen: int
    notify_url: str
    return_url: str
    until: int
    expires_at: int | None
    pay_seconds: int
    passback: str = ""

    def same_purchase(self, other: "Offer") -> bool:
        mine = (self.out_trade_no, self.subject, self.total_fen)
        return mine == (other.out_trade_no, other.subject, other.total_fen)


@dataclass(frozen=True)
class Refund:
    request_no: str
    amount_fen: int
    at: int
    reason: str = ""


@dataclass
class Trade:
    trade_no: str
    offer: Offer
    total_fen: int  # what a test made the buyer pay; else the offer's
    created_at: int
    expires_at: int
    status: str = WAITING
    paid_at: int | None = None
    closed_at: int | None = None
    refunds: list[Refund] = field(default_factory=list)
    notices: int = 0

    @property
    def refunded_fen(self) -> int:
        return sum(refund.amount_fen for refund in self.refunds)

    def refund(self, request_no: str) -> Refund | None:
        return next((one for one in self.refunds if one.request_no == request_no), None)


@dataclass(frozen=True)
class Notice:
    """A notification that the shop has not taken; the trade as it was when it changed."""

    notify_id: str
    url: str
    trade: Trade
    refund: Refund | None = None


def not_there() -> Failed:
    return Failed("ACQ.TRADE_NOT_EXIST", "交易不存在")


def wrong_status() -> Failed:
    return Failed("ACQ.TRADE_STATUS_ERROR", "交易状态不合法")


class Trades:
    """State in memory; `on_owed(notice)` is called after each change that the shop must hear."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.on_owed: Callable[[Notice], None] = lambda notice: None
        self.clear()
        journal.on("alipay_offer", self._offer)
        journal.on("alipay_open", self._open)
        journal.on("alipay_change", self._change)
        journal.on("alipay_told", self._told)

    def clear(self) -> None:
        self.offers: dict[str, Offer] = {}
        self.latest: dict[str, str] = {}  # out_trade_no -> token
        self.trades: dict[str, Trade] = {}  # by out_trade_no
        self.owed: dict[str, Notice] = {}
        self._by_trade_no: dict[str, Trade] = {}
        self._deadlines: list[tuple[int, str]] = []  # when time alone may change a trade
        self._fresh: list[Notice] = []

    def now(self) -> int:
        return int(self._journal.now())

    # --- what the shop and the buyer do, each under the journal's lock

    def find(self, out_trade_no: str, trade_no: str = "") -> Trade:
        """By trade_no first, as Alipay does; raises ACQ.TRADE_NOT_EXIST."""
        self.sweep()
        found = self._by_trade_no.get(trade_no) if trade_no else self.trades.get(out_trade_no)
        if found is None:
            raise not_there()
        return found

    def offer(self, offer: Offer) -> None:
        """Raises Failed when the number is spoken for."""
        with self._journal.lock:
            self.sweep()
            begun = self.trades.get(offer.out_trade_no)
            if begun is not None:
                self._refuse_again(begun, offer)
            if offer.token not in self.offers:
                self._journal.record("alipay_offer", **asdict(offer))

    def open(self, token: str) -> Trade:
        """The buyer scans, or the cashier opens: now there is a trade.  Raises Failed."""
        with self._journal.lock:
            self.sweep()
            offer = self.offers.get(token)
            if offer is None:
                raise Failed("ACQ.INVALID_PARAMETER", "二维码无效")
            begun = self.trades.get(offer.out_trade_no)
            if begun is not None:
                if not begun.offer.same_purchase(offer):
                    raise Failed("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")
                return begun
            at = self.now()
            if at >= offer.until:
                raise Failed("ACQ.QR_CODE_EXPIRED", "二维码已失效，请让商家重新生成")
            self._journal.record("alipay_open", token=token, at=at, trade_no=self._number(at))
            return self.trades[offer.out_trade_no]

    def pay(self, trade: Trade, total_fen: int | None = None) -> None:
        """Raises Failed unless the trade waits for its buyer."""
        with self._journal.lock:
            self.sweep()
            if trade.status != WAITING:
                raise wrong_status()
            total = trade.total_fen if total_fen is None else total_fen
            self._record(trade, SUCCESS, self.now(), total_fen=total)

    def close(self, trade: Trade) -> None:
        with self._journal.lock:
            self.sweep()
            if trade.status != WAITING:
                raise wrong_status()
            self._record(trade, CLOSED, self.now())

    def finish(self, trade: Trade) -> None:
        """The refund window is over."""
        with self._journal.lock:
            if trade.status != SUCCESS:
                raise wrong_status()
            self._record(trade, FINISHED, self.now())

    def refund(self, trade: Trade, request_no: str, amount_fen: int, reason: str) -> bool:
        """False when this request was already done; raises Failed."""
        with self._journal.lock:
            self.sweep()
            done = trade.refund(request_no)
            if done is not None and done.amount_fen != amount_fen:
                raise Failed("ACQ.DISCORDANT_REPEAT_REQUEST", "不一致的请求")
            if done is not None:
                return False
            if trade.status == FINISHED:
                raise Failed("ACQ.TRADE_HAS_FINISHED", "交易已经完结")
            if trade.status != SUCCESS:
                raise wrong_status()
            left = trade.total_fen - trade.refunded_fen
            if amount_fen > left:
                raise Failed("ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "退款金额超限")
            refund = Refund(request_no, amount_fen, self.now(), reason)
            status = CLOSED if amount_fen == left else SUCCESS
            self._record(trade, status, refund.at, refund=asdict(refund))
            return True

    def sweep(self) -> None:
        """Time passes: unpaid trades close, old paid ones finish."""
        with self._journal.lock:
            now = self.now()
            while self._deadlines and self._deadlines[0][0] <= now:
                at, number = heapq.heappop(self._deadlines)
                trade = self.trades[number]
                if trade.status == WAITING:
                    self._record(trade, CLOSED, at)
                elif trade.status == SUCCESS and at >= (trade.paid_at or 0) + REFUND_SECONDS:
                    self._record(trade, FINISHED, at)

    def told(self, notify_id: str) -> None:
        self._journal.record("alipay_told", notify_id=notify_id)

    # --- inside, under the lock

    def _refuse_again(self, begun: Trade, offer: Offer) -> None:
        if begun.status == CLOSED:
            raise Failed("ACQ.TRADE_HAS_CLOSE", "交易已经关闭")
        if begun.status != WAITING:
            raise Failed("ACQ.TRADE_HAS_SUCCESS", "交易已被支付")
        if not begun.offer.same_purchase(offer):
            raise Failed("ACQ.CONTEXT_INCONSISTENT", "交易信息被篡改")

    def _record(self, trade: Trade, status: str, at: int, **more: Any) -> None:
        number = trade.offer.out_trade_no
        self._fresh = []
        self._journal.record("alipay_change", out_trade_no=number, status=status, at=at, **more)
        for notice in self._fresh:
            self.on_owed(notice)

    def _number(self, at: int) -> str:
        """28 digits as Alipay's: the day, 22, and a counter; the same after no reset."""
        day = f"{_day(at):%Y%m%d}"
        digits = int(hashlib.sha256(f"{at} {len(self.trades)}".encode()).hexdigest(), 16)
        return f"{day}22{digits % 10**12:012d}{len(self.trades):06d}"

    # --- facts become state, now or after a restart

    def _offer(self, fact: Fact) -> None:
        offer = Offer(**fact)
        self.offers[offer.token] = offer
        self.latest[offer.out_trade_no] = offer.token

    def _open(self, fact: Fact) -> None:
        offer, at = self.offers[fact["token"]], fact["at"]
        ends = at + offer.pay_seconds if offer.expires_at is None else offer.expires_at
        trade = Trade(fact["trade_no"], offer, offer.total_fen, at, ends)
        self.trades[offer.out_trade_no] = trade
        self._by_trade_no[trade.trade_no] = trade
        heapq.heappush(self._deadlines, (ends, offer.out_trade_no))

    def _change(self, fact: Fact) -> None:
        trade = self.trades[fact["out_trade_no"]]
        refund = Refund(**fact["refund"]) if "refund" in fact else None
        trade.status = fact["status"]
        trade.total_fen = fact.get("total_fen", trade.total_fen)
        if refund is not None:
            trade.refunds.append(refund)
        elif trade.status == SUCCESS:
            trade.paid_at = fact["at"]
            ends = fact["at"] + REFUND_SECONDS
            heapq.heappush(self._deadlines, (ends, fact["out_trade_no"]))
        if trade.status == CLOSED:
            trade.closed_at = fact["at"]
        if trade.offer.notify_url and trade.status in TOLD[trade.offer.product]:
            self._owe(trade, refund)

    def _owe(self, trade: Trade, refund: Refund | None) -> None:
        trade.notices += 1
        seed = f"{trade.trade_no} {trade.notices}".encode()
        day = f"{_day(trade.created_at):%Y%m%d}"
        notify_id = f"{day}01222{int(hashlib.sha256(seed).hexdigest(), 16) % 10**21:021d}"
        then = Trade(**{**vars(trade), "refunds": list(trade.refunds)})
        notice = Notice(notify_id, trade.offer.notify_url, then, refund)
        self.owed[notify_id] = notice
        self._fresh.append(notice)

    def _told(self, fact: Fact) -> None:
        self.owed.pop(fact["notify_id"], None)


def _day(at: int) -> date:
    return datetime.fromtimestamp(at, SHANGHAI).date()
