"""Money is a whole number of fen (分).  Nothing in this system is a float."""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


def percent(fen: int, rate: Decimal) -> int:
    """`rate` per cent of an amount, half a fen rounded away from zero."""
    return int((Decimal(fen) * rate / 100).quantize(Decimal(1), ROUND_HALF_UP))


def split(fen: int, weights: Sequence[int]) -> list[int]:
    """Share an amount in proportion to weights; the parts always add up to the whole."""
    total = sum(weights)
    parts = [fen * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: -(fen * weights[i] % total))
    for i in by_remainder[: fen - sum(parts)]:
        parts[i] += 1
    return parts


def yuan(fen: int) -> str:
    """For people: 123456 is 1,234.56."""
    sign, cents = ("-", -fen) if fen < 0 else ("", fen)
    return f"{sign}{cents // 100:,}.{cents % 100:02d}"
