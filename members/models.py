"""The tables of this app, for Django; nobody else imports this list."""

from members.accounts.models import Address, User, WeChatIdentity
from members.guarantee.models import Guarantee, GuaranteeCriterion, GuaranteeEvent
from members.guides.models import BondEvent, Commission, CustomerBond, Guide, ShareCode
from members.memberships.models import Level, Membership, MembershipEvent, Post
from members.merchants.models import MemberNumber, Merchant, Staff

__all__ = [
    "Address",
    "BondEvent",
    "Commission",
    "CustomerBond",
    "Guarantee",
    "GuaranteeCriterion",
    "GuaranteeEvent",
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
