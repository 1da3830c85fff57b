"""One booking under two names: a push and a file, or two forms of file, that number it differently.

A line is known by its key, the bank's serial or else its content.  Where two sources do not print
the same serial the keys differ, and the same money would be booked twice.  A row that another
source seems to have brought already is left for a person: not posted until he says that it is new.

Counted, as statements that overlap are (reconciliation.md §1.4): of one day, amount and payer
there are as many bookings as the source that has most of them says, so that two equal payments in
one source stay two.  A few minutes around midnight belong to both days: what is pushed at 23:59 may
be booked on the next day (docs/decisions/0025).
"""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from django.db import connection

from config.kit import sql
from payments.transfers.bookings import Batch, Known, Staged
from payments.transfers.remarks import codes_in, normal, normal_name
from payments.transfers.rules import Verdict
from payments.transfers.screening import Screening

REASON = "疑似已收录（流水号写法不同）"
DAY, SHANGHAI = 86_400, 28_800  # seconds; the second: ahead of UTC
MIDNIGHT = 600  # seconds that a booking may be moved by when it goes into the next day's books
RECENT = 5_000  # lines of an account that are asked whether two sources name them alike

# The container (csv, xls, xlsx) of a table changes no serial.
_FORM = "regexp_replace({}.form, '_(csv|xls|xlsx)$', '')"
_SAID = """
l.id, l.number, l.serial, l.statement_id, l.booked_at, extract(epoch FROM l.booked_at)::bigint,
l.amount_fen, l.payer_name, l.payer_account, l.remark, l.texts::text, l.virtual_account,
coalesce(l.facts->>'held_as', ''), l.is_posted OR l.is_elsewhere
"""
_COLUMNS = """
id, number, serial, statement_id, booked, amount_fen, payer_name, payer_account, remark, texts,
virtual_account, held_as, is_booked
"""
# The amounts are an array that is hashed once: a join would trust figures of the table that are old
# while a file comes in.
_IN_DAYS = """
l.receiving_account_id = %(account)s AND l.currency = 'CNY' AND strpos(l.key, '!') = 0
AND l.amount_fen = ANY(%(fens)s::bigint[])
AND l.booked_at >= to_timestamp(%(from)s) AND l.booked_at < to_timestamp(%(until)s)
"""
# What other sources have brought: the pushes (unless this is one), and files of another form.  Of
# an account that has only one source this looks into two indexes and finds nothing.
_HELD = f"""
WITH others AS (
    SELECT s.id, {_FORM.format("s")} AS form FROM payments_statement s
    WHERE s.receiving_account_id = %(account)s AND s.pays AND s.form <> ''
      AND {_FORM.format("s")} <> %(form)s
      AND coalesce(s.booked_until > (to_timestamp(%(from)s) AT TIME ZONE 'Asia/Shanghai')::date,
                   true)
      AND coalesce(
              s.booked_from <= (to_timestamp(%(until)s - 1) AT TIME ZONE 'Asia/Shanghai')::date,
              true)
), held (id, number, serial, statement_id, booked_at, booked, amount_fen, payer_name,
         payer_account, remark, texts, virtual_account, held_as, is_booked, form) AS (
    SELECT {_SAID}, '' FROM payments_statementline l
    WHERE %(form)s <> '' AND l.statement_id IS NULL AND {_IN_DAYS}
    UNION ALL
    SELECT {_SAID}, o.form FROM others o JOIN payments_statementline l ON l.statement_id = o.id
    WHERE {_IN_DAYS}
)
SELECT {_COLUMNS}, form, EXISTS (
    SELECT 1 FROM payments_lineevent e JOIN payments_statement s ON s.number = e.facts->>'statement'
    WHERE e.line_id = h.id AND e.kind = 'CONFIRMED' AND {_FORM.format("s")} = %(form)s
)
FROM held h
ORDER BY h.booked, h.id
"""  # noqa: S608  our own words
# What this source itself has brought before; asked only where others have brought the like.
_OWN = f"""
WITH own (id, number, serial, statement_id, booked_at, booked, amount_fen, payer_name,
         payer_account, remark, texts, virtual_account, held_as, is_booked) AS (
    SELECT {_SAID} FROM payments_statementline l
    LEFT JOIN payments_statement s ON s.id = l.statement_id
    WHERE {_IN_DAYS} AND coalesce({_FORM.format("s")}, '') = %(form)s
)
SELECT {_COLUMNS}, NULL, true FROM own h
ORDER BY h.booked, h.id
"""  # noqa: S608  our own words
# Whether files of a form have named pushes by the serials that these had, lately.
_AGREES = f"""
SELECT EXISTS (
    SELECT 1 FROM (
        SELECT l.id, l.statement_id, l.serial FROM payments_statementline l
        WHERE l.receiving_account_id = %(account)s AND l.booked_at < to_timestamp(%(until)s)
        ORDER BY l.booked_at DESC, l.id DESC LIMIT {RECENT}
    ) l
    JOIN payments_lineevent e ON e.line_id = l.id AND e.kind = 'CONFIRMED'
    JOIN payments_statement s ON s.number = e.facts->>'statement'
    WHERE l.statement_id IS NULL AND l.serial <> '' AND {_FORM.format("s")} = %(form)s
)
"""  # noqa: S608  our own words


