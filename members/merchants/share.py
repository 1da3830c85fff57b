"""What a share code of kind MERCHANT opens (settings.SHARE_TARGETS)."""

from config.kit.viewer import Viewer
from members.merchants import queries
from members.merchants.rules import Target


def resolve(public_id: str, viewer: Viewer | None) -> Target:
    """NotFound unless everybody may see it."""
    merchant = queries.trading(public_id)
    return Target(merchant.name, f"pages/merchant/index?id={merchant.number}", merchant.number)
