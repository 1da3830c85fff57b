"""The admin classes of this app, for Django; nobody else imports this list."""

from members.accounts.admin import AccessAttemptAdmin, UserAdmin
from members.guarantee.admin import GuaranteeAdmin, GuaranteeCriterionAdmin
from members.guides.admin import (
    BondEventAdmin,
    CommissionAdmin,
    CustomerBondAdmin,
    GuideAdmin,
    ShareCodeAdmin,
)
from members.memberships.admin import LevelAdmin, MembershipAdmin, PostAdmin
from members.merchants.admin import MerchantAdmin

__all__ = [
    "AccessAttemptAdmin",
    "BondEventAdmin",
    "CommissionAdmin",
    "CustomerBondAdmin",
    "GuaranteeAdmin",
    "GuaranteeCriterionAdmin",
    "GuideAdmin",
    "LevelAdmin",
    "MembershipAdmin",
    "MerchantAdmin",
    "PostAdmin",
    "ShareCodeAdmin",
    "UserAdmin",
]
