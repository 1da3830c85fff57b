"""The tables of this app, for Django; nobody else imports this list."""

from members.accounts.models import Address, User, WeChatIdentity
from members.guides.models import BondEvent, Commission, CustomerBond, Guide, ShareCode
from members.memberships.models import Level, Membership, MembershipEvent, Post
from members.merchants.models import MemberNumber, Merchant, Staff

__all__ = [
    "Address",
    "BondEvent",
    "Commission",
    "CustomerBond",
    "Guide",
    "Level",
    "MemberNumber",
    "Membership",
    "MembershipEvent",
    "Merchant",
    "Post",
    "ShareCode",
    "Staff",
    "User",
    "WeChatIdentity",
]
