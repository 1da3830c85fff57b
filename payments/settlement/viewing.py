"""For which merchant somebody asks about settlement."""

from django.conf import settings
from django.utils.module_loading import import_string

from config.kit.errors import Malformed, NotFound
from config.kit.viewer import Viewer


class MerchantNeeded(Malformed):
    message = "您管理多个商家，请用 merchant 指明是哪一个"


def merchant_of(viewer: Viewer, named: str) -> str:
    """The merchant for whom this person asks; raises MerchantNeeded, NotFound."""
    tenants = viewer.tenants("FINANCE")
    if not named and tenants is not None and len(tenants) == 1:
        return next(iter(tenants))
    if not named:
        raise MerchantNeeded
    is_theirs = named in tenants if tenants is not None else is_merchant(named)
    if not is_theirs:
        raise NotFound
    return named


def is_merchant(number: str) -> bool:
    return bool(import_string(settings.RULES_ARE_ABOUT["merchant"])(number))
