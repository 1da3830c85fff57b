"""The fund bill becomes money in the channel's account: one posting a day, the opening once."""

from datetime import date, datetime

from config.kit.db import joined
from payments.bills.models import ChannelDay
from payments.bills.rules import Moved, opening, posting, reference
from payments.ledger import services as ledger
from payments.ledger.models import Entry, Posting
from payments.transfers.parsers.refusals import Unbalanced


@joined
def book(
    *,
    name: str,
    ledger_name: str,
    account: str,
    day: date,
    moved: Moved,
    at: datetime,
    which: str = "",
) -> None:
    """Post what a day moved, once; then the opening, or its correction where a day came in late.

    The caller has the channel to itself.  Raises Unbalanced where the day was posted, of another
    bill.
    """
    told = reference(ledger_name, day, which)
    if Posting.objects.filter(kind="CHANNEL_DAY", reference=told).exists():
        posted = Entry.objects.filter(
            posting__kind="CHANNEL_DAY", posting__reference=told, account__code=account
        )
        if sum(posted.values_list("amount_fen", flat=True)) != moved.total_fen:
            raise Unbalanced(f"{day} 的资金账单与已经记账的不同")
    elif draft := posting(name=ledger_name, account=account, day=day, moved=moved, which=which):
        ledger.post([draft], at=at)
    _open(name, ledger_name, account, at)


def _open(name: str, ledger_name: str, account: str, at: datetime) -> None:
    """The books begin with the earliest bill, so an earlier one that comes in later is in it."""
    known = ChannelDay.objects.filter(channel=name, account=account, opening_fen__isnull=False)
    first = known.order_by("day").values_list("opening_fen", flat=True).first()
    if first is None:
        return
    earlier = Posting.objects.filter(kind="OPENING", entries__account__code=account)
    said = Entry.objects.filter(posting__in=earlier, account__code=account)
    differ = first - sum(said.values_list("amount_fen", flat=True))
    draft = opening(name=ledger_name, account=account, fen=differ, earlier=earlier.count())
    if draft:
        ledger.post([draft], at=at)
