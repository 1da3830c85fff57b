"""Decides what the platform keeps of a released line."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MILLION = 1_000_000
MOST_PPM = 300_000  # nobody means to keep more than 30 %


class Rate(NamedTuple):
    """What is in force for a merchant ("" for all) and a category ("" for all).

    Parts per million; None: this scope says nothing any more, a wider one decides.
    """

    merchant: str
    category: str
    ppm: int | None


def deciding(rates: Iterable[Rate], *, merchant: str, path: Sequence[str]) -> int:
    """Parts per million for a line of a merchant, in a category (nearest first, then its parents).

    A merchant's own rates come before everybody's; within each, the nearest category, then the
    rate for all categories.  As the rules of the cashier; without any rate the platform keeps
    nothing.
    """
    told = {(rate.merchant, rate.category): rate.ppm for rate in rates}
    for whose in (merchant, ""):
        for category in (*path, ""):
            if (ppm := told.get((whose, category))) is not None:
                return ppm
    return 0


def fee(total_fen: int, ppm: int, *, promised_fen: int = 0) -> int:
    """The platform's part of a line in whole fen; the merchant has the rest of the line.

    Rounded down, line by line: nobody pays a fen that was not earned, and the parts of a line add
    up to it.  `promised_fen`: a guide's commission on the line.  It was promised first: where both
    do not fit into the line, the platform keeps less.
    """
    return min(total_fen * ppm // MILLION, total_fen - promised_fen)
