"""The same bookings, in whatever order, cut and doubled: the same payments, lines and books.

What is compared is the end: of each payment its status, what it received and what is owed back; of
each line whether it paid, waits for a person, is none of ours or was taken back; and the balances
of every account.  Not compared is what nobody can know beforehand:

- which of two EQUAL lines was kept and which is owed back: only their sums are;
- of two lines that name one payment in different ways (RIVALS), which came first: the virtual
  account's is owed back when it is late, the code's waits for a person.  Their payment is paid
  once, and the second money is either owed back or waits;
- what the shop learns on its way (T4: a payer who has paid before), and which of two bookings of
  one serial with different amounts is believed.  Neither is in this world.
"""

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from payments.cashier.models import Payment, Refund
from payments.ledger import services as ledger
from payments.transfers import intake, services
from payments.transfers.models import StatementLine
from payments.transfers.parsers import Row
from tests.members.people import make_user
from tests.payments import payable
from tests.payments.transfers.bank import (
    NOON,
    account,
    booking,
    ccb_csv,
    code_of,
    expected,
    icbc_csv,
    imported,
    push,
    virtual_of,
)

PRICE = 9900
WAITING = (4545, 4545, 4646)  # of nobody, under two names
CLASSES = {
    "MATCHED": "paid",
    "SUGGESTED": "waits",
    "UNMATCHED": "waits",
    "CONFLICT": "waits",
    "IGNORED": "not ours",
    "REVERSED": "taken back",
}


@dataclass
class World:
    """`rows` as the bank booked them; `silent` ones have no serial and come in files only.

    `twice` ones have a serial where they are pushed, and none in their files: of each that came
    both ways one line is booked, and the other, not booked, asks a person.
    """

    rows: list[Row] = field(default_factory=list)
    silent: list[Row] = field(default_factory=list)
    twice: list[Row] = field(default_factory=list)
    payments: dict[str, tuple[Payment, tuple[str, int, int]]] = field(default_factory=dict)
    lines: dict[str, str] = field(default_factory=dict)  # class by serial
    rivals: set[str] = field(default_factory=set)
    rival_payment: str = ""

    def payment(self, name: str, *ends: object, fen: int = PRICE, payer: object = None) -> Payment:
        """Ends: its status, received and owed back, in fen."""
        payment = expected(fen, payer=payer)
        self.payments[name] = (payment, ends)  # type: ignore[assignment]
        return payment

    def line(self, fen: int, end: str, **changes: object) -> Row:
        n = len(self.rows)
        at = NOON + timedelta(minutes=n)
        payer = {"payer_account": f"62220202{n:08d}", "payer_name": f"付款人{n}"}
        row = booking(fen, **(payer | {"booked_at": at} | changes))
        self.rows.append(row)
        self.lines[row.serial] = end
        return row


def world() -> World:
    made = World()
    _to_virtual_accounts(made)
    _by_code(made)
    _taken_back(made)
    _of_nobody(made)
    _without_serials(made)
    _under_two_names(made)
    return made


def _to_virtual_accounts(made: World) -> None:
    paid = ("CONFIRMED", PRICE)
    made.line(PRICE, "paid", virtual_account=virtual_of(made.payment("exact", *paid, 0)))
    twins = virtual_of(made.payment("twins", *paid, PRICE))
    for _ in range(2):
        made.line(PRICE, "paid", virtual_account=twins)
    rest = virtual_of(made.payment("part and rest", *paid, 0))
    for fen in (4000, 5900):
        made.line(fen, "paid", virtual_account=rest)
    over = virtual_of(made.payment("part and too much", *paid, 1100))
    for fen in (4000, 7000):
        made.line(fen, "paid", virtual_account=over)
    made.line(PRICE + 5, "paid", virtual_account=virtual_of(made.payment("over", *paid, 5)))
    short = virtual_of(made.payment("short", "WAITING", 1, 0))
    made.line(1, "paid", virtual_account=short)


def _by_code(made: World) -> None:
    paid = ("CONFIRMED", PRICE, 0)
    made.line(PRICE, "paid", remark=code_of(made.payment("code", *paid)))
    buyer = make_user()
    both = [code_of(made.payment(f"of one buyer {n}", *paid, payer=buyer)) for n in (1, 2)]
    made.line(2 * PRICE, "paid", remark="和".join(both))
    unpaid = ("WAITING", 0, 0)
    made.line(1, "waits", remark=code_of(made.payment("code, short", *unpaid)))
    one, other = made.payment("crossed 1", *unpaid), made.payment("crossed 2", *unpaid)
    made.line(PRICE, "waits", virtual_account=virtual_of(one), remark=code_of(other))
    made.rival_payment = "rivals"
    rivals = made.payment("rivals", "CONFIRMED", PRICE, 0)
    for named in ({"virtual_account": virtual_of(rivals)}, {"remark": code_of(rivals)}):
        made.rivals.add(made.line(PRICE, "", **named).serial or "")


