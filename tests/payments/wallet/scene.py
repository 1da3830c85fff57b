"""People with money in their wallets, and things that they pay for with it."""

import itertools
from typing import Any

from django.utils.timezone import now

from members.accounts.models import User
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from payments.wallet import queries
from payments.wallet.rules import wallet_of
from tests.factories import make_user
from tests.payments import payable

_numbers = itertools.count(1)


def rich(fen: int) -> User:
    """Somebody with so much in his wallet, from nowhere in particular."""
    user = make_user()
    give(user, fen)
    return user


def give(user: User, fen: int) -> None:
    gift = Draft("GIFT", f"{user.number}.{next(_numbers)}", {"bank:1": fen}, {})
    ledger.post([Draft(gift.kind, gift.reference, gift.debits, {wallet_of(user.number): fen})],
                at=now())  # fmt: skip


def thing(fen: int = 3000) -> str:
    """Something to be paid for."""
    reference = f"T{next(_numbers)}"
    payable.told.amounts[reference] = fen
    return reference


def bought(user: User, fen: int = 3000, reference: str = "", **more: Any) -> Payment:
    return cashier.open_payment(
        payer_id=user.pk,
        purpose="ORDER",
        reference=reference or thing(fen),
        method=more.pop("method", "WALLET"),
        at=now(),
        **more,
    )


def available(user: User) -> int:
    return queries.balance(user.number)[0]


def frozen(user: User) -> int:
    return queries.balance(user.number)[1]


def nothing_alone(merchant: str) -> int:
    """A REFUND_LIMIT: giving back anything takes two people."""
    return 0
