"""A day of a merchant: orders, the transfers that pay them, and for each the truth.

    day = make_day(orders(seed=7), seed=7)      # or rows of a shop's own payments
    day.pushes, day.files, day.truth[serial], day.paid

The same seed makes the same day.  Of 2,950 transfers for 3,000 orders (MIX has the shares):

    55.0 %  exact            the virtual account, the amount; remarks of all kinds
     3.0 %  for_another      the same, paid by somebody who is not the buyer
     5.0 %  parts            the virtual account, in two parts that add up (2.5 % of orders)
     1.0 %  short            the virtual account, too little, and nothing more that day
     2.5 %  over             the virtual account, too much
     2.0 %  twin             the same twice in one minute: the second is owed back
     0.7 %  taken_back       the virtual account; reversed, half of them pushed before the credit
    19.0 %  code             the receiving account, a code: full width, in groups, among words
     1.5 %  code_short       a code and too little, of a payer never seen
     1.0 %  code_over        a code and too much, of a payer never seen
     1.5 %  typo             one digit wrong, two swapped, or one missing
     2.0 %  silent           no code, a payer never seen
     1.5 %  known            no code; a payer who has paid for this buyer before, and for no other
     1.5 %  several          the codes of 2 to 4 orders of one buyer, the sum exact
     0.5 %  strangers        the codes of two buyers, the sum exact
     0.5 %  crossed          one order's virtual account, another's code
     1.8 %  foreign          for no order: suppliers' refunds, interest, deposits

Everywhere: names with spaces, full-width signs and brackets, payers without or with half an account
number, remarks with dates, phone numbers and order numbers.  8 % of bookings are not pushed, 3 %
are pushed twice, all come up to 20 places early or late.  Two files overlap from 11:00 to 15:00:
CCB's CSV of the morning, CMB's xlsx of the rest; together they hold every booking.

What a careful engine may decide by itself follows from the ladder (docs/reconciliation.md), with
splits over several codes (T3a) and known payers (T4) as far as they can be built.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time
from random import Random
from typing import Any

from tests.sandbox import statements
from tests.sandbox.bank import event
from tests.sandbox.payers import Known, Order, Truth, Writer, person
from tests.sandbox.statements import Booking

ACCOUNT = "755900000110"
DAY = date(2026, 11, 20)
MIX = {  # shares of all transfers, per mille
    "exact": 550,
    "for_another": 30,
    "parts": 50,
    "short": 10,
    "over": 25,
    "twin": 20,
    "taken_back": 7,
    "code": 190,
    "code_short": 15,
    "code_over": 10,
    "typo": 15,
    "silent": 20,
    "known": 15,
    "several": 15,
    "strangers": 5,
    "crossed": 5,
    "foreign": 18,
}
MORNING_ENDS, REST_BEGINS = time(15), time(11)


@dataclass(frozen=True)
class File:
    format: str
    content: bytes
    bookings: tuple[Booking, ...]


@dataclass(frozen=True)
class Day:
    """`bookings` as the bank booked them; `pushes` as they arrive; `truth` by serial."""

    account: str
    opening_fen: int
    orders: tuple[Order, ...]
    bookings: tuple[Booking, ...]
    pushes: tuple[dict[str, Any], ...]
    files: tuple[File, ...]
    truth: Mapping[str, Truth]
    known: tuple[Known, ...]

    @property
    def paid(self) -> Counter[str]:
        """Fen that each order has in the end; what is not named has nothing."""
        total: Counter[str] = Counter()
        for truth in self.truth.values():
            total.update(truth.pays)
        return total


# --- orders -------------------------------------------------------------------------------------

OF_ONE_BUYER = (1,) * 40 + (2,) * 5 + (3,) * 2 + (4,)  # how many orders a buyer has
WITH_VIRTUAL = 0.8


def orders(*, seed: int, count: int = 3_000, account: str = ACCOUNT) -> list[Order]:
    """Orders of nobody's shop: four of five with a virtual account, some buyers with several."""
    random = Random(f"orders {seed}")
    codes = _codes(random, count)
    units = random.sample(range(10**8), count)
    made: list[Order] = []
    while len(made) < count:
        buyer, name = f"U{len(made):06d}", person(random)
        for _ in range(min(random.choice(OF_ONE_BUYER), count - len(made))):
            n = len(made)
            virtual = f"{account}{_checked(units[n], 8)}" if random.random() < WITH_VIRTUAL else ""
            price = random.choice((9_900, 19_900, random.randrange(1_000, 500_000)))
            made.append(Order(f"D{n:06d}", buyer, name, account, virtual, codes[n], price))
    return made