def _taken_back(made: World) -> None:
    back = virtual_of(made.payment("taken back", "WAITING", 0, 0))
    whole = made.line(PRICE, "taken back", virtual_account=back)
    rest = virtual_of(made.payment("part taken back", "WAITING", 5900, 0))
    part = made.line(4000, "taken back", virtual_account=rest)
    made.line(5900, "paid", virtual_account=rest)
    nobodys = made.line(700, "taken back", remark="货款")
    for original in (whole, part, nobodys):
        made.line(-original.amount_fen, "taken back", is_reversal=True, reverses=original.serial)
    made.line(-33, "waits", is_reversal=True, reverses="S-UNHEARD-OF")


def _of_nobody(made: World) -> None:
    made.line(12_345, "waits", remark="货款")
    made.line(-500, "not ours", remark="付货款")
    made.line(77, "not ours", remark="结息", payer_account="", payer_name="")


def _without_serials(made: World) -> None:
    thirds = virtual_of(made.payment("in thirds", "CONFIRMED", PRICE, 0))
    third = booking(3300, serial=None, virtual_account=thirds, booked_at=NOON)
    other = booking(4321, serial=None, remark="订金", booked_at=NOON)
    made.silent = [third, third, third, other, other]


def _under_two_names(made: World) -> None:
    halves = virtual_of(made.payment("in halves", "CONFIRMED", PRICE, 0))
    fens = (4950, 4950, *WAITING)
    made.twice = [
        booking(
            fen,
            serial=f"TWICE-{n}",
            virtual_account=halves if fen == 4950 else None,
            booked_at=NOON + timedelta(minutes=n),
        )
        for n, fen in enumerate(fens)
    ]


# --- how it comes -------------------------------------------------------------------------------


@st.composite
def deliveries(draw, made: World):
    """Pushes and overlapping files, shuffled; together they hold every booking, reversals pushed.

    The bank's files do not name what a reversal takes back, its pushes do.
    """
    many = len(made.rows)
    cuts = sorted(draw(st.lists(st.integers(0, many), min_size=2, max_size=5)))
    files = [range(a, b) for a, b in zip(cuts, cuts[2:], strict=False) if b > a]
    in_files = {n for file in files for n in file}
    pushed = [n for n in range(many) if n not in in_files or made.rows[n].is_reversal]
    pushed += draw(st.lists(st.integers(0, many - 1), max_size=10))
    silent = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(3, 5)), max_size=2))
    ways = [
        *(("push", (n, n + 1)) for n in pushed),
        *(("file", (file.start, file.stop)) for file in files),
        *(("silent", cut) for cut in [*silent, (0, 5)]),
        *(("twice in a file", (a, b)) for a, b in [*silent, (0, 5)] if a < b),
        *(("twice, pushed", (n, n + 1)) for n in draw(st.sets(st.integers(0, 4)))),
    ]
    return draw(st.permutations(ways)), draw(st.integers(1, 7))


def deliver(made: World, way: str, cut: tuple[int, int], turn: int) -> None:
    at = NOON + timedelta(hours=1, minutes=turn)
    source = {"silent": made.silent, "twice in a file": made.twice, "twice, pushed": made.twice}
    rows = source.get(way, made.rows)[slice(*cut)]
    if way in {"push", "twice, pushed"}:
        push(rows[0], at=at)
    elif way == "twice in a file":
        before = sum(row.amount_fen for row in made.twice[: cut[0]])
        imported(icbc_csv(rows, opening=before) + b"\r\n" * turn, at=at)
    elif way == "silent":
        services.take(account=account(), rows=rows, at=at)
    else:
        imported(ccb_csv(rows) + b"\r\n" * turn, at=at)  # no two files are the same


# --- what is compared ---------------------------------------------------------------------------


def every_fen_is_somewhere() -> None:
    """On every line: allocations + what waits + what was returned = amount; all in suspense."""
    with connection.cursor() as cursor:
        cursor.execute(_LINES)
        (wrong, waits), fen = cursor.fetchone(), balances()["suspense"]
    assert (wrong, waits) == (0, fen)


_LINES = """
SELECT count(*) FILTER (WHERE l.allocated_fen <> coalesce(d.fen, 0) OR l.left_fen < 0),
       coalesce(sum(l.left_fen), 0)
FROM (
    SELECT *, CASE WHEN is_posted
        THEN amount_fen - allocated_fen - returned_fen - set_aside_fen ELSE 0 END AS left_fen
    FROM payments_statementline
) l LEFT JOIN (
    SELECT line_id, sum(amount_fen) AS fen FROM payments_allocation
    WHERE undone_at IS NULL GROUP BY line_id
) d ON d.line_id = l.id
"""


