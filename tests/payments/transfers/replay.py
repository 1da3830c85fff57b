"""A merchant's day (tests.sandbox.day) goes through our doors, and what became of it is counted."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from io import BytesIO
from statistics import quantiles

from django.db import connection

from members.accounts.models import User
from payments.cashier import services as cashier
from payments.cashier.models import Payment
from payments.receiving.models import TransferIntent, VirtualAccount
from payments.transfers import api_push, services
from payments.transfers.models import Allocation, Statement, StatementLine
from payments.transfers.parsers import Row
from payments.transfers.rules import Verdict
from tests.payments import payable
from tests.payments.transfers import bank
from tests.sandbox.day import DAY, Day, File, make_day, orders
from tests.sandbox.journal import SHANGHAI
from tests.sandbox.payers import Order

METHOD = "BANK_TRANSFER"
MIDNIGHT = datetime.combine(DAY, time(), SHANGHAI)
UPLOADED = (MIDNIGHT + timedelta(hours=15, minutes=5), MIDNIGHT + timedelta(days=1, minutes=10))
ON_ITS_WAY = timedelta(seconds=2)  # from the bank's booking to our hook


# --- the shop before the day --------------------------------------------------------------------


def opened(*, seed: int, count: int) -> list[Order]:
    """Orders of the generator, each with a payment that waits as `cashier.open_payment` leaves it.

    Set-based: one by one, this would take as long as the day.
    """
    rows = orders(seed=seed, count=count)
    own = bank.account(units=0)
    users = User.objects.bulk_create(
        User(number=buyer, username=buyer) for buyer in dict.fromkeys(row.buyer for row in rows)
    )
    ids = {user.number: user.pk for user in users}
    numbers = VirtualAccount.objects.bulk_create(
        VirtualAccount(
            number=row.virtual_account,
            unit=row.virtual_account.removeprefix(own.account_no),
            receiving_account=own,
            state="ASSIGNED",
        )
        for row in rows
        if row.virtual_account
    )
    by_number = {virtual.number: virtual for virtual in numbers}
    payments = Payment.objects.bulk_create(
        Payment(
            number=f"P{row.reference}",
            payer_id=ids[row.buyer],
            merchant=payable.MERCHANT,
            purpose="ORDER",
            reference=row.reference,
            method=METHOD,
            amount_fen=row.outstanding_fen,
            opened_at=MIDNIGHT,
            pay_before=MIDNIGHT + timedelta(days=3),
        )
        for row in rows
    )
    TransferIntent.objects.bulk_create(
        TransferIntent(
            payment=payment,
            receiving_account=own,
            virtual_account=by_number.get(row.virtual_account),
            code=row.code,
            assigned_at=MIDNIGHT,
        )
        for row, payment in zip(rows, payments, strict=True)
    )
    return rows


def the_day(*, seed: int, count: int, transfers: int) -> Day:
    """That day of these orders; who has paid for whom before has really done so."""
    day = make_day(opened(seed=seed, count=count), seed=seed, transfers=transfers)
    ids = dict(User.objects.values_list("number", "pk"))
    earlier = []
    for n, known in enumerate(day.known):
        payable.told.amounts[f"EARLIER{n}"] = 100
        payment = cashier.open_payment(
            payer_id=ids[known.buyer],
            purpose="ORDER",
            reference=f"EARLIER{n}",
            method=METHOD,
            at=MIDNIGHT - timedelta(days=2),
        )
        earlier.append(
            bank.booking(
                100,
                serial=f"EARLIER{n}",
                remark=bank.code_of(payment),
                payer_name=known.payer_name,
                payer_account=known.payer_account,
                booked_at=MIDNIGHT - timedelta(days=1),
            )
        )
    if earlier:
        bank.arrive(*earlier, at=MIDNIGHT)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum would have
    return day


# --- the day ------------------------------------------------------------------------------------


@dataclass
class Replay:
    """What our doors answered: pushes heard and known already, the two statements."""

    day: Day
    pushes: int = 0
    known: int = 0
    statements: list[Statement] = field(default_factory=list)


def replayed(day: Day) -> Replay:
    """Pushes as they come; the first file in the afternoon, the second after midnight."""
    done, at = Replay(day), MIDNIGHT
    waiting = list(zip(UPLOADED, day.files, strict=True))
    for told in day.pushes:
        row = as_the_hook_reads_it(told)
        at = max(at, row.booked_at + ON_ITS_WAY)
        while waiting and waiting[0][0] <= at:
            done.statements.append(_imported(*waiting.pop(0)))
        taken = services.take_push(
            provider="sandbox", account_no=told["account_no"], row=row, at=at
        )
        done.pushes += 1
        done.known += taken.duplicates
    done.statements += [_imported(*one) for one in waiting]
    return done


def as_the_hook_reads_it(told: Mapping[str, object]) -> Row:
    shape = api_push.PushIn(data=told)
    shape.is_valid(raise_exception=True)
    return api_push._booking(shape.validated_data)


def _imported(at: datetime, file: File) -> Statement:
    statement = services.upload(
        file=BytesIO(file.content),
        filename=file.format,
        account_no="",
        tenants=None,
        uploaded_by_id=None,
        at=at,
    )
    services.import_statement(statement=statement, at=at)
    statement.refresh_from_db()
    return statement


# --- what became of it --------------------------------------------------------------------------


@dataclass
class Kind:
    """Lines of one kind of transfer; `sure`: a careful engine may settle them by itself."""

    lines: int = 0
    sure: int = 0
    settled: int = 0  # of the sure ones, by the engine
    automatic: int = 0
    wrong: int = 0  # went to a payment that the payer had not meant
    rules: Counter[str] = field(default_factory=Counter)
    by: Counter[str] = field(default_factory=Counter)  # rungs that settled the sure ones
    left: Counter[str] = field(default_factory=Counter)  # verdicts that wait for a person


@dataclass
class Figures:
    kinds: dict[str, Kind]
    minutes: dict[str, list[float]]  # from booking to decided, by the door

    @property
    def precision(self) -> float:
        made = sum(kind.automatic for kind in self.kinds.values())
        return (made - sum(kind.wrong for kind in self.kinds.values())) / made

    @property
    def recall(self) -> dict[str, tuple[int, int]]:
        """By rung: how many lines it settled, of how many that were its own to settle.

        A sure line that was not settled is missed by every rung that settles lines of its kind.
        """
        settled, missed = Counter[str](), Counter[str]()
        for kind in self.kinds.values():
            settled += kind.by
            missed.update(dict.fromkeys(kind.by, kind.sure - kind.settled))
        return {rung: (settled[rung], settled[rung] + missed[rung]) for rung in sorted(settled)}

    @property
    def wrong(self) -> Counter[str]:
        return +Counter({name: kind.wrong for name, kind in self.kinds.items()})

    @property
    def left(self) -> Counter[str]:
        return sum((kind.left for kind in self.kinds.values()), Counter())


def figures(day: Day) -> Figures:
    meant, paid = _meant(day), _paid()
    kinds: dict[str, Kind] = defaultdict(Kind)
    minutes: dict[str, list[float]] = defaultdict(list)
    for line in StatementLine.objects.filter(serial__in=day.truth):
        truth, got = day.truth[line.serial], paid.get(line.serial, set())
        kind = kinds[truth.kind]
        kind.lines += 1
        kind.sure += truth.is_sure
        kind.rules[line.rule or "-"] += 1
        kind.automatic += bool(got)
        kind.wrong += not got <= meant[line.serial]
        if truth.is_sure and line.verdict in SETTLED:
            kind.settled += 1
            kind.by[line.rule] += 1
        if line.verdict not in SETTLED:
            kind.left[line.verdict] += 1
        if line.verdict == Verdict.MATCHED:
            door = "statement" if line.statement_id else "push"
            minutes[door].append((line.decided_at - line.booked_at).total_seconds() / 60)
    return Figures(kinds, minutes)


SETTLED = (Verdict.MATCHED, Verdict.IGNORED, Verdict.REVERSED)


def _meant(day: Day) -> dict[str, set[str]]:
    """References that a payer may have meant; also where his money is owed back or taken back."""
    by_number = {row.virtual_account: row.reference for row in day.orders}
    return {
        booking.serial: set(day.truth[booking.serial].pays)
        or {by_number.get(booking.virtual_account or "-", "nobody")}
        for booking in day.bookings
    }


def _paid() -> dict[str, set[str]]:
    """References that a line was given to by the engine, for a while or for good."""
    found: dict[str, set[str]] = defaultdict(set)
    for serial, reference in Allocation.objects.values_list("line__serial", "payment__reference"):
        found[serial].add(reference)
    return found


# --- shown --------------------------------------------------------------------------------------


def table(done: Replay, found: Figures) -> str:
    heads = ("kind", "lines", "sure", "settled", "recall", "wrong", "by", "left for people")
    rows = [
        (
            name,
            kind.lines,
            kind.sure,
            kind.settled,
            f"{kind.settled / kind.sure:.3f}" if kind.sure else "",
            kind.wrong,
            _counted(kind.rules),
            _counted(kind.left),
        )
        for name, kind in sorted(found.kinds.items(), key=lambda one: -one[1].lines)
    ]
    doors = [
        f"{door}: {len(took)} lines, median {_at(took, 50):.1f}, 95 % {_at(took, 95):.1f} minutes"
        for door, took in sorted(found.minutes.items())
    ]
    rungs = " ".join(f"{rung} {n}/{of}" for rung, (n, of) in found.recall.items())
    files = ", ".join(f"{one.lines} rows, {one.duplicates} known" for one in done.statements)
    return "\n".join(
        (
            _aligned([heads, *rows]),
            f"rungs: {rungs}",
            *doors,
            f"pushes: {done.pushes}, {done.known} known; files: {files}",
            f"left: {_counted(found.left)}; precision {found.precision}",
        )
    )


def _counted(counts: Counter[str]) -> str:
    return " ".join(f"{name} {count}" for name, count in counts.most_common())


def _at(values: Sequence[float], percent: int) -> float:
    return quantiles(values, n=100, method="inclusive")[percent - 1]


def _aligned(rows: Iterable[Sequence[object]]) -> str:
    texts = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in texts
    )
