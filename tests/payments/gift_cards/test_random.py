"""Whatever is done with cards, in whatever order, no fen is made, lost, or turned into cash."""

from contextlib import suppress
from typing import Any

from django.db import transaction
from django.utils.timezone import now
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from config.kit.errors import Refusal
from members.accounts.models import User
from payments.cashier import queries as payments
from payments.cashier import refunds
from payments.cashier.models import Payment
from payments.cashier.rules import Reason
from payments.gift_cards import buying, queries
from payments.gift_cards.models import GiftCard
from payments.ledger import queries as books
from payments.wallet import queries as wallets
from tests.factories import make_user
from tests.payments import payable
from tests.payments.gift_cards.scene import (
    asked,
    claim,
    give,
    payment_of,
    redeem,
    refund,
    reversed_by_the_bank,
    sent,
    take_back,
)
from tests.payments.transfers.bank import transfer_in
from tests.payments.wallet.scene import available
from tests.payments.wallet.scene import bought as paid_by_wallet
from tests.payments.wallet.scene import give as fill_wallet

ACTS = st.sampled_from(
    ["buy", "buy", "from wallet", "part", "rest", "give", "claim", "take back", "redeem", "redeem",
     "spend", "spend", "cancel", "refund", "refund", "reverse", "reverse part", "again", "freeze",
     "thaw"]
)  # fmt: skip
STEPS = st.lists(st.tuples(ACTS, st.integers(0, 1), st.integers(1, 20)), max_size=25)
BEGAN = 100_000  # fen in each wallet


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_the_books_balance_after_every_step(steps):
    around = transaction.atomic()
    around._from_testcase = True  # to the code under test it is no transaction, as a test's own
    with around:
        people = [make_user(), make_user()]
        for person in people:
            fill_wallet(person, BEGAN)
        codes: list[str] = []
        for act, who, size in steps:
            with suppress(Refusal):
                _do(act, people[who], size * 1000, codes)
            found = [*queries.findings(), *payments.findings(), *wallets.findings()]
            assert found + list(books.findings()) == [], act
            _no_cash(people)
        transaction.set_rollback(True)


def _no_cash(people: list[User]) -> None:
    """A wallet has never more than it began with: cards come back as cards."""
    for person in people:
        assert available(person) <= BEGAN
    parts = Payment.objects.filter(purpose="ORDER", received_fen__gt=0)
    assert all(row.refunded_fen <= row.received_fen for row in parts)


def _do(act: str, person: User, fen: int, codes: list[str]) -> None:
    card = GiftCard.objects.filter(holder=person).order_by("-pk").first()
    if act in {"buy", "part"}:
        payment = asked(person, max(fen, 2000))
        transfer_in(payment, fen=payment.amount_fen if act == "buy" else 1000)
    elif act == "from wallet":
        asked(person, fen, "WALLET")
    elif act == "claim":
        for code in codes[-1:]:
            claim(code, person)
    elif act == "spend":
        paid_by_wallet(person, fen)
    elif act == "cancel":
        _cancel(person)
    elif card:
        _with(act, card, codes)


def _cancel(person: User) -> None:
    orders = Payment.objects.filter(purpose="ORDER", payer=person, status="CONFIRMED")
    if order := orders.order_by("-pk").first():
        payable.told.paid.remove(order.reference)
        reference = order.reference
        refunds.refund_all(purpose="ORDER", reference=reference, reason=Reason.CANCELLED, at=now())
        sent()


def _with(act: str, card: GiftCard, codes: list[str]) -> None:
    payment = payment_of(card)
    is_by_bank = payment.method == "BANK_TRANSFER"
    acts: dict[str, Any] = {
        "give": lambda: codes.append(give(card)),
        "take back": lambda: take_back(card),
        "redeem": lambda: redeem(card),
        "refund": lambda: (refund(card), sent()),
        "freeze": lambda: buying.freeze(card=card, reason="可疑", actor="U1", at=now()),
        "thaw": lambda: buying.thaw(card=card, reason="查清", actor="U1", at=now()),
    }
    if act in acts:
        acts[act]()
    elif is_by_bank and act in {"rest", "again"} and payment.status == "WAITING":
        transfer_in(payment, fen=payment.outstanding_fen)
    elif is_by_bank and act == "reverse":
        reversed_by_the_bank(payment)
    elif is_by_bank and act == "reverse part":
        first = payment.receipts.filter(undone_at=None).order_by("pk").first()
        reversed_by_the_bank(payment, pk=first.pk if first else 0)
