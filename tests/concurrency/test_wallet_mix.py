"""A74: one wallet is spent, refunded, filled and withdrawn from by several at once, at random."""

import random
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.utils.timezone import now

from payments.cashier import refunds, tasks
from payments.cashier.models import Payment, Refund
from payments.ledger import services as ledger
from payments.ledger.models import Account, Entry
from payments.wallet import withdrawals
from payments.wallet.rules import wallet_of
from payments.wallet.services import InsufficientBalance
from tests.concurrency.together import together
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.conftest import bank, no_shop  # noqa: F401
from tests.payments.wallet.scene import bought, frozen, rich, thing
from tests.payments.wallet.test_top_ups import by_transfer
from tests.payments.wallet.test_withdrawals import CARD, asked
from tests.sandbox_fixtures import sandbox, sandbox_process  # noqa: F401

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("no_shop")]
THREADS, EACH = 4, 20


@dataclass
class Person:
    """One of several who use one wallet, each with what he has paid and may fill it with."""

    user: Any
    dice: random.Random
    to_fill: list[Payment]
    paid: list[Payment] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=lambda: {"account_no": "9999000011112222"})

    def act(self) -> None:
        acts = [self.spend, self.spend, self.give_back, self.fill, self.take_out, self.fail]
        with suppress(InsufficientBalance):
            self.dice.choice(acts)()

    def spend(self) -> None:
        self.paid.append(bought(self.user, reference=thing(self.dice.randint(1, 3000))))

    def give_back(self) -> None:
        if self.paid:
            reference = self.paid.pop().reference
            refunds.refund_all(purpose="ORDER", reference=reference, reason="CANCELLED", at=now())
            for refund in Refund.objects.filter(payment__reference=reference):
                tasks.send_refund(refund_id=refund.pk)

    def fill(self) -> None:
        if self.to_fill:
            transfer_in(self.to_fill.pop(), fen=1000)

    def take_out(self, **card: str) -> None:
        row = asked(self.user, self.dice.randint(100, 2000), **CARD | card)
        withdrawals.send(number=row.number, at=now())

    def fail(self) -> None:
        self.take_out(**self.closed)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_at_once_the_books_are_even(bank, settings, seed):  # noqa: F811
    settings.WALLET_WITHDRAWALS = settings.WALLET_WITHDRAWALS | {
        "day_times": 999,
        "day_fen": 10**9,
    }
    user = rich(5000)
    topped = [by_transfer(user, 1000) for _ in range(THREADS * 4)]
    people = [
        Person(user, random.Random(f"{seed}.{i}"), topped[i::THREADS]) for i in range(THREADS)
    ]

    def live(i: int) -> str:
        for _ in range(EACH):
            people[i].act()
        return "ok"

    assert together(THREADS, live) == {"ok": THREADS}

    assert ledger.audit() == []
    assert frozen(user) == 0
    account = Account.objects.get(code=wallet_of(user.number))
    running = 0
    for fen in Entry.objects.filter(account=account).values_list("amount_fen", flat=True):
        running -= fen
    assert account.balance_fen == running >= 0
    assert Entry.objects.filter(account=account).count() > THREADS * 5
