"""Decides what a role may act as, and what an address must look like."""

import re
from collections.abc import Mapping
from enum import StrEnum

MOST_ADDRESSES = 50
MOST_TOKENS = 20  # signed-in devices of one person; the oldest goes
MOBILE = re.compile(r"1[3-9][0-9]{9}")
# Per network address and minute.  A carrier puts many phones behind one address.
WECHAT_LOGINS = 600
STAFF_LOGINS = 60


class Role(StrEnum):
    """What `View.access` may ask for; the first three are posts at a merchant."""

    OWNER = "OWNER"
    OPERATOR = "OPERATOR"
    FINANCE = "FINANCE"
    STAFF = "STAFF"
    GUIDE = "GUIDE"
    PLATFORM = "PLATFORM"


# Which posts at a merchant let a person act in a role: the owner may do everything.
HELD_BY: Mapping[str, frozenset[str]] = {
    Role.OWNER: frozenset({Role.OWNER}),
    Role.OPERATOR: frozenset({Role.OWNER, Role.OPERATOR}),
    Role.FINANCE: frozenset({Role.OWNER, Role.FINANCE}),
    Role.STAFF: frozenset({Role.OWNER, Role.OPERATOR, Role.FINANCE}),
}


def is_mobile(phone: str) -> bool:
    """A mobile number of mainland China, eleven ASCII digits."""
    return MOBILE.fullmatch(phone) is not None
