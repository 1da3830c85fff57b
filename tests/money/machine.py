"""The whole money world as one machine: anything happens, in any order, and anybody dies of it."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils.timezone import now
from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from config.kit.redis import connection as redis
from payments.wechat_pay.models import WeChatRefund
from shop.wechat_shipping import services as shipping
from tests.money.buyers import Buyers
from tests.money.checks import Checks, states, under_way
from tests.money.dying import Death, dying
from tests.money.outside import Heard
from tests.money.staff import Staff
from tests.money.stage import Act, acts, quietly
from tests.money.world import World

DEATHS = st.builds(Death, st.sampled_from(["statement", "unsent", "unheard"]), st.integers(0, 20))
CALLS = st.builds(Death, st.sampled_from(["unsent", "unheard"]), st.integers(0, 1))
# One step in eight is not survived.
SOMETIMES = st.integers(0, 15).flatmap(
    lambda n: {3: DEATHS, 7: CALLS}.get(n, st.none())  # type: ignore[arg-type]
)
# Until what waits longest has its turn: half an hour between questions, ten days to receive.
ROUNDS = [timedelta(seconds=40)] + [timedelta(minutes=31)] * 2 + [timedelta(days=12)] * 2
MOST_ROUNDS = 40
READING = ("SELECT", "SAVEPOINT", "RELEASE", "ROLLBACK", "SET")
steps_done = 0


@contextmanager
def writing() -> Iterator[list[str]]:
    """Statements that may have changed a row."""
    written: list[str] = []

    def seen(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if not str(sql).lstrip().startswith(READING) and context["cursor"].rowcount:
            written.append(sql)
        return answer

    with connection.execute_wrapper(seen):
        yield written


class MoneyWorld(Buyers, Staff, World, Checks, RuleBasedStateMachine):
    """Each history has a database of its own, which is rolled back, and the outside world anew."""

    def __init__(self) -> None:
        super().__init__()
        logging.disable(logging.ERROR)  # what is refused on purpose is logged in vain
        redis().flushdb()
        self.is_broken, self.is_unchecked = False, True
        self.heard: Heard | None = None
        self.history: list[str] = []
        self.begin()
        self.settle_in()
        self.out.listen()
        self.tell_all()

    @rule(what=acts(), death=SOMETIMES)
    def then(self, what: Act, death: Death | None) -> None:
        global steps_done  # noqa: PLW0603  for the one who counts
        self.history.append(f"{what!r}{f', and dies: {tuple(death)}' if death else ''}")
        self.is_broken = True
        with writing() as written, dying(death):
            what.do(self, **dict(what.given))
        self.out.listen()
        self.is_unchecked |= bool(written)
        self.is_broken = False
        steps_done += 1

    @invariant()
    def all_is_well(self) -> None:
        """A step that wrote nothing here and moved nothing there is not looked at again."""
        heard = self.out.heard()
        if self.is_unchecked or heard != self.heard:
            self.is_broken = True
            self.check_now(heard)
            self.is_broken, self.is_unchecked, self.heard = False, False, heard

    def teardown(self) -> None:
        try:
            if not self.is_broken:
                self.come_to_rest()
                self.is_broken = True
                self.check_quiet()
                self.is_broken = False
        finally:
            if self.is_broken:
                note("what happened:\n  " + "\n  ".join(self.history))
            logging.disable(logging.NOTSET)
            self.end()

    def come_to_rest(self) -> None:
        """No more misfortunes: letters are read, sweeps run, the channels end what they began."""
        for turn in range(MOST_ROUNDS):
            before = self._standing()
            self._let_all_end()
            shipping.discover(at=now())
            self.out.pass_time(ROUNDS[turn % len(ROUNDS)])
            if turn >= len(ROUNDS) and self._standing() == before and not under_way():
                return
        raise AssertionError(f"it does not come to rest: {[vars(one) for one in under_way()]}")

    def _let_all_end(self) -> None:
        self.out.listen()
        for refund in WeChatRefund.objects.filter(status="ABNORMAL"):
            with quietly():
                self.to_card(refund)
        for number in self.out.refunds_going():
            self.out.try_("wechat-pay/refund", out_refund_no=number, state="SUCCESS")
        for number in self.out.transfers_cancelling():
            self.out.try_("wechat-pay/transfer", out_bill_no=number, state="CANCELLED")
        self.out.listen()
        self.tell_all()
        self.run_all()
        self.out.listen()
        self.tell_all()

    def _standing(self) -> object:
        """What changes while anything is under way."""
        return (self.out.heard(), self.out.bank_fen(), states())
