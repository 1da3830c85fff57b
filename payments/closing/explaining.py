"""Why the bank and the ledger differ on a day, line by line."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from django.db.models import Q

from config.kit.money import yuan
from payments.cashier.models import RefundPart
from payments.closing.rules import (
    CONFIRMED_WITHIN,
    SHANGHAI,
    Difference,
    Gap,
    Why,
)
from payments.ledger.models import Entry
from payments.payouts.models import Payout as MerchantPayout
from payments.payouts.rules import PREFIX
from payments.receiving.models import ReceivingAccount
from payments.transfers.models import LineReturn, StatementLine
from payments.transfers.screening import INTAKE_KINDS, named_payouts
from payments.wallet.models import Withdrawal

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Booked:
    """A line, by the day on which the bank booked it."""

    number: str
    day: date
    fen: int
    text: str


@dataclass
class Payout:
    """A refund, return or merchant's payout that the ledger has posted, and its bookings."""

    number: str
    day: date
    fen: int
    seen: list[Booked] = field(default_factory=list)


@dataclass(frozen=True)
class Reasons:
    """What may explain any day of one account; read once, asked for each day that differs."""

    first: date  # what was before is in the opening balance
    unposted: Sequence[Booked]
    payouts: Sequence[Payout]
    strays: Sequence[Booked]  # payouts in a statement that the ledger has not
    unconfirmed: Sequence[Booked]
    gaps: Sequence[Gap]
    moved: Mapping[date, int]  # by the ledger, for what pushes brought within gaps

    def on(self, day: date) -> list[Difference]:
        """Those that hold at the end of this day."""
        return [
            *(
                Difference(Why.NOT_POSTED, one.number, one.text, one.fen)
                for one in self.unposted
                if one.day <= day
            ),
            *(found for payout in self.payouts for found in self._in_transit(payout, day)),
            *(
                Difference(Why.NOT_OURS_YET, one.number, one.text, one.fen)
                for one in self.strays
                if one.day <= day
            ),
            *(
                Difference(Why.NOT_CONFIRMED, one.number, one.text, -one.fen)
                for one in self.unconfirmed
                if one.day <= day and not self._in_a_gap(one.day)
            ),
            *(found for gap in self.gaps if gap.until <= day for found in self._missing(gap)),
        ]

    def _in_transit(self, payout: Payout, day: date) -> list[Difference]:
        """The ledger has paid and the statement has not, or the other way round."""
        ours = payout.fen if self.first <= payout.day <= day else 0
        theirs = sum(one.fen for one in payout.seen if self.first <= one.day <= day)
        fen = ours - theirs
        if not fen:
            return []
        is_settled = sum(one.fen for one in payout.seen) == payout.fen
        why = Why.IN_TRANSIT if fen > 0 else Why.NOT_OURS_YET
        later = "（之后已一致）" if is_settled else ""
        what = "商家付款" if payout.number.startswith(PREFIX) else "退款"
        text = f"{what} {payout.number} {yuan(payout.fen)} 元：{why.label}{later}"
        return [Difference(why, payout.number, text, fen, is_settled)]

    def _in_a_gap(self, day: date) -> bool:
        """No statement was there to confirm it; the gap says what is missing."""
        return any(gap.first <= day < gap.until for gap in self.gaps)

    def _missing(self, gap: Gap) -> list[Difference]:
        known = sum(fen for day, fen in self.moved.items() if gap.first <= day < gap.until)
        fen = gap.fen - known
        last = gap.until - DAY
        when = f"{gap.first} 至 {last}" if gap.first < last else str(gap.first)
        if gap.first > last:
            when += " 前后"
        text = f"缺少 {when} 的流水：银行余额变动 {yuan(gap.fen)} 元，账面 {yuan(known)} 元"
        return [Difference(Why.GAP, "", text, fen)] if fen else []


def reasons(
    account: ReceivingAccount,
    *,
    first: date,
    gaps: Sequence[Gap],
    moved: Mapping[date, int],
    at: datetime,
) -> Reasons:
    """`first`: the day with which the account's earliest statement begins."""
    payouts = _payouts(account)
    named: dict[str, list[Payout]] = defaultdict(list)
    for payout, marks in payouts:
        for mark in marks:
            named[mark].append(payout)
    strays = []
    for booked, marks in _bookings_of_payouts(account):
        found = [payout for mark in marks for payout in named.get(mark, ())]
        if found:  # in parts, or paid again after it came back (退汇): each booking is another's
            known = min(found, key=lambda one: (len(one.seen), one.fen != -booked.fen))
            known.seen.append(Booked(booked.number, booked.day, -booked.fen, booked.text))
        else:
            strays.append(booked)
    return Reasons(
        first=first,
        unposted=[one for one in _unposted(account) if one.day >= first],
        payouts=[payout for payout, _ in payouts],
        strays=[one for one in strays if one.day >= first],
        unconfirmed=[one for one in _unconfirmed(account, at) if one.day >= first],
        gaps=gaps,
        moved=moved,
    )