def _codes(random: Random, count: int) -> list[str]:
    """Sound ones, none of which reads as a date of our century."""
    codes: dict[str, None] = {}
    while len(codes) < count:
        code = _checked(random.randrange(10**6), 6)
        if not code.startswith(("19", "20")):
            codes[code] = None
    return list(codes)


def _checked(payload: int, width: int) -> str:
    """With the two check digits of ISO 7064 MOD 97-10."""
    return f"{payload:0{width}d}{98 - payload * 100 % 97:02d}"


# --- the day ------------------------------------------------------------------------------------


def make_day(
    rows: Sequence[Order],
    *,
    seed: int,
    transfers: int = 2_950,
    day: date = DAY,
    opening_fen: int = 12_345_678,
) -> Day:
    """The transfers of one day to one receiving account, with the truth about each.

    Where the rows do not give what a kind needs (no buyer with two orders, no virtual account
    left), there is less of that kind; `Counter(t.kind for t in day.truth.values())` says what is.
    """
    wanted = {kind: round(transfers * share / 1_000) for kind, share in MIX.items()}
    wanted |= {kind: wanted[kind] // 2 for kind in ("parts", "twin")}  # two transfers each
    writer = Writer(rows, Random(f"day {seed}"), day, wanted)
    for kind, times in wanted.items():
        for _ in range(times):
            getattr(writer, kind)()
    bookings, truth = writer.booked()
    account = rows[0].account
    return Day(
        account,
        opening_fen,
        tuple(rows),
        tuple(bookings),
        tuple(_pushes(account, bookings, truth, writer.random)),
        tuple(_files(account, day, opening_fen, bookings)),
        truth,
        tuple(writer.known_payers),
    )


# --- how it arrives -----------------------------------------------------------------------------

PUSHED, TWICE, ASTRAY = 0.92, 0.03, 20


def _pushes(
    account: str, bookings: Sequence[Booking], truth: Mapping[str, Truth], random: Random
) -> Iterator[dict[str, Any]]:
    """As they reach the shop; every reversal does, half of them before what they take back."""
    turns: list[tuple[float, Booking]] = []
    place = {booking.serial: float(n) for n, booking in enumerate(bookings)}
    for booking in bookings:
        turn = place[booking.serial] + random.uniform(-ASTRAY, ASTRAY)
        if booking.reverses:
            is_early = random.random() < 0.5
            turn = place[booking.reverses] - ASTRAY - 1 if is_early else turn + 3 * ASTRAY
        elif truth[booking.serial].kind != "taken_back" and random.random() >= PUSHED:
            continue
        turns.append((turn, booking))
        if random.random() < TWICE:
            turns.append((turn + random.uniform(0, ASTRAY), booking))
    for _, booking in sorted(turns, key=lambda one: one[0]):
        yield event(account, booking)


def _files(
    account: str, day: date, opening_fen: int, bookings: Sequence[Booking]
) -> Iterator[File]:
    morning = tuple(one for one in bookings if one.booked_at.time() < MORNING_ENDS)
    rest = tuple(one for one in bookings if one.booked_at.time() >= REST_BEGINS)
    before = sum(one.signed_fen for one in bookings[: len(bookings) - len(rest)])
    for format, opening, part in (
        ("ccb_csv", opening_fen, morning),
        ("cmb_xlsx", opening_fen + before, rest),
    ):
        yield File(format, statements.render(format, account, day, opening, part), part)
