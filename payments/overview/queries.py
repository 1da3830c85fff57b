"""All that the page of finance shows, in one query a part, however much there is."""

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Count, F, Q, Sum
from django.db.models.functions import Abs, TruncDate
from django.utils.timezone import localtime

from payments.bills.models import ChannelDifference
from payments.bills.rules import Kind
from payments.cashier.models import Receipt
from payments.closing.rules import Why
from payments.overview.rules import BY_KIND, POTS, Course, age_of, course, days_until
from payments.payouts.models import Payout
from payments.payouts.rules import HOLDING
from payments.receiving.models import ReceivingAccount

SHANGHAI = ZoneInfo("Asia/Shanghai")
Tenants = frozenset[str] | None  # None: all (platform)


@dataclass(frozen=True)
class Tally:
    count: int = 0
    fen: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(self.count + other.count, self.fen + other.fen)


@dataclass(frozen=True)
class Open:
    """Differences of one kind that nobody has explained; by their place in AGES."""

    source: str  # CHANNEL or BANK
    kind: str
    title: str
    by_age: dict[int, Tally] = field(default_factory=dict)

    @property
    def all(self) -> Tally:
        return sum(self.by_age.values(), Tally())


# --- balances -----------------------------------------------------------------------------------

# One statement, so that balances and movements are of one moment.  Guarded accounts keep their
# balance; of the others all entries are added up.  What moved is found by the time of postings
# (posting_by_time), and added up by account before anything else is asked about it.  Of all
# entries only those are read that are not older than the first such posting; OFFSET 0 has it found
# by its time, not key by key from the first posting of all.
_COURSE = """
WITH late AS (
    SELECT min(id) AS id FROM (
        SELECT id FROM payments_posting WHERE at >= %(since)s OFFSET 0
    ) within
), stands AS (
    SELECT split_part(a.code, ':', 1) AS kind, -sum(a.balance_fen) AS fen
    FROM payments_account a WHERE a.is_guarded {account} GROUP BY 1
    UNION ALL
    SELECT split_part(a.code, ':', 1), sum(e.fen) FROM payments_account a JOIN (
        SELECT e.account_id, sum(e.amount_fen) AS fen FROM payments_entry e {entry} GROUP BY 1
    ) e ON e.account_id = a.id WHERE NOT a.is_guarded GROUP BY 1
), moved AS (
    SELECT split_part(a.code, ':', 1) AS kind, d.day, sum(d.fen) AS fen FROM (
        SELECT e.account_id, (p.at AT TIME ZONE 'Asia/Shanghai')::date AS day,
               sum(e.amount_fen) AS fen
        FROM payments_entry e JOIN payments_posting p ON p.id = e.posting_id AND p.at >= %(since)s
        {entry} {late} GROUP BY 1, 2
    ) d JOIN payments_account a ON a.id = d.account_id GROUP BY 1, 2
)
SELECT kind, NULL::date, fen FROM stands UNION ALL SELECT kind, day, fen FROM moved
"""
_LATE = "WHERE e.posting_id >= (SELECT id FROM late) AND p.id >= (SELECT id FROM late)"
_OF_ALL = _COURSE.format(account="", entry="", late=_LATE)
_OF_SOME = _COURSE.format(
    account="AND a.code = ANY(%(codes)s)",
    entry="WHERE e.account_id IN (SELECT id FROM payments_account WHERE code = ANY(%(codes)s))",
    late="",
)


def courses(tenants: Tenants, at: datetime) -> list[Course]:
    """Every pot as it stands and as it went; for merchants what the books keep of each of them."""
    days = days_until(localtime(at).date())
    codes = None if tenants is None else _codes(tenants)
    stands: dict[str, int] = defaultdict(int)
    moved: dict[str, dict[date, int]] = defaultdict(lambda: defaultdict(int))
    with connection.cursor() as cursor:
        query = _OF_ALL if codes is None else _OF_SOME
        cursor.execute(query, {"since": _begins(days[0]), "codes": codes})
        for kind, day, fen in cursor.fetchall():
            pot = BY_KIND.get(kind)
            if pot and day is None:
                stands[pot.name] += int(fen)
            elif pot:
                moved[pot.name][day] += int(fen)
    return [course(pot, stands[pot.name], moved[pot.name], days) for pot in POTS]


