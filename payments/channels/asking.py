"""When a channel is asked about a trade: its notice may never come."""

from datetime import datetime, timedelta

# Whether money came is asked at these ages of a trade, and then every half hour.
ASK_AT = tuple(timedelta(seconds=s) for s in (10, 30, 60, 180, 600, 1200))
ASK_EVERY = timedelta(minutes=30)
# Clocks differ a little, and who pays in the last second needs a few more.
GRACE = timedelta(seconds=10)
# After a trade was closed on purpose: by then what it pays for is given up, or is kept after all.
REST = timedelta(minutes=1)


def ask_next(opened_at: datetime, pay_before: datetime, at: datetime) -> datetime:
    """When to ask again; at the latest right after the time to pay is over."""
    age = at - opened_at
    step = next((when for when in ASK_AT if when > age), None)
    usual = opened_at + step if step else at + ASK_EVERY
    end = pay_before + GRACE
    return min(usual, end) if at < end else usual
