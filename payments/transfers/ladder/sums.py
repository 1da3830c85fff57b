"""Which of a buyer's open payments one amount is the sum of, if there is only one answer."""

from collections.abc import Sequence
from itertools import combinations

from payments.transfers.ladder.facts import Intent

MOST_TOGETHER = 5  # payments in one transfer
MOST_OPEN = 12  # of a buyer with more, any amount is a sum of something


def only_sum(open_: Sequence[tuple[Intent, int]], fen: int) -> tuple[tuple[Intent, int], ...]:
    """The one group of payments (with what each still asks for) that adds up; empty if not one.

    All of them together count, however many; of fewer, at most MOST_TOGETHER.
    """
    if sum(left for _, left in open_) == fen:
        return tuple(open_)  # every other group is smaller
    if len(open_) > MOST_OPEN:
        return ()
    found: tuple[tuple[Intent, int], ...] = ()
    for size in range(1, min(MOST_TOGETHER, len(open_) - 1) + 1):
        for group in combinations(open_, size):
            if sum(left for _, left in group) == fen:
                if found:
                    return ()
                found = group
    return found
