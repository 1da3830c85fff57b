"""The doors of the cashier, all by dotted name in settings.

Upward: PAYABLES, what is being paid for.  Sideward: PAYMENT_METHODS, how the money comes and goes;
REFUND_LIMIT, above what amount giving it back takes two people; WALLET_PART, who pays a part.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import import_module
from typing import Any, Protocol, cast, runtime_checkable

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from config.kit.errors import StaleState
from payments.cashier.models import Payment, RefundPart
from payments.cashier.rules import Due


class Payable(Protocol):
    @staticmethod
    def due(*, reference: str, payer_id: int, method: str, at: datetime) -> Due:
        """What is to be paid; raises a Refusal when nothing is (any more).

        Method "": only looked at, outside any transaction; nothing is locked or changed.
        """

    @staticmethod
    def paid(*, references: Sequence[str], at: datetime) -> set[str]:
        """These are paid in full.  Answers those that took no money: closed, or paid before."""

    @staticmethod
    def unpaid(*, references: Mapping[str, bool], at: datetime) -> None:
        """A match was undone.  Raises a Refusal when it is too late (already shipped).

        By reference whether all its money had been here until now.
        """

    @staticmethod
    def reopen(*, references: Mapping[str, datetime], at: datetime) -> set[str]:
        """All the money is here, but late.  Answers those that are open again, and paid.

        By reference the earliest moment of closing that may still be undone.
        """

    @staticmethod
    def reversed(*, references: Mapping[str, bool], at: datetime) -> Mapping[str, int]:
        """The bank took money back: stop whatever goes on.

        Answers how many fen of each have been paid out already; none where it does not say.

        By reference whether it is unpaid now; if not, the loss came of money that had been owed
        back.  Never refuses.
        """

    @staticmethod
    def refunded(*, references: Sequence[str], at: datetime) -> None:
        """The money is back where it came from."""


class Method(Protocol):
    ASKS_CHANNEL: bool  # whether `prepare` does anything

    @staticmethod
    def hindered(*, payer_id: int, merchant: str) -> str:
        """Why this payer cannot pay this merchant so, where `opened` would refuse; empty: he can.

        For the list of methods: the refusal's own sentence; a constant number of queries.
        """

    @staticmethod
    def opened(payment: Payment, *, at: datetime) -> None:
        """Inside the transaction that opens the payment: assign what the payer needs."""

    @staticmethod
    def instructions(payments: Sequence[Payment]) -> Mapping[int, dict[str, Any]]:
        """What the payer has to do, by payment id; a constant number of queries."""

    @staticmethod
    def prepare(payment: Payment, *, at: datetime) -> None:
        """Over the network, outside any transaction, safe to repeat: what `instructions` need.

        Raises a Refusal; the payment stays open, and asking again is all that is to be done.
        """

    @staticmethod
    def unheard(payments: Sequence[Payment], *, at: datetime) -> Mapping[int, datetime]:
        """Whose time is over, but whose money may have come without our having heard of it yet.

        Ids of open payments that should not be closed for that, with when to look again; a
        constant number of queries.
        """

    @staticmethod
    def shut(payment: Payment, *, at: datetime) -> None:
        """Over the network, outside any transaction: nobody can pay it any more.

        Before what it pays for is given up.  Raises a Refusal where it may be paid just now.
        """

    @staticmethod
    def send_back(part: RefundPart) -> str | None:
        """Over the network, outside any transaction, safe to repeat; the channel's own number.

        None: not known yet.  An arrival that was undone (`part.receipt.undone_at`) is only asked
        about.  Raises a Refusal when nothing has left and nothing will.
        """

    @staticmethod
    def left_from(part: RefundPart, channel_txn: str) -> str:
        """First thing in the transaction that books it: the ledger account that it has left."""


@runtime_checkable
class ToWallet(Protocol):
    """A method whose payers may choose: what they are owed goes to their wallets."""

    @staticmethod
    def check_to_wallet(part: RefundPart) -> None:
        """Raises a Refusal where the channel has taken the money back."""


def payable(purpose: str) -> Payable:
    return cast(Payable, import_module(settings.PAYABLES[purpose]))


def method(name: str) -> Method:
    return cast(Method, import_module(settings.PAYMENT_METHODS[name]))


def goes_to_wallet(name: str) -> bool:
    """Whether what came by a method and is owed back may go to the payer's wallet instead."""
    return isinstance(method(name), ToWallet)


def check_to_wallet(part: RefundPart) -> None:
    """Raises a Refusal where the money of an arrival must not go to its payer's wallet."""
    by = method(part.receipt.method)
    if not isinstance(by, ToWallet):
        raise StaleState
    by.check_to_wallet(part)


def check_above_fen(merchant: str) -> int:
    """A refund of more than this takes two people."""
    return cast(int, import_string(settings.REFUND_LIMIT)(merchant))


def pay_part(payment: Payment, *, fen: int, at: datetime) -> None:
    """So much of it from its payer's wallet, in this transaction; raises a Refusal."""
    import_string(settings.WALLET_PART)(payment=payment, fen=fen, at=at)


@register()
def doors_answer(**_: Any) -> list[CheckMessage]:
    """`manage.py check` fails at once when the wiring in settings is wrong."""
    wanted = {
        "PAYABLES": ("due", "paid", "unpaid", "reopen", "reversed", "refunded"),
        "PAYMENT_METHODS": (
            *("ASKS_CHANNEL", "hindered", "opened", "prepare", "instructions", "unheard"),
            *("shut", "send_back", "left_from"),
        ),
    }
    modules = [
        (f"{table}[{key!r}]", path, functions)
        for table, functions in wanted.items()
        for key, path in getattr(settings, table).items()
    ]
    for setting in ("REFUND_LIMIT", "WALLET_PART"):
        path, function = getattr(settings, setting).rsplit(".", 1)
        modules.append((setting, path, (function,)))
    return [
        Error(f"{where}: {path}.{name} is missing", id="payments.E001")
        for where, path, functions in modules
        for name in functions
        if not hasattr(import_module(path), name)
    ]