def table_of(form: str) -> str:
    """A file's form without its container, as the statements above compare it."""
    return re.sub("_(csv|xls|xlsx)$", "", form)


class Held(NamedTuple):
    """A line that is stored; `is_own`: the source of the batch has named it too.

    `held_as`: number of the line that it seems to be.  `form` of the source that it is from, empty
    for pushes; None: the batch's own.
    """

    id: int
    number: str
    serial: str
    statement_id: int | None
    booked: int  # seconds since 1970
    amount_fen: int
    payer_name: str
    payer_account: str
    remark: str
    said: str  # JSON of the texts
    virtual_account: str
    held_as: str
    is_booked: bool
    form: str | None
    is_own: bool

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(orjson.loads(self.said))


Group = tuple[int, int]  # day of Shanghai since 1970, fen
Booking = Staged | Held


def doubted(
    batch: Batch,
    *,
    rows: Sequence[Staged],
    known: Mapping[str, Known],
    fresh: Sequence[Staged],
    firsts: Sequence[Screening],
) -> list[Screening]:
    """The screenings, where a row that would be booked may be booked already: a CONFLICT.

    One statement for a batch, a second where other sources hold bookings of the same day and
    amount.
    """
    asked: dict[Group, list[int]] = {}
    beside = Beside()
    for i, (row, first) in enumerate(zip(fresh, firsts, strict=True)):
        if first.is_posted or first.is_elsewhere:
            asked.setdefault(group := _group(row), []).append(i)
            beside.note(row, group)
    if not batch.pays or not asked or not (held := _read(_HELD, batch, asked, beside)):
        return list(firsts)
    result = list(firsts)
    here = {known[row.key].id for row in rows if row.key in known}
    names = _Names(batch, {known[row.key].statement_id for row in rows if _is_named(row, known)})
    pools = _Pools(batch, held, asked, here=here, names=names)
    for group, indexes in asked.items():
        for i, number in pools.shared(group, {i: fresh[i] for i in indexes}).items():
            reason = f"{REASON}：和来账 {number} 同日、同额、同付款人；未记账"
            result[i] = _held_as(number, reason)
    for group in beside.asked & pools.neighbours:
        left = {i: fresh[i] for i in asked[group] if not result[i].held_as}
        for i, number in pools.shared_across(group, left).items():
            reason = f"{REASON}：和来账 {number} 相隔午夜几分钟、同额、同付款人；未记账"
            result[i] = _held_as(number, reason)
    return result


def _held_as(number: str, reason: str) -> Screening:
    return Screening(Verdict.CONFLICT, False, "T0", (reason,), held_as=number)


def pairs(batch: Batch, groups: Collection[Group]) -> list[tuple[int, int]]:
    """Bookings of the batch's source and of another that are both in the books, and are one.

    By their ids.  More than the source with most of a day, amount and payer has is one too many:
    what is in no books stands for a booking of the other source first.
    """
    names = _Names(batch, ())
    lines = _grouped(_read(_HELD, batch, groups))
    own = _grouped(_read(_OWN, batch, lines)) if lines else {}
    found = []
    for group, others in lines.items():
        claims = _Claims(others, (), names)
        ours = own.get(group, [])
        for line in sorted(ours, key=lambda one: (one.is_booked and not one.held_as, one.id)):
            other = claims.claim(line)
            if other is None or line.held_as or other.held_as:
                continue
            if line.is_booked and other.is_booked:
                found.append((line.id, other.id))
    return found


