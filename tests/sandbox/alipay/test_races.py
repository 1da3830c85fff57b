"""Two at one trade: the journal's lock decides, and without it both would win."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Thread
from typing import Any

import pytest

from tests.sandbox.alipay.faults import Faults
from tests.sandbox.alipay.methods import Methods
from tests.sandbox.alipay.payouts import Payouts
from tests.sandbox.alipay.test_payouts import ORDER
from tests.sandbox.alipay.trades import Trade, Trades
from tests.sandbox.alipay.wire import Failed
from tests.sandbox.journal import Journal


class Meeting(Journal):
    """Between deciding and writing, waits for the others to have decided too."""

    meet: Barrier | None = None
    patience = 5.0

    def record(self, kind: str, **fact: Any) -> None:
        with suppress(BrokenBarrierError):
            if self.meet:
                self.meet.wait(self.patience)
        super().record(kind, **fact)


@pytest.fixture(params=[True, False], ids=["locked", "control"])
def journal(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Meeting]:
    made = Meeting(tmp_path / "journal.jsonl")
    if request.param:
        made.patience = 0.05  # who holds the lock waits in vain
    else:
        made.lock = nullcontext()  # type: ignore[assignment]
    yield made
    made.close()


def is_locked(journal: Meeting) -> bool:
    return not isinstance(journal.lock, nullcontext)


def at_once(journal: Meeting, *calls: Callable[[], object]) -> int:
    """How many of them were let through."""
    through: list[object] = []
    journal.meet = Barrier(len(calls))

    def run(call: Callable[[], object]) -> None:
        try:
            through.append(call())
        except Failed:
            return

    threads = [Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(through)


def waiting(trades: Trades) -> Trade:
    biz = {"out_trade_no": "A1", "subject": "货", "total_amount": "10.00"}
    Methods(trades, Faults()).precreate(biz, {"base": ""})
    return trades.open(trades.latest["A1"])


def test_paid_or_closed(journal: Meeting) -> None:
    trades = Trades(journal)
    trade = waiting(trades)

    through = at_once(journal, lambda: trades.pay(trade), lambda: trades.close(trade))

    assert (through == 1) is is_locked(journal)


def test_refunds_stay_within_what_was_paid(journal: Meeting) -> None:
    trades = Trades(journal)
    trade = waiting(trades)
    trades.pay(trade)

    at_once(journal, *(lambda i=i: trades.refund(trade, f"R{i}", 600, "") for i in range(4)))

    assert (trade.refunded_fen <= 1_000) is is_locked(journal)


def test_one_refund_request_is_made_once(journal: Meeting) -> None:
    trades = Trades(journal)
    trade = waiting(trades)
    trades.pay(trade)

    at_once(journal, *(lambda: trades.refund(trade, "R1", 200, "") for _ in range(4)))

    assert (trade.refunded_fen == 200) is is_locked(journal)


def test_one_payout_number_pays_once(journal: Meeting) -> None:
    payouts = Payouts(journal, Faults())

    at_once(journal, *(lambda: payouts.transfer(ORDER, {}) for _ in range(4)))

    assert (len(payouts.moves) == 1) is is_locked(journal)
