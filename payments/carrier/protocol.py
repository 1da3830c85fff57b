"""Where held money legally lies (二清): with a licensed carrier, whose adapter speaks this.

A shop that keeps other sellers' money, buyers' wallets or an escrow pool in an account of its own
clears money without a licence.  A carrier (微信支付 电商收付通 with 分账, 平安见证宝, 支付宝
直付通) has it for us, in sub-accounts of members whom it has identified itself:

- a **merchant** has what buyers paid and is not released (held), what is his (available), what is
  on its way to his bank, and his deposit (free and frozen);
- a **member** (buyer, guide) has a wallet, what its withdrawals have frozen, and commissions;
- the **platform** has its fees and penalties, and what is owed back to payers.

The carrier is the holder and our ledger the mirror.  It is told every posting that touches what it
holds, once and in order; it books transfers between sub-accounts, money in and money out, and says
the balances at the end of a day and the movements of a day.  What it says is compared with the
ledger daily (`comparing`).

A sub-account's code is the ledger's, such as `held:M…` or `wallet:U…`.  An adapter knows which
member of the carrier's that is, and has members identified before money is theirs (进件).  Where
the carrier knows single transfers only (见证宝 会员间交易), the adapter splits a move into pairs,
each under the move's number and a letter.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Any, Protocol, cast

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, Tags, register
from django.utils.module_loading import import_string

from payments.carrier.rules import Move

UNLICENSED = (
    "未接入持牌资金存管机构：担保、钱包、保证金是代管他人资金，自行存放属于无证清算（二清）；"
    "正式启用前须接入持牌机构"
)


class Carrier(Protocol):
    """Every call may raise ChannelSilent (nothing is proven: ask again) or ChannelRefused."""

    def book(self, number: str, moves: Sequence[Move]) -> datetime:
        """Book all of a batch or nothing; when it was booked, by the carrier's clock.

        The same number again books nothing and says the same; with other moves it is refused.  A
        batch that would leave a sub-account below zero is refused.
        """

    def balances(self, day: date) -> Iterator[tuple[str, int]]:
        """Every sub-account's fen at the end of a day (Asia/Shanghai) that is over."""

    def movements(self, day: date) -> Iterator[tuple[str, str, int]]:
        """Move, sub-account and fen (+ into it) of all that was booked on a day that is over."""


def is_on() -> bool:
    return bool(settings.CARRIER)


def carrier() -> Carrier:
    return cast(Carrier, import_string(settings.CARRIER)())


@register()
def carrier_answers(**_: Any) -> list[CheckMessage]:
    """`manage.py check` fails at once when the name in settings is wrong."""
    try:
        if is_on():
            import_string(settings.CARRIER)
    except ImportError as error:
        return [Error(f"CARRIER: {error}", id="payments.E002")]
    return []


@register(Tags.security, deploy=True)
def money_lies_with_a_carrier(**_: Any) -> list[CheckMessage]:
    """`manage.py check --deploy` says plainly what is missing for other people's money."""
    if is_on():
        return []
    return [Info(UNLICENSED, hint="CARRIER，见 docs/deploy.md", id="payments.I001")]
