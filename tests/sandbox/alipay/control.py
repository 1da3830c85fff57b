"""Alipay behind the port: its parts wired, its roads, and what tests order."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.sandbox.alipay import signing
from tests.sandbox.alipay.bills import Bills
from tests.sandbox.alipay.cashier import Cashier
from tests.sandbox.alipay.faults import Faults
from tests.sandbox.alipay.gateway import Gateway
from tests.sandbox.alipay.methods import Methods
from tests.sandbox.alipay.notify import DELAYS, Craft, Notifier, is_near
from tests.sandbox.alipay.payouts import Payouts
from tests.sandbox.alipay.signing import Signer, Verifier
from tests.sandbox.alipay.trades import Notice, Trade, Trades, not_there
from tests.sandbox.alipay.wire import Failed
from tests.sandbox.journal import Journal
from tests.sandbox.web import Answer, Refused, Request, answer

Road = Callable[[Request], Answer]
PREFIX = "/__sandbox__/alipay/"


class Alipay:
    """`roads` for the server's table; the rest follows its life."""

    def __init__(self, journal: Journal, home: Path, delays: Sequence[float] = DELAYS) -> None:
        held = signing.ensure(home)
        signer = Signer(held.alipay_private)
        self._faults = Faults()
        self._trades = Trades(journal)
        self._notifier = Notifier(self._trades, signer, self._faults, delays)
        self._payouts = Payouts(journal, self._faults)
        self._bills = Bills(self._trades, self._payouts)
        methods = Methods(self._trades, self._faults)
        cashier = Cashier(self._trades, methods, signer)
        gateway = Gateway(
            lock=journal.lock,
            signer=signer,
            verifier=Verifier(held.app_public),
            faults=self._faults,
            cashier=cashier,
            methods=methods,
            payouts=self._payouts,
            bills=self._bills,
        )
        self.roads: dict[tuple[str, str], Road] = {
            ("GET", "/alipay/gateway.do"): gateway.serve,
            ("POST", "/alipay/gateway.do"): gateway.serve,
            ("GET", "/alipay/qr"): cashier.scan,
            ("POST", "/alipay/cashier"): cashier.pay,
            ("GET", "/alipay/bill"): self._bills.download,
            ("GET", f"{PREFIX}*"): self._look,
            ("POST", f"{PREFIX}*"): self._control,
        }

    def start(self) -> None:
        self._notifier.start()

    def stop(self) -> None:
        self._notifier.stop()

    def clear(self) -> None:
        self._faults.clear()
        self._notifier.clear()
        self._trades.clear()
        self._payouts.clear()
        self._bills.clear()

    def waiting(self) -> int:
        """Notifications that go out now, or are on their way."""
        return self._notifier.waiting()["now"]

    # --- control

    def _look(self, request: Request) -> Answer:
        self._trades.sweep()
        shown: dict[str, Callable[[], Any]] = {
            "trades": lambda: [_shown(trade) for trade in list(self._trades.trades.values())],
            "payouts": lambda: list(self._payouts.payouts.values()),
            "notifies": lambda: {
                "waiting": self._notifier.waiting(),
                "tried": list(self._notifier.tried),
            },
        }
        show = shown.get(request.path.removeprefix(PREFIX))
        if show is None:
            raise Refused(404, "NOT_FOUND", f"one of {', '.join(shown)}")
        return answer(show())

    def _control(self, request: Request) -> Answer:
        asked = request.json() or {}
        does: dict[str, Callable[[], Any]] = {
            "scan": lambda: _shown(self._scan(asked["out_trade_no"])),
            "pay": lambda: self._pay(asked["out_trade_no"], asked.get("amount_fen")),
            "finish": lambda: self._trades.finish(self._trades.find(asked["out_trade_no"])),
            "payout": lambda: self._payouts.settle(asked["out_biz_no"], asked["status"]),
            "notify": lambda: self._notify(**asked),
            "faults": lambda: self._faults.add(asked),
        }
        do = does.get(request.path.removeprefix(PREFIX))
        if do is None:
            raise Refused(404, "NOT_FOUND", f"one of {', '.join(does)}")
        try:
            said = do()
        except (KeyError, TypeError, ValueError) as error:
            raise Refused(400, "BAD_CONTROL", repr(error)) from error
        except Failed as no:
            raise Refused(409, no.inner["sub_code"], no.sub_msg) from no
        return answer(said or {"ok": True})

    def _scan(self, out_trade_no: str) -> Trade:
        token = self._trades.latest.get(out_trade_no)
        if token is None:
            raise not_there()
        return self._trades.open(token)

    def _pay(self, out_trade_no: str, amount_fen: int | None) -> None:
        """A buyer who has not scanned yet scans first."""
        if amount_fen is not None and (type(amount_fen) is not int or amount_fen <= 0):
            raise ValueError("amount_fen is a positive whole number")
        self._trades.pay(self._scan(out_trade_no), amount_fen)

    def _notify(self, out_trade_no: str, url: str = "", **craft: Any) -> dict[str, str]:
        """A notification that no change asked for; not remembered over a restart."""
        trade = self._trades.find(out_trade_no)
        url = url or trade.offer.notify_url
        if not is_near(url):
            raise ValueError("url must be of this machine")
        notify_id = f"2026010101222{secrets.randbelow(10**21):021d}"
        self._notifier.tell(Notice(notify_id, url, trade), Craft(**craft))
        return {"notify_id": notify_id}


def _shown(trade: Trade) -> dict[str, Any]:
    """The trade as tests read it: fen, and moments in seconds."""
    shown = asdict(trade)
    offer = shown.pop("offer")
    return {
        "out_trade_no": offer["out_trade_no"],
        "subject": offer["subject"],
        "product": offer["product"],
        "refunded_fen": trade.refunded_fen,
        **shown,
    }
