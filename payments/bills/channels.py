"""What a payment channel gives to the daily comparison; another one is another such module."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import IO, Any, Protocol

from payments.bills import alipay, wechat, wechat_accounts
from payments.bills.rules import Moved
from payments.transfers.parsers import Stream
from payments.transfers.parsers.channels.bill import BillRow


class Channel(Protocol):
    """`NAME` is in the codes of the ledger; `…_FORM` is what the readers call its bills.

    `WHICH` of its accounts this is, in the codes too; "" is the one that trades come to.

    `DIFFERENCES` selects subject, kind, our_number, their_number, our_fen, their_fen, our_state
    and their_state by the rows in `payments_billrow` (%(batch)s) and the moments between which the
    day lies (%(begins)s, %(ends)s).
    """

    NAME: str
    WHICH: str
    TRADE_FORM: str
    FUND_FORM: str
    DIFFERENCES: str

    def is_on(self) -> bool: ...

    def account_no(self) -> str:
        """Our number there."""

    def trade_bill(self, day: date) -> IO[bytes] | None:
        """None: nothing was traded.  Raises ChannelSilent, ChannelRefused."""

    def fund_bill(self, day: date) -> IO[bytes] | None:
        """None: nothing was moved."""

    def whose(self, bill: Stream, /) -> str | None:
        """The account that a bill is of, as `account_no` has it; None: its form names none."""

    def due_fen(self, row: BillRow, /) -> int:
        """What the agreed rate makes of a row of the trade bill."""

    def moved(self, row: BillRow, /) -> Moved: ...

    def ask(self, batch: str, *, at: datetime, most: int) -> bool: ...

    def mark(self, facts: dict[str, Any], /) -> None: ...


# By `rules.Name`.
CHANNELS: Mapping[str, Channel] = {
    "WECHAT": wechat,
    "ALIPAY": alipay,
    "WECHAT_OPERATION": wechat_accounts.OPERATION,
    "WECHAT_FEES": wechat_accounts.FEES,
}
