"""What WeChat Pay knows: trades, refunds, transfers, the merchant's accounts, untold events.

Every change is one fact of the journal, with the money it moves and the notice it owes.
"""

import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from tests.sandbox.journal import SHANGHAI, Fact, Journal

ACCOUNTS = ("BASIC", "OPERATION", "FEES")
OPENING_FEN = 100_000_000  # of each account: one million yuan
Changes = Mapping[str, Fact]  # by the merchant's number


class Books:
    """State in memory, guarded by the journal's lock."""

    tell: Callable[[Fact], None]

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.lock = journal.lock
        self.clear()
        journal.on("wechat_pay", self._apply)
        journal.on("wechat_pay_told", lambda fact: self.untold.pop(fact["id"], None))

    def clear(self) -> None:
        self.trades: dict[str, Fact] = {}
        self.refunds: dict[str, Fact] = {}
        self.transfers: dict[str, Fact] = {}
        self.refunds_of: dict[str, list[Fact]] = defaultdict(list)  # by out_trade_no
        self.flows: list[Fact] = []
        self.untold: dict[str, Fact] = {}
        self.balances = dict.fromkeys(ACCOUNTS, OPENING_FEN)
        self.spent: set[str] = set()  # numbers closed before they were asked for
        self.regime = ""
        self._names: dict[str, str] = {}  # WeChat's number -> the merchant's

    def now(self) -> int:
        return int(self._journal.now())

    def record(
        self,
        *,
        trades: Changes | None = None,
        refunds: Changes | None = None,
        transfers: Changes | None = None,
        flows: Iterable[Fact] = (),
        events: Iterable[Fact] = (),
        **more: Any,
    ) -> None:
        """Make a change true, remember it, and begin to tell of it."""
        told = list(events)
        self._journal.record(
            "wechat_pay",
            trades=trades or {},
            refunds=refunds or {},
            transfers=transfers or {},
            flows=list(flows),
            events=told,
            **more,
        )
        for event in told:
            self.tell(event)

    def told(self, event: Fact) -> None:
        self._journal.record("wechat_pay_told", id=event["id"])

    def named(self, theirs: str) -> str:
        """The merchant's number of a prepay, transaction, refund or transfer; else ""."""
        return self._names.get(theirs, "")

    def flow(self, account: str, fen: int, **said: Any) -> Fact:
        """A movement of an account, for `record`; positive comes in."""
        number = self.fresh("42009", 28)
        return {"account": account, "fen": fen, "at": self.now(), "number": number, **said}

    def fresh(self, prefix: str, length: int) -> str:
        """A number as WeChat Pay gives them: digits, with the day in it."""
        day = at_shanghai(self.now()).strftime("%Y%m%d")
        free = length - len(prefix) - len(day)
        return f"{prefix}{day}{secrets.randbelow(10**free):0{free}d}"

    def _apply(self, fact: Fact) -> None:
        for out_no, change in fact["trades"].items():
            row = self.trades.setdefault(out_no, {})
            row.update(change)
            self._name(out_no, change, "prepay_id", "transaction_id")
        for out_no, change in fact["refunds"].items():
            if out_no not in self.refunds:
                self.refunds[out_no] = {}
                self.refunds_of[change["out_trade_no"]].append(self.refunds[out_no])
            self.refunds[out_no].update(change)
            self._name(out_no, change, "refund_id")
        for out_no, change in fact["transfers"].items():
            self.transfers.setdefault(out_no, {}).update(change)
            self._name(out_no, change, "transfer_bill_no")
        for flow in fact["flows"]:
            self.balances[flow["account"]] += flow["fen"]
            self.flows.append({**flow, "balance": self.balances[flow["account"]]})
        self.untold.update({event["id"]: event for event in fact["events"]})
        self.spent.update(fact.get("spent", ()))
        self.regime = fact.get("regime", self.regime)

    def _name(self, out_no: str, change: Fact, *names: str) -> None:
        self._names.update({change[name]: out_no for name in names if name in change})


def at_shanghai(at: float) -> datetime:
    return datetime.fromtimestamp(int(at), SHANGHAI)


def rfc3339(at: float) -> str:
    return at_shanghai(at).isoformat()
