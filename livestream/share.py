"""What a guide's code for a live session leads to (settings.SHARE_TARGETS["LIVE"])."""

from typing import cast

from config.kit.viewer import Viewer
from livestream import queries
from members.accounts.models import User
from members.merchants.rules import Target


def resolve(public_id: str, viewer: Viewer | None) -> Target:
    """The page of the session; NotFound when the viewer may not see it."""
    session = queries.session_for(cast(User | None, viewer), public_id)
    return Target(
        title=session.title,
        path=f"pages/live/index?id={session.number}",
        merchant=session.merchant.number,
    )
