"""What a bank's table looks like: which header names mean what.

Roles: `day`, `clock` · `in` and `out`, or `amount` alone (signed), or `amount` with `direction` ·
`balance`, `currency`, `reversal`, `serial` (and `entry`, where it takes both to name one booking) ·
`account` (ours, or a virtual one below it) ·
`name`, `payer_account`, `payer_bank` (the other side), or `party` (name and account in one cell),
or both sides with `payee_name`, `payee_account`, `payee_bank` · any other for texts.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from payments.transfers.parsers.statement import Source

Places = dict[str, int]  # role: column

# As `cells.name` leaves them, in upper case.  In a bank's books of our account credit is money in.
_IN = ("贷", "贷方", "贷CR", "CR", "C", "CREDIT", "收", "收入", "存入", "转入", "来账")
_OUT = ("借", "借方", "借DR", "DR", "D", "DEBIT", "支", "付", "支出", "支取", "转出", "往账")
DIRECTIONS = {**dict.fromkeys(_IN, 1), **dict.fromkeys(_OUT, -1)}

# A card is no account that a shop is paid on: what comes in are repayments and refunds.  Its rows
# are read to their figures, and none pays anything unless a person says so.
CARD = "信用卡账单：还款或退款，不是商户收款"


class Days(StrEnum):
    """How days are written."""

    YEAR_FIRST = "YEAR_FIRST"
    DAY_FIRST = "DAY_FIRST"  # 31/01/2026
    WITHOUT_YEAR = "WITHOUT_YEAR"  # 01/31, the year in the title above the table


@dataclass(frozen=True, slots=True)
class Layout:
    """How one bank names its columns: role → spellings, as `cells.name` leaves them."""

    bank: str  # first half of the format's name
    columns: Mapping[str, tuple[str, ...]]
    optional: frozenset[str] = frozenset()  # roles the bank may leave out
    without: frozenset[str] = frozenset()  # names that say it is another table of the bank
    texts: tuple[str, ...] = ()  # roles searched for codes; the first that says something is shown
    references: tuple[str, ...] = ()  # roles searched for codes too, which say nothing to people
    bank_words: str = ""  # role of a text only the bank writes, searched for reversals
    names_itself: bool = True  # the account column always holds our account or one below it
    sign: int = 1  # of a single amount without direction: -1 where positive is money out
    amounts_signed: bool = False  # beside a direction, the amount says it again with its sign
    two_sided: bool = False  # payer and payee, of which one is us
    ragged: bool = False  # empty cells at a row's end are left out
    days: Days = Days.YEAR_FIRST
    caution: str = ""  # on every row
    source: Source = Source.BANK

    def find(self, places: Mapping[str, int]) -> Places | None:
        """Column of each role, or None when this is not the bank's header; `places` of `placed`."""
        at: Places = {}
        if not self.without.isdisjoint(places):
            return None
        for role, spellings in self.columns.items():
            found = [places[name] for name in spellings if name in places]
            if len(found) == 1 and found[0] >= 0:
                at[role] = found[0]
            elif role not in self.optional or found:
                return None
        return at


def placed(header: Sequence[str]) -> dict[str, int]:
    """Column of each name; -1 for a name that stands twice."""
    places: dict[str, int] = {}
    for column, name in enumerate(header):
        places[name] = -1 if name in places else column
    return places