class Beside:
    """Groups of the days before and after, where bookings are minutes from midnight."""

    def __init__(self) -> None:
        self.asked: set[Group] = set()  # that have such bookings
        self.groups: set[Group] = set()  # of the other day
        self.reach = MIDNIGHT  # seconds that are looked back over

    def note(self, one: Booking, group: Group) -> None:
        second = (one.booked + SHANGHAI) % DAY
        if MIDNIGHT < second < DAY - MIDNIGHT:
            return
        self.asked.add(group)
        self.groups.update(_next_to(group))
        if second:
            self.reach = DAY  # the other day's may have no time, and stand at its beginning


def _next_to(group: Group) -> tuple[Group, Group]:
    day, fen = group
    return (day - 1, fen), (day + 1, fen)


class _Pools:
    """What other sources hold, by day and amount, without what this source has brought before."""

    def __init__(
        self,
        batch: Batch,
        held: Iterable[Held],
        asked: Collection[Group],
        *,
        here: Collection[int],
        names: "_Names",
    ) -> None:
        lines = _grouped(held)
        self.neighbours = {one for group in lines for one in _next_to(group)}
        own = _grouped(_read(_OWN, batch, {*lines, *(self.neighbours & set(asked))}))
        self._claims: dict[Group, _Claims] = {}
        self._across: dict[Group, list[Held]] = {}  # ours that were found to be of another day
        for group in {*lines, *own}:
            others, ours = lines.get(group, []), own.get(group, [])
            numbers = {one.number for one in (*others, *ours)}
            if group in lines:
                is_here = [one for one in others if _is_within(one, numbers)]
                claims = self._claims[group] = _Claims(is_here, here, names)
                for line in ours:
                    if _is_within(line, numbers):
                        claims.take(line)
            self._across[group] = [line for line in ours if not _is_within(line, numbers)]

    def shared(self, group: Group, rows: Mapping[int, Staged]) -> dict[int, str]:
        claims = self._claims.get(group)
        return claims.shared(rows) if claims else {}

    def shared_across(self, group: Group, rows: Mapping[int, Staged]) -> dict[int, str]:
        """Of the days next to it; what was found so before takes its line first."""
        found: dict[int, str] = {}
        for other in _next_to(group):
            if not (claims := self._claims.get(other)):
                continue
            for line in self._across.get(group, ()):
                claims.take(line)
            found |= claims.shared({i: row for i, row in rows.items() if i not in found})
        return found


def _is_within(line: Held, numbers: Collection[str]) -> bool:
    """Not one that was found to be a booking of the day before or after."""
    return not line.held_as or line.held_as in numbers


def _grouped(lines: Iterable[Held]) -> dict[Group, list[Held]]:
    groups: dict[Group, list[Held]] = {}
    for one in lines:
        groups.setdefault(_group(one), []).append(one)
    return groups


def _group(one: Booking) -> Group:
    return (one.booked + SHANGHAI) // DAY, one.amount_fen


def _is_at_one_time(one: Booking, other: Booking) -> bool:
    """On one day, or minutes apart over midnight; one without a time is of its whole day."""
    if _group(one)[0] == _group(other)[0]:
        return True
    first, second = sorted((one.booked, other.booked))
    is_dated_only = not (first + SHANGHAI) % DAY
    if is_dated_only and not (second + SHANGHAI) % DAY:
        return False
    return second - (first + DAY if is_dated_only else first) <= MIDNIGHT


def _is_named(row: Staged, known: Mapping[str, Known]) -> bool:
    return bool(row.serial) and row.key in known


class _Names:
    """Which sources print the serials of this one: of two that do, other serials are others."""

    def __init__(self, batch: Batch, alike: Iterable[int | None]) -> None:
        self._batch = batch
        self._alike = frozenset(alike)  # statements (None: pushes) whose lines are named here too
        self._asked: dict[str, bool] = {}

    def tell_apart(self, one: Booking, other: Held) -> bool:
        if not one.serial or not other.serial or one.serial == other.serial:
            return False
        return other.statement_id in self._alike or (
            not self._batch.form and self._agrees(other.form or "", other.booked + DAY)
        )

    def _agrees(self, form: str, until: int) -> bool:
        if form not in self._asked:
            params: dict[str, Any] = {
                "account": self._batch.account.pk,
                "form": form,
                "until": until,
            }
            with connection.cursor() as cursor:
                cursor.execute(_AGREES, params)
                self._asked[form] = cursor.fetchone()[0]
        return self._asked[form]


