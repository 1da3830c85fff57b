"""What every part of WeChat Pay works with."""

from dataclasses import dataclass

from tests.sandbox.deliveries import Deliveries
from tests.sandbox.wechat_pay.books import Books
from tests.sandbox.wechat_pay.notices import Notices
from tests.sandbox.wechat_pay.signing import Merchant, Platform
from tests.sandbox.wechat_pay.switches import Switches


@dataclass(frozen=True)
class Desk:
    appid: str
    books: Books
    merchant: Merchant
    platform: Platform
    switches: Switches
    notices: Notices
    later: Deliveries  # what ends by itself after a moment: {"refund": …} or {"transfer": …}


SETTLES_SECONDS = 0.3  # of real time, from accepted to done


def fee(fen: int) -> int:
    """What WeChat Pay keeps of this much: 0.6 %, half a fen up."""
    return (fen * 6 + 500) // 1_000


def yuan(fen: int) -> str:
    return f"{'-' if fen < 0 else ''}{abs(fen) // 100}.{abs(fen) % 100:02d}"
