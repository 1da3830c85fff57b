"""Whatever happened, a restart finds the same trades and the same debts of news."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox.alipay.faults import Faults
from tests.sandbox.alipay.methods import Methods
from tests.sandbox.alipay.payouts import Payouts
from tests.sandbox.alipay.trades import CLOSED, FINISHED, SUCCESS, WAITING, Trades
from tests.sandbox.alipay.wire import Biz, Failed
from tests.sandbox.journal import Journal

COMMON = {"base": "http://127.0.0.1", "notify_url": "http://127.0.0.1:1/hook"}
NUMBERS = st.sampled_from(["A1", "A2", "A3"])
AMOUNTS = st.sampled_from(["0.01", "3.00", "5.00", "10.00", "88.00"])
STEPS = st.one_of(
    st.tuples(st.sampled_from(["precreate", "wap"]), NUMBERS, AMOUNTS, st.none()),
    st.tuples(st.sampled_from(["scan", "pay", "close", "cancel", "finish"]), NUMBERS),
    st.tuples(st.just("refund"), NUMBERS, AMOUNTS, st.sampled_from(["R1", "R2", "R3"])),
    st.tuples(st.just("wait"), st.sampled_from([60, 7_200, 86_400, 91 * 86_400])),
    st.tuples(st.just("told")),
)
EDGES = {
    WAITING: {SUCCESS, CLOSED},
    SUCCESS: {SUCCESS, FINISHED, CLOSED},
    FINISHED: set(),
    CLOSED: set(),
}


class Life:
    """The trades of one journal, and what may be done to them."""

    def __init__(self, home: Path) -> None:
        self.journal = Journal(home / "journal.jsonl")
        self.trades = Trades(self.journal)
        self.payouts = Payouts(self.journal, Faults())
        self.methods = Methods(self.trades, Faults())

    def step(self, kind: str, *more: str) -> None:
        if kind == "told":
            for notify_id in list(self.trades.owed)[:1]:
                self.trades.told(notify_id)
        elif kind == "wait":
            self.journal.advance(float(more[0]))
            self.trades.sweep()
        elif kind in {"scan", "pay", "finish"}:
            self._buyer(kind, more[0])
        else:
            biz: Biz = {
                "out_trade_no": more[0],
                "subject": "货",
                "product_code": "QUICK_WAP_WAY",
                **dict(zip(("total_amount", "out_request_no"), more[1:], strict=False)),
                **({"refund_amount": more[1]} if kind == "refund" else {}),
            }
            getattr(self.methods, kind)(biz, COMMON)

    def _buyer(self, kind: str, number: str) -> None:
        if kind == "scan":
            self.trades.open(self.trades.latest.get(number, ""))
        else:
            getattr(self.trades, kind)(self.trades.find(number))


@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=40))
def test_a_restart_finds_what_was(steps: list[tuple[str, ...]]) -> None:
    with TemporaryDirectory() as home:
        life = Life(Path(home))
        for kind, *more in steps:
            before = {number: trade.status for number, trade in life.trades.trades.items()}
            try:
                life.step(kind, *more)
            except Failed:
                now = {number: trade.status for number, trade in life.trades.trades.items()}
                assert {number: now[number] for number in before} == before, kind
            for number, status in before.items():
                after = life.trades.trades[number].status
                assert after == status or after in EDGES[status]
        for trade in life.trades.trades.values():
            assert 0 <= trade.refunded_fen <= (trade.total_fen if trade.paid_at else 0)
        life.journal.close()

        again = Life(Path(home))
        again.journal.replay()
        again.journal.close()

        assert again.trades.trades == life.trades.trades
        assert again.trades.owed == life.trades.owed
        assert again.trades.offers == life.trades.offers