class _Claims:
    """Lines of other sources, by source, each of which one booking of ours may be."""

    def __init__(self, lines: Sequence[Held], here: Collection[int], names: _Names) -> None:
        """`here`: lines that rows of the batch name by their keys."""
        self._names = names
        self._pools: dict[str, list[Held]] = {}
        for one in lines:
            if not one.is_own and one.id not in here:
                self._pools.setdefault(one.form or "", []).append(one)
        for one in lines:
            if one.is_own or one.id in here:
                self.take(one)

    def take(self, one: Booking, *, surely: bool = False) -> str:
        """Claim one line of each other source; the number of the first, or nothing."""
        other = self.claim(one, surely=surely)
        return other.number if other else ""

    def claim(self, one: Booking, *, surely: bool = False) -> Held | None:
        first = None
        for form, pool in self._pools.items():
            if isinstance(one, Held) and one.form == form:
                continue
            found = [other for other in pool if self._may_be(one, other)]
            best = max(found, key=lambda other: _preference(one, other), default=None)
            if best is not None and (not surely or _likeness(one, best) == _ALIKE):
                pool.remove(best)
                first = first or best
        return first

    def shared(self, fresh: Mapping[int, Staged]) -> dict[int, str]:
        """Which of these rows claim a line, with its number: those that say the same first."""
        found = {i: number for i, row in fresh.items() if (number := self.take(row, surely=True))}
        rest = {i: row for i, row in fresh.items() if i not in found}
        return found | {i: number for i, row in rest.items() if (number := self.take(row))}

    def _may_be(self, one: Booking, other: Held) -> bool:
        return _is_same_money(one, other) and not self._names.tell_apart(one, other)


_ALIKE = (True, True)


def _preference(one: Booking, other: Held) -> tuple[bool, bool, bool]:
    """What is in no books stands for what is, before it is asked what was said."""
    is_other_way = isinstance(one, Held) and one.is_booked != other.is_booked
    return (is_other_way, *_likeness(one, other))


def _likeness(one: Booking, other: Held) -> tuple[bool, bool]:
    return (
        one.virtual_account == other.virtual_account,
        normal(one.remark) == normal(other.remark),
    )


def _is_same_money(one: Booking, other: Held) -> bool:
    """Of one amount: whether one payer may have sent it, for one purpose and at one time."""
    if not _is_at_one_time(one, other):
        return False
    virtual = {one.virtual_account, other.virtual_account} - {""}
    if len(virtual) > 1:
        return False
    codes, others = _codes(one.texts), _codes(other.texts)
    if codes and others and codes.isdisjoint(others):
        return False
    return _is_same_payer(one, other)


def _is_same_payer(one: Booking, other: Held) -> bool:
    """By account, else by name; where neither can be compared, by what else was said."""
    accounts = one.payer_account, other.payer_account
    if all(accounts) and not any("*" in account for account in accounts):
        return accounts[0] == accounts[1]
    names = normal_name(one.payer_name), normal_name(other.payer_name)
    if all(names):
        return names[0] == names[1]
    if not any((*accounts, *names)):
        return True
    said = one.virtual_account or normal(one.remark)
    return bool(said) and said == (other.virtual_account or normal(other.remark))


@lru_cache(maxsize=4096)
def _codes(texts: tuple[str, ...]) -> frozenset[str]:
    return codes_in(texts).found


def _read(
    statement: str, batch: Batch, groups: Collection[Group], beside: Beside | None = None
) -> list[Held]:
    days, fens = zip(*groups, strict=True)
    is_wide = beside is not None and bool(beside.groups)
    params: dict[str, Any] = {
        "account": batch.account.pk,
        "form": batch.form,
        "fens": sql.ints(set(fens)),
        "from": min(days) * DAY - SHANGHAI - (beside.reach if beside and is_wide else 0),
        "until": (max(days) + 1) * DAY - SHANGHAI + (MIDNIGHT + 1 if is_wide else 0),
    }
    near = beside.groups if beside else frozenset[Group]()
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        found = map(Held._make, cursor.fetchall())
        return [one for one in found if (group := _group(one)) in groups or group in near]