def _codes(tenants: Collection[str]) -> list[str]:
    """Accounts that are these merchants' alone, with those of their own receiving accounts."""
    own = ReceivingAccount.objects.filter(merchant__in=tenants)
    receiving = list(own.values_list("account_no", flat=True))
    per_merchant = ("held", "paying_out", "receivable", "deposit", "deposit_frozen")
    return [
        *(f"{kind}:{number}" for number in tenants for kind in per_merchant),
        *(f"merchant:{number}:available" for number in tenants),
        *(f"{kind}:{number}" for number in receiving for kind in ("bank", "suspense")),
    ]


# --- money that came, payouts -------------------------------------------------------------------


def received(tenants: Tenants, at: datetime) -> dict[str, dict[date, Tally]]:
    """Arrivals by method and day; wrong matches that were undone are none."""
    first = days_until(localtime(at).date())[0]
    rows = Receipt.objects.filter(received_at__gte=_begins(first), undone_at=None)
    if tenants is not None:
        rows = rows.filter(payment__merchant__in=tenants)
    by_day = rows.annotate(day=TruncDate("received_at", tzinfo=SHANGHAI)).values("method", "day")
    told = by_day.annotate(count=Count("pk"), fen=Sum("amount_fen")).order_by("method", "day")
    return _tables((row["method"], row["day"], row["count"], row["fen"]) for row in told)


def payouts(tenants: Tenants, at: datetime) -> dict[str, dict[date, Tally]]:
    """By state and by the day on which they were asked for; those under way however old."""
    first = days_until(localtime(at).date())[0]
    rows = Payout.objects.filter(Q(asked_at__gte=_begins(first)) | Q(status__in=HOLDING))
    if tenants is not None:
        rows = rows.filter(merchant__in=tenants)
    by_day = rows.annotate(day=TruncDate("asked_at", tzinfo=SHANGHAI)).values("status", "day")
    told = by_day.annotate(count=Count("pk"), fen=Sum("amount_fen")).order_by("status", "day")
    return _tables((row["status"], row["day"], row["count"], row["fen"]) for row in told)


def _tables(rows: Any) -> dict[str, dict[date, Tally]]:
    found: dict[str, dict[date, Tally]] = defaultdict(dict)
    for name, day, count, fen in rows:
        found[name][day] = Tally(count, int(fen))
    return dict(found)


# --- differences --------------------------------------------------------------------------------

# Of days that differ what the two sides have not both written since, by why and day.
_DAYS = """
SELECT one.why, d.day, count(*), sum(abs(one.fen)) FROM payments_dayclose d
CROSS JOIN LATERAL jsonb_to_recordset(d.differences) AS one (why text, fen bigint, is_settled bool)
{own} WHERE d.status = 'DIFFERS' AND NOT coalesce(one.is_settled, false) GROUP BY 1, 2
"""
_OWN = """JOIN payments_receivingaccount r ON r.id = d.receiving_account_id
AND r.merchant = ANY(%(tenants)s)"""


def differences(tenants: Tenants, at: datetime) -> list[Open]:
    """What nobody has explained yet: of payment channels (platform only), and of banks."""
    today = localtime(at).date()
    found = [Open("BANK", why, why.label) for why in Why]
    by_name = {(one.source, one.kind): one for one in found}
    with connection.cursor() as cursor:
        cursor.execute(
            _DAYS.format(own="" if tenants is None else _OWN),
            {"tenants": None if tenants is None else list(tenants)},
        )
        for why, day, count, fen in cursor.fetchall():
            _add(by_name[("BANK", why)], today, day, Tally(count, int(fen)))
    if tenants is None:
        found = [*_of_channels(today), *found]
    return [one for one in found if one.by_age]


def _of_channels(today: date) -> list[Open]:
    found = {kind: Open("CHANNEL", kind, kind.label) for kind in map(Kind, Kind.values)}
    rows = ChannelDifference.objects.filter(closed_at=None)
    by_day = rows.annotate(day=TruncDate("found_at", tzinfo=SHANGHAI)).values("kind", "day")
    fen = Sum(Abs(F("their_fen") - F("our_fen")))
    for row in by_day.annotate(count=Count("pk"), fen=fen).order_by("kind", "day"):
        _add(found[Kind(row["kind"])], today, row["day"], Tally(row["count"], int(row["fen"])))
    return list(found.values())


def _add(one: Open, today: date, day: date, tally: Tally) -> None:
    age = age_of((today - day).days)
    one.by_age[age] = one.by_age.get(age, Tally()) + tally


def _begins(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=SHANGHAI)