def end(made: World) -> dict[str, object]:
    rivals_waiting = 0
    lines = {}
    twice = StatementLine.objects.filter(amount_fen__in=[4950, *WAITING])
    others = StatementLine.objects.exclude(pk__in=twice)
    for line in others.exclude(serial=""):
        if line.serial in made.rivals:
            rivals_waiting += 0 if line.verdict == "MATCHED" else line.amount_fen
        else:
            lines[line.serial] = CLASSES[line.verdict]
    owed = Counter()
    for refund in Refund.objects.exclude(status="VOID").select_related("payment"):
        owed[refund.payment.reference] += refund.amount_fen
    rival = made.payments[made.rival_payment][0].reference
    payments = {
        payment.reference: (payment.status, payment.received_fen, owed[payment.reference])
        for payment in Payment.objects.exclude(reference=rival)
    }
    rivals = Payment.objects.get(reference=rival)
    return {
        "lines": lines,
        "without serials": Counter(
            (line.amount_fen, CLASSES[line.verdict]) for line in others.filter(serial="")
        ),
        "under two names": Counter(
            (line.amount_fen, CLASSES[line.verdict]) for line in twice.filter(is_posted=True)
        ),
        "payments": payments,
        "rivals": (rivals.status, rivals.received_fen, owed[rival] + rivals_waiting),
        "balances": balances(suspense=-rivals_waiting, refund_payable=-owed[rival]),
    }


def balances(*, suspense: int = 0, refund_payable: int = 0) -> dict[str, int]:
    """Without the money of rivals, which is in one of the two."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT split_part(a.code, ':', 1), -sum(e.amount_fen) FROM payments_entry e"
            " JOIN payments_account a ON a.id = e.account_id GROUP BY 1"
        )
        found = {kind: int(fen) for kind, fen in cursor.fetchall()}
    found["suspense"] = found.get("suspense", 0) + suspense
    found["refund_payable"] = found.get("refund_payable", 0) + refund_payable
    return found


def as_it_must_be(made: World) -> dict[str, object]:
    rows = made.rows + made.silent + made.twice
    rivals = made.payments[made.rival_payment][0].reference
    ends = {payment.reference: ends for payment, ends in made.payments.values()}
    waits = sum(
        row.amount_fen
        for row in made.rows
        if made.lines[row.serial] == "waits" and row.amount_fen > 0
    )
    elsewhere = sum(
        row.amount_fen
        for row in made.rows
        if made.lines[row.serial] == "not ours" or row.reverses == "S-UNHEARD-OF"
    )
    others = [one for name, one in ends.items() if name != rivals]
    return {
        "lines": {name: one for name, one in made.lines.items() if name not in made.rivals},
        "without serials": Counter({(3300, "paid"): 3, (4321, "waits"): 2}),
        "under two names": Counter({(4950, "paid"): 2, (4545, "waits"): 2, (4646, "waits"): 1}),
        "payments": {name: one for name, one in ends.items() if name != rivals},
        "rivals": ("CONFIRMED", PRICE, PRICE),
        "balances": {
            "bank": -sum(row.amount_fen for row in rows),
            "suspense": waits + 2 * 4321 + sum(WAITING),
            "elsewhere": elsewhere,
            "held": sum(received for _, received, _ in others) + PRICE,
            "refund_payable": sum(owed for *_, owed in others),
        },
    }


def pushed(ways: list[tuple[str, tuple[int, int]]]) -> set[int]:
    """Of those under two names, which were pushed: all stand in a file too."""
    return {cut[0] for way, cut in ways if way == "twice, pushed"}


@contextmanager
def undone():
    """What an example has written is not there for the next."""
    block = transaction.atomic()
    block._from_testcase = True  # as a test case's own: services begin their own in it
    with block:
        yield
        transaction.set_rollback(True)


@settings(
    max_examples=12,
    phases=[Phase.generate],  # an example is a second: what fails is read, not shrunk
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def _any_order(data) -> None:
    with undone(), pytest.MonkeyPatch.context() as patched:
        payable.told = payable.Told()
        account(units=40)
        made = world()
        ways, chunk = data.draw(deliveries(made))
        patched.setattr(intake, "CHUNK", chunk)
        for turn, (way, cut) in enumerate(ways):
            deliver(made, way, cut, turn)
            every_fen_is_somewhere()
        found, right = end(made), as_it_must_be(made)
        asked = StatementLine.objects.filter(facts__has_key="held_as")
        assert asked.filter(verdict="CONFLICT", is_posted=False).count() == len(pushed(ways))
        assert asked.count() == len(pushed(ways))
        for what, is_so in found.items():
            assert is_so == right[what], what
        assert ledger.audit() == []


@pytest.mark.django_db
def test_in_whatever_order_and_pieces_bookings_come_they_end_the_same():
    _any_order()
