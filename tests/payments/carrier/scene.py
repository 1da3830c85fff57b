"""Money of many kinds in the ledger, and what the carrier has of it."""

import itertools
from datetime import date, timedelta

from django.utils.timezone import localtime, now

from payments.bills.models import ChannelDay, ChannelDifference
from payments.bills.rules import SHANGHAI
from payments.carrier import comparing, services
from payments.carrier.models import CarrierBatch
from payments.carrier.protocol import carrier
from payments.carrier.rules import KEPT
from payments.deposits import services as deposits
from payments.ledger import queries as books
from payments.ledger import services as ledger
from payments.ledger.rules import Draft
from tests.payments.settlement.scene import CLERK, MERCHANT, NOON, earned
from tests.payments.wallet.scene import bought, rich
from tests.sandbox_fixtures import Sandbox

_numbers = itertools.count(1)
DAY = 86_400


def busy() -> None:
    """A sale that is released, a deposit, a wallet that was filled and spent."""
    earned()
    deposits.top_up(merchant=MERCHANT, amount_fen=30_000, actor=CLERK, at=NOON)
    bought(rich(5_000), 3_000)


def moved(fen: int = 100, *, to: str = "wallet:U1", source: str = "bank:1") -> None:
    """One fact: so much from one account to another."""
    draft = Draft("GIFT", f"carrier.{next(_numbers)}", {source: fen}, {to: fen})
    ledger.post([draft], at=now())


def tell_all() -> None:
    while services.tell(at=now()):
        pass


def here() -> dict[str, int]:
    """What the ledger has on the accounts that a carrier holds."""
    found: dict[str, int] = {}
    for kind in KEPT:
        found |= books.balances(kind)
    return {code: fen for code, fen in found.items() if fen}


def there(day: date) -> dict[str, int]:
    return {code: fen for code, fen in carrier().balances(day) if fen}


def night(sandbox: Sandbox) -> date:
    """The carrier's day is over; which one that was."""
    today = localtime(now(), SHANGHAI).date()
    sandbox.move_clock(DAY)
    return today


def compared(day: date) -> ChannelDay:
    return comparing.take_in(name="CARRIER", day=day, at=now() + timedelta(days=1))


def found(**which: object) -> list[tuple[str, str, str, int, int]]:
    """Open differences: subject, kind, sub-account, our fen, their fen."""
    rows = ChannelDifference.objects.filter(closed_at=None, **which)
    return sorted(rows.values_list("subject", "kind", "their_number", "our_fen", "their_fen"))


def statuses() -> list[tuple[str, int]]:
    return list(CarrierBatch.objects.order_by("pk").values_list("status", "moves"))
