"""What `staging` holds and what is known of it, as screening, twins and the ladder read it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from payments.receiving.models import ReceivingAccount


@dataclass(frozen=True)
class Batch:
    """Where rows come from and whose they are; `name` is that of `staging`."""

    name: str
    account: ReceivingAccount
    statement_id: int | None = None
    form: str = ""  # of the file; a push has none
    pays: bool = True  # a bill of a payment channel is kept, and pays nothing
    reversed_serials: frozenset[str] = frozenset()  # of bookings that this very file takes back


class Staged(NamedTuple):
    """One row of `payments_stagedline`, as screening and the ladder read it."""

    n: int
    key: str
    serial: str
    booked: int  # seconds since 1970
    amount_fen: int
    currency: str
    payer_name: str
    payer_account: str
    remark: str
    said: str  # JSON of the texts
    virtual_account: str
    is_reversal: bool
    reverses: str
    caution: str
    balance_fen: int | None

    @property
    def booked_at(self) -> datetime:
        return datetime.fromtimestamp(self.booked, UTC)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(orjson.loads(self.said))


class Known(NamedTuple):
    """The line that has a row's key already.

    `is_void`: its date was not believed, so that it stands in no books, and nobody has decided
    anything on it.
    """

    id: int
    number: str
    amount_fen: int
    booked_at: datetime
    payer_account: str
    verdict: str
    reverses: str
    statement_id: int | None
    is_void: bool = False
