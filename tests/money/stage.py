"""Who is there when a history begins, and what each step of it is written down as."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.timezone import now
from hypothesis import strategies as st

from config.kit.errors import Refusal
from members.accounts.models import User
from members.guides import services as guides
from members.merchants.models import Merchant
from payments.cashier import queries as cashier_queries
from payments.cashier.models import Payment
from payments.channels.answers import ChannelRefused
from payments.payouts import payees
from payments.payouts.rules import Bank
from payments.settlement import services as settlement
from payments.transfers.models import Policy
from shop.catalog.models import Sku
from tests.factories import make_account, make_guide, make_merchant, make_sku, make_user
from tests.money.outside import UNITS, Outside
from tests.payments.offered import offer

ON_HAND = 60
CLERK, OTHER = "U1CLERK", "U2OTHER"
CHECK_ABOVE_FEN = 150_00  # above it, giving back takes two people
METHODS = ["BANK_TRANSFER", "WECHAT", "ALIPAY_LINK", "ALIPAY_QR", "WALLET"]
Step = Callable[..., None]
STEPS: list[Any] = []  # each as often as its weight
which = st.integers(0, 5)  # one of the latest few
who = st.integers(0, 2)


@dataclass(frozen=True)
class Act:
    """A step as hypothesis prints it: its name, not its address."""

    do: Step
    given: tuple[tuple[str, Any], ...]

    def __repr__(self) -> str:
        return f"{self.do.__name__}({', '.join(f'{key}={val!r}' for key, val in self.given)})"


def step(weight: int = 1, **given: Any) -> Callable[[Step], Step]:
    """One rule chooses among all steps: hypothesis would leave whole rules out of most runs."""

    def register(method: Step) -> Step:
        STEPS.extend([(method, st.fixed_dictionaries(given))] * weight)
        return method

    return register


@st.composite
def acts(draw: st.DrawFn) -> Act:
    method, given = draw(st.sampled_from(STEPS))
    return Act(method, tuple(sorted(draw(given).items())))


@dataclass(frozen=True)
class Handed:
    """What a buyer's phone was given to pay with: it stays there, whatever becomes of it here."""

    channel: str
    payment: int
    given: Any


class Stage:
    """Three buyers, one with a guide and one whose bank takes nothing back; two merchants."""

    out: Outside  # set for the class: hypothesis makes the machines

    def begin(self) -> None:
        self.block = transaction.atomic()
        self.block._from_testcase = True  # type: ignore[attr-defined]  # as a test case's own
        self.block.__enter__()
        at = now()
        make_account(units=UNITS)
        self.out.begin()
        for method in ("ALIPAY_LINK", "ALIPAY_QR"):
            offer(method)
        Policy.objects.create(merchant="", check_above_fen=CHECK_ABOVE_FEN)
        self.merchants: list[Merchant] = [make_merchant(after_sale_days=days) for days in (1, 0)]
        self.skus: list[list[Sku]] = [
            [make_sku(one, on_hand=ON_HAND, list_price_fen=fen) for fen in (100_00, 33_33)]
            for one in self.merchants
        ]
        first = self.merchants[0]
        settlement.set_rate(merchant=first.number, ppm=6_123, note="合同", actor=CLERK, at=at)
        for n, merchant in enumerate(self.merchants):
            card = Bank(f"621700112233440{n}", "杭州茶庄有限公司", "建设银行杭州分行")
            asked = payees.ask(merchant=merchant.number, bank=card, actor=CLERK, at=at)
            payees.check(payee=asked, approve=True, actor=OTHER, at=at)
        self.buyers: list[User] = [make_user(name) for name in ("小美", "小明", "小红")]
        self.cards = ["6222020200110001", "6222020200110002", "9999020200110003"]
        guide = make_guide(first)
        code = guides.share(
            user=guide.user, merchant=first.number, kind="MERCHANT", target=first.number, at=at
        )
        guides.follow(customer=self.buyers[0], code=code.code, at=at)
        self.phones: list[Handed] = []

    def end(self) -> None:
        transaction.set_rollback(True)
        self.block.__exit__(None, None, None)

    def card_of(self, payer_id: int) -> str:
        return self.cards[[one.pk for one in self.buyers].index(payer_id)]

    def hand(self, payment: Payment) -> None:
        """The phone has what the shop shows for a payment."""
        [shown] = cashier_queries.shown([payment])
        if shown["instructions"] and payment.method != "BANK_TRANSFER":
            self.phones.append(Handed(payment.method, payment.pk, shown["instructions"]))


class quietly(suppress):  # noqa: N801  as the one it is
    """What is refused is refused: a person reads why, and nothing has changed."""

    def __init__(self) -> None:
        super().__init__(Refusal, ChannelRefused)


def latest(rows: Any, n: int) -> Any:
    """The n-th latest row, counted round; None where there is none."""
    found = list(rows.order_by("-pk")[:6])
    return found[n % len(found)] if found else None