def _day(moment: datetime) -> date:
    return moment.astimezone(SHANGHAI).date()


def _outside(account: ReceivingAccount) -> Q:
    """Not in the books; what a person found to be in them under another name explains nothing."""
    is_held = Q(verdict="IGNORED", facts__has_key="held_as")
    outside = Q(receiving_account=account, is_posted=False, is_elsewhere=False)
    return outside & ~Q(amount_fen=0) & ~is_held


def _is_payout() -> Q:
    return Q(verdict="IGNORED", amount_fen__lt=0, currency="CNY")


def _unposted(account: ReceivingAccount) -> list[Booked]:
    """Conflicts and other currencies; one that contradicts a known line stands in its place."""
    rows = StatementLine.objects.filter(_outside(account)).exclude(_is_payout())
    found = list(rows.order_by("booked_at", "pk"))
    first = _contradicted(account, {row.key.partition("!")[0] for row in found if "!" in row.key})
    return [
        Booked(
            row.number,
            _day(row.booked_at),
            row.amount_fen - (first.get(row.key.partition("!")[0], 0) if "!" in row.key else 0),
            f"来账 {row.number} {_day(row.booked_at)} {yuan(row.amount_fen)} {row.currency} 未记账"
            f"：{'；'.join(row.reasons)}",
        )
        for row in found
    ]


def _contradicted(account: ReceivingAccount, keys: Iterable[str]) -> dict[str, int]:
    lines = StatementLine.objects.filter(receiving_account=account, key__in=list(keys))
    posted = lines.filter(Q(is_posted=True) | Q(is_elsewhere=True))
    return dict(posted.values_list("key", "amount_fen"))


def _bookings_of_payouts(account: ReceivingAccount) -> list[tuple[Booked, set[str]]]:
    rows = StatementLine.objects.filter(_outside(account) & _is_payout())
    return [
        (
            Booked(
                row.number,
                _day(row.booked_at),
                row.amount_fen,
                f"流水 {row.serial or row.number} 付出 {yuan(-row.amount_fen)} 元，"
                "账上没有这笔付出",
            ),
            named_payouts((row.remark, *row.texts)) | ({row.serial} if row.serial else set()),
        )
        for row in rows.order_by("booked_at", "pk")
    ]


def _payouts(account: ReceivingAccount) -> list[tuple[Payout, set[str]]]:
    """Everything that left the ledger's bank account, with the marks that statements show it by."""
    entries = Entry.objects.filter(account__code=f"bank:{account.account_no}")
    left = entries.exclude(posting__kind__in=[*INTAKE_KINDS, "OPENING"]).values_list(
        "posting__reference", "posting__at", "amount_fen"
    )
    serials = _serials(account)
    return [
        (Payout(number, _day(at), -fen), {number, *serials.get(number, ())})
        for number, at, fen in left.order_by("pk")
    ]


def _serials(account: ReceivingAccount) -> dict[str, set[str]]:
    """By key; also of what came back (退汇) after it was done."""
    back = LineReturn.objects.filter(line__receiving_account=account)
    parts = RefundPart.objects.filter(receipt__source=f"suspense:{account.account_no}")
    out = Withdrawal.objects.filter(paid_from=account.account_no)
    found: dict[str, set[str]] = defaultdict(set)
    for number, serial in [
        *back.values_list("number", "serial"),
        *parts.values_list("number", "channel_txn"),
        *out.values_list("number", "channel_no"),
        *parts.values_list("number", "refund__number"),  # which every part's remark says
        *MerchantPayout.objects.filter(account=account).values_list("number", "serial"),
    ]:
        if serial:
            found[number].add(serial)
    return found


def _unconfirmed(account: ReceivingAccount, at: datetime) -> list[Booked]:
    """Pushes that no statement has confirmed in time."""
    lines = StatementLine.objects.filter(
        Q(is_posted=True) | Q(is_elsewhere=True),
        receiving_account=account,
        statement=None,
        booked_at__lt=at - CONFIRMED_WITHIN,
    )
    rows = lines.exclude(events__kind="CONFIRMED").order_by("booked_at", "pk")
    return [
        Booked(
            row.number,
            _day(row.booked_at),
            row.amount_fen,
            f"推送来账 {row.number} {_day(row.booked_at)} {yuan(row.amount_fen)} 元，"
            f"{CONFIRMED_WITHIN.days} 天内没有流水确认",
        )
        for row in rows
    ]
